"""How each route of the API is used and how fast it answers."""
