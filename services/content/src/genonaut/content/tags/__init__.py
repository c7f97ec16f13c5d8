"""Tags: a poly-hierarchy of words that items are found by."""
