"""Who may be notified, as content's user events tell it."""
