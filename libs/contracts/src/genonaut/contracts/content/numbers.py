"""Numbers of what had none when it was stated."""

from typing import Any
from uuid import UUID

from genonaut.contracts.event import Upcaster

LARGEST = 2**27 - 1
"""Numbers are from -LARGEST to LARGEST: search packs one with what it is of into 32 bits."""


def number_of(id_: UUID) -> int:
    """The number of something that was given none: made of its id, below zero, where those that are drawn never are."""
    return -1 - id_.int % LARGEST


def numbered(name: str) -> Upcaster:
    """Adds the number of what the UUID in the field `name` is the id of."""

    def upcast(data: dict[str, Any]) -> dict[str, Any]:
        return {**data, "number": number_of(UUID(data[name]))}

    return upcast
