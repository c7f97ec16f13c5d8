"""Items in bulk: a file of them into the gallery, and the gallery into a file."""
