"""Numbers of what had none when it was stated."""

from typing import Any
from uuid import UUID

from genonaut.contracts.event import Upcaster

LARGEST = 2**27 - 1
"""Numbers are from -LARGEST to LARGEST: search packs one with what it is of into 32 bits."""


def numbered(name: str) -> Upcaster:
    """Adds a number made of the UUID in the field `name`: below zero, where those that are drawn never are."""

    def upcast(data: dict[str, Any]) -> dict[str, Any]:
        return {**data, "number": -1 - UUID(data[name]).int % LARGEST}

    return upcast
