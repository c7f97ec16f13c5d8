"""The shape of what decides: pure functions over one kind of thing. Imports no I/O, so that domains may import it."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from genonaut.contracts import Event

S = TypeVar("S")
C = TypeVar("C")


@dataclass(frozen=True)
class Aggregate(Generic[S, C]):
    """What decides: pure functions over one kind of thing. Its streams are named `<name>-<id>`."""

    name: str
    """Without a hyphen: the id is read back from behind the first one."""
    initial: S
    decide: Callable[[C, S], Sequence[Event]]
    """The events a command leads to; none when it changes nothing.

    Raises what the caller shall see when it is refused.
    """
    evolve: Callable[[S, Event], S]

    def __post_init__(self) -> None:
        if "-" in self.name:
            raise ValueError(f"aggregate {self.name}: its events would come back with another id")


def same_json(one: Any, other: Any) -> bool:
    """Whether two values are the same as JSON. For Python, true is 1."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
