"""What is above what: a poly-hierarchy without circles."""
