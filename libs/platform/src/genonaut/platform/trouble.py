"""Trouble that has a name, with no I/O behind it: who only wants to tell it apart need not load a database or a bus."""


class ExpectedError(Exception):
    """Of a command or of a start: its message says what is wrong and what to do, and is all that is shown."""


class ConcurrencyConflictError(Exception):
    """Somebody else appended to the same aggregate first. Decide again on the new state."""


class EventTooLargeError(ValueError):
    """No message of the bus could carry it."""
