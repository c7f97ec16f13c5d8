"""The platform as one thing: what it is, whether it is well, and its documentation."""
