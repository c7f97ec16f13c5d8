"""Content items: what the gallery shows, made by people or by their generation jobs."""
