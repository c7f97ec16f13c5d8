"""What a password is. Pure."""

import unicodedata

MIN_LENGTH, MAX_LENGTH = 8, 1024
"""Characters."""


class BadPasswordError(ValueError):
    """This can be nobody's password; the message does not repeat it."""


def normal(password: str) -> str:
    """The one spelling of what looks the same, however a keyboard writes it: NFKC.

    Raises BadPasswordError for what is too long to be a password.
    """
    if len(password) <= MAX_LENGTH:  # which bounds the work that follows, too
        password = unicodedata.normalize("NFKC", password)
    if len(password) > MAX_LENGTH:
        raise BadPasswordError(f"a password has at most {MAX_LENGTH} characters")
    return password


def acceptable(password: str) -> str:
    """The normal spelling of a new password. Raises BadPasswordError for one that is too short or too long."""
    password = normal(password)
    if len(password) < MIN_LENGTH:
        raise BadPasswordError(f"a password has at least {MIN_LENGTH} characters")
    return password
