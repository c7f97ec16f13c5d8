"""Passwords: set, and verified for whoever signs people in. Kept beside the log, see docs/decisions."""
