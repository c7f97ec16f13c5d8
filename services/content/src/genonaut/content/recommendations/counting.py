"""What recommendations add to every counter. Pure, and made of what a recommendation is, never of what was before.

So the counters depend on the recommendations that there are, and not on the order or the batches in which they came,
were changed or went: a change is the old one taken away and the new one added.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from genonaut.content.interactions.counting import Moves, stripe_of_user

Facet = tuple[str, str]
"""What is counted, and of which value: ("algorithm", "blend@1"), ("feedback", "like")."""

ALL: Facet = ("all", "")
USERS: Facet = ("users", "")
"""How many recommendations there are; how many users have one."""
PARTS = 1_000_000
"""Scores are added up in millionths."""


@dataclass(frozen=True, slots=True)
class Counted:
    """A recommendation, as far as it is counted."""

    user_id: UUID
    algorithm_version: str
    score: float
    served: bool
    feedback: str | None
    shown: bool


class Moved:
    """By how much every counter moves; those of `users` in what is shown and in all."""

    def __init__(self) -> None:
        self.users: Moves[tuple[UUID, str, str]] = defaultdict(lambda: [0, 0])
        self.totals: Moves[tuple[str, str, int]] = defaultdict(lambda: [0])

    def change(self, before: Counted | None, after: Counted | None) -> None:
        if before:
            self._add(before, -1)
        if after:
            self._add(after, 1)

    def of_total(self, facet: Facet, stripe: int, count: int) -> None:
        self.totals[*facet, stripe][0] += count

    def _add(self, one: Counted, sign: int) -> None:
        for (facet, value), count in _facets(one):
            both = self.users[one.user_id, facet, value]
            both[0] += sign * count if one.shown else 0
            both[1] += sign * count
            if one.shown:
                self.of_total((facet, value), stripe_of_user(one.user_id), sign * count)


def _facets(one: Counted) -> Iterator[tuple[Facet, int]]:
    yield ALL, 1
    yield ("score", "millionths"), round(one.score * PARTS)
    yield ("algorithm", one.algorithm_version), 1
    if one.served:
        yield ("served", ""), 1
        yield ("served_by", one.algorithm_version), 1
    if one.feedback:
        yield ("feedback", one.feedback), 1
        yield (f"{one.feedback}_by", one.algorithm_version), 1
