"""Cursors: opaque, signed positions in a list. One that was changed, or taken from another list, is refused.

A cursor is base64url of a JSON payload and its HMAC. The signature also covers what the list was asked for (path,
filters, sort), which the payload therefore need not carry.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from typing import Any
from uuid import UUID

import orjson

_SIGNATURE_BYTES = 16
_MICROSECOND = timedelta(microseconds=1)


class InvalidCursorError(ValueError):
    """The text is not a cursor of this list."""


@dataclass(frozen=True)
class Position:
    """A place in a list: the row with this sort value and key, and the side of it that is meant."""

    value: Any
    """None for a row whose sort value is NULL."""
    key: Any
    backward: bool = False
    ahead: int | None = None
    """How many rows came before it when the cursor was written, where counting them anew would cost too much."""


class Cursors:
    """Writes and reads the cursors of a service. `secret` is its API_SECRET_KEY."""

    def __init__(self, secret: str) -> None:
        # A key of its own, so that a cursor is never a valid signature of anything else made with the secret.
        self._key = hmac.digest(secret.encode(), b"genonaut list cursors", "sha256")

    def write(self, position: Position, *, asked: str) -> str:
        """`asked` is what the list was asked for; reading takes the same."""
        payload = orjson.dumps([_tagged(position.value), _tagged(position.key), int(position.backward), position.ahead])
        return self._sealed(payload, asked)

    def read(self, cursor: str, *, asked: str) -> Position:
        """Raises InvalidCursorError."""
        try:
            padding = b"=" * (-len(cursor) % 4)
            payload = urlsafe_b64decode(cursor.encode("ascii") + padding)[:-_SIGNATURE_BYTES]
        except ValueError as error:
            raise InvalidCursorError("not base64url") from error
        # Compared as text: base64 has spare bits, and a cursor has exactly one spelling.
        if not hmac.compare_digest(self._sealed(payload, asked), cursor):
            raise InvalidCursorError("the signature does not fit")
        value, key, backward, ahead = orjson.loads(payload)
        return Position(_untagged(*value), _untagged(*key), bool(backward), ahead)

    def _sealed(self, payload: bytes, asked: str) -> str:
        context = sha256(asked.encode("utf-8", "surrogatepass")).digest()
        signature = hmac.digest(self._key, context + payload, "sha256")[:_SIGNATURE_BYTES]
        return urlsafe_b64encode(payload + signature).decode().rstrip("=")


_KINDS: list[tuple[str, type, Callable[[Any], str], Callable[[str], Any]]] = [
    ("b", bool, lambda value: "1" if value else "", bool),  # before int, which it is
    ("i", int, str, int),
    ("f", float, repr, float),
    ("d", Decimal, str, Decimal),
    ("t", datetime, datetime.isoformat, datetime.fromisoformat),  # before date, which it is
    ("y", date, date.isoformat, date.fromisoformat),
    ("p", timedelta, lambda value: str(value // _MICROSECOND), lambda text: int(text) * _MICROSECOND),
    ("u", UUID, str, UUID),
    ("s", str, str, str),
]
"""How each kind of sort value is written, without losing a digit."""


def _tagged(value: Any) -> tuple[str, str]:
    if value is None:
        return "n", ""
    for tag, kind, write, _ in _KINDS:
        if isinstance(value, kind):
            return tag, write(value)
    raise TypeError(f"a list cannot be sorted by a {type(value).__name__}")


def _untagged(tag: str, text: str) -> Any:
    return None if tag == "n" else _READERS[tag](text)


_READERS = {tag: read for tag, _, _, read in _KINDS}
