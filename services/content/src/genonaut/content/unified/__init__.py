"""One list over both sources, by whose items they are."""
