"""Interactions: what people do with items of either source, and what that adds up to."""
