"""Who is registered, as far as the news has come."""
