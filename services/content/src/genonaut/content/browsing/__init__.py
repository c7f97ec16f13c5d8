"""Lists of the items of one source, in every way people look through them."""
