"""Who is registered, and who of them is active, as far as the news has come."""
