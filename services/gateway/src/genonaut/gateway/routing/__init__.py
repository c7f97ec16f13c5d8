"""Which service answers which path, and the forwarding to it."""
