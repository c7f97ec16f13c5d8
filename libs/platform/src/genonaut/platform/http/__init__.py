"""HTTP as every service speaks it: one error body, one shape of lists, one set of headers."""
