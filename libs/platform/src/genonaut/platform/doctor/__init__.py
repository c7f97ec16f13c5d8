"""The doctor: looks at a service's part of the database and says what is well, what is not, and what to do about it."""
