"""Generation jobs, as far as their users' statistics want them: how many are in which state."""
