"""Expected trouble of a command or of a start."""


class ExpectedError(Exception):
    """Its message says what is wrong and what to do, and is all that is shown."""
