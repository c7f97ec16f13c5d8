"""The notifications themselves: created once for each cause, listed, counted, read."""
