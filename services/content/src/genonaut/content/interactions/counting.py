"""What interactions add to every counter. Pure, and made of what an interaction is, never of what happened before.

So the counters depend on the interactions that there are, and not on the order or the batches in which they came,
were changed or went: a change is the old one taken away and the new one added.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar, get_args
from uuid import UUID

from genonaut.contracts.content import InteractionType

TYPES: tuple[InteractionType, ...] = get_args(InteractionType)

POPULARITY: Mapping[InteractionType, int] = {
    "view": 1,
    "rate": 2,
    "like": 5,
    "comment": 6,
    "bookmark": 8,
    "download": 8,
    "share": 10,
}
"""What an interaction adds to the popularity of its item. Another weight needs a rebuild of the projection."""

EVERYONE = UUID(int=0)
"""The audience of a public item's interactions. A private item's are for its creator."""

K = TypeVar("K", bound=tuple[Any, ...])

STRIPES = 32
"""Rows that share one total, so that those who add to it at the same time seldom wait for each other."""

Facet = tuple[str, str]
"""What is counted, and of which value: ("type", "like"), ("hour", "13"), ("day", "2026-01-02")."""

ALL: Facet = ("all", "")
USERS: Facet = ("users", "")
ITEMS: Facet = ("items", "")
"""How many there are, of whatever is counted; how many users or items are behind it."""


@dataclass(frozen=True, slots=True)
class Counted:
    """An interaction, as far as it is counted."""

    user_id: UUID
    item_id: int
    creator_id: UUID
    kind: str
    """Source and content type of the item: `auto/image`."""
    audience: UUID
    interaction_type: InteractionType
    rating: int | None
    duration: int | None
    created_at: datetime

    @property
    def shown(self) -> bool:
        """Whether anybody may see it."""
        return self.audience == EVERYONE


def stripe_of_user(user_id: UUID) -> int:
    return user_id.int % STRIPES


def stripe_of_item(item_id: int) -> int:
    return item_id % STRIPES


Moves = defaultdict[K, list[int]]
"""By how much each count of a row moves, by the key of the row."""


class Moved:
    """By how much every counter moves; `users`, `pairs` and `creators` in what is shown and in all."""

    def __init__(self) -> None:
        self.users: Moves[tuple[UUID, str, str]] = defaultdict(lambda: [0, 0])
        self.pairs: Moves[tuple[UUID, int]] = defaultdict(lambda: [0, 0])
        self.creators: Moves[tuple[UUID, UUID]] = defaultdict(lambda: [0, 0])
        self.items: Moves[tuple[int, str, str]] = defaultdict(lambda: [0])
        self.totals: Moves[tuple[UUID, str, str, int]] = defaultdict(lambda: [0])
        self.popularity: dict[int, int] = defaultdict(int)

    def change(self, before: Counted | None, after: Counted | None) -> None:
        if before:
            self._add(before, -1)
        if after:
            self._add(after, 1)

    def of_item(self, item_id: int, facet: Facet, count: int) -> None:
        self.items[item_id, *facet][0] += count

    def of_total(self, audience: UUID, facet: Facet, stripe: int, count: int) -> None:
        self.totals[audience, *facet, stripe][0] += count

    def _add(self, one: Counted, sign: int) -> None:
        shown = sign if one.shown else 0
        for (facet, value), count in _of_user(one):
            _move(self.users[one.user_id, facet, value], shown * count, sign * count)
        _move(self.pairs[one.user_id, one.item_id], shown, sign)
        _move(self.creators[one.user_id, one.creator_id], shown, sign)
        for of_item, count in _of_item(one):
            self.of_item(one.item_id, of_item, sign * count)
        for of_total in _of_total(one):
            self.of_total(one.audience, of_total, stripe_of_user(one.user_id), sign)
        self.popularity[one.item_id] += sign * POPULARITY[one.interaction_type]


def _move(both: list[int], shown: int, total: int) -> None:
    both[0] += shown
    both[1] += total


def _of_user(one: Counted) -> Iterator[tuple[Facet, int]]:
    """Hours and weekdays (Monday is 0) are in UTC."""
    at = one.created_at.astimezone(UTC)
    yield from _of_item(one)
    yield ("kind", one.kind), 1
    yield ("hour", str(at.hour)), 1
    yield ("weekday", str(at.weekday())), 1


def _of_item(one: Counted) -> Iterator[tuple[Facet, int]]:
    yield ALL, 1
    yield ("type", one.interaction_type), 1
    yield day_of(one.created_at), 1
    if one.rating is not None:
        yield ("rating", str(one.rating)), 1
    if one.duration is not None:
        yield ("duration", "count"), 1
        yield ("duration", "seconds"), one.duration


def _of_total(one: Counted) -> Iterator[Facet]:
    """What lists are as long as; what is said of all of them, of those that everybody may see."""
    yield "type", one.interaction_type
    if one.rating is not None:
        yield "rating", str(one.rating)
    if one.shown:
        yield day_of(one.created_at)


def day_of(time: datetime) -> Facet:
    """In UTC."""
    return "day", time.astimezone(UTC).date().isoformat()
