"""What algorithms judge by, and what they answer. Pure.

An algorithm is a function of the evidence: what the user did, who did the same, and the items that come into question.
Only items that everybody may see come into question, which are not the user's own, and with which the user has done
nothing yet; so whatever an algorithm picks of them may be shown.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, NamedTuple, Protocol

from genonaut.content.search.keys import KINDS, Kind, class_key, is_private, others_among, tags_among
from genonaut.contracts.content import InteractionType

STRENGTHS: Mapping[InteractionType, int] = {
    "view": 1,
    "rate": 0,
    "like": 4,
    "comment": 3,
    "bookmark": 5,
    "download": 5,
    "share": 5,
}
"""How much of a liking an interaction shows. With a rating, that says it instead."""
RATED: Mapping[int, int] = {1: 0, 2: 0, 3: 2, 4: 4, 5: 5}

_CREATOR, _CLASS = (kind.value for kind in (Kind.CREATOR, Kind.CLASS))

PUBLIC = frozenset(class_key(source, is_private=False) for source in ("items", "auto"))

Speaks = Literal["collaborative_filtering", "content_similarity", "popularity"]


def strength(interaction_type: InteractionType, rating: int | None) -> int:
    return STRENGTHS[interaction_type] if rating is None else RATED[rating]


class Features(NamedTuple):
    """What an item is found by."""

    tags: frozenset[int]
    creator: int
    is_private: bool

    @classmethod
    def of(cls, keys: Sequence[int]) -> "Features":
        """From the keys of search."""
        creator, source = 0, 0
        for key in others_among(keys):  # of hundreds of items for each request: kinds are numbers here, and no enum
            kind = key % KINDS
            if kind == _CREATOR:
                creator = key
            elif kind == _CLASS:
                source = key
        return cls(frozenset(tags_among(keys)), creator, is_private(source))


@dataclass(frozen=True)
class Seed:
    """An item that the user likes, by what they did with it: what shows that best, and how strongly."""

    item_id: int
    did: InteractionType
    weight: float
    features: Features


@dataclass(frozen=True)
class Neighbour:
    """Somebody who did something with some of the seeds, and what they did things with lately."""

    seeds: Sequence[int]
    """Places in the list of seeds."""
    items: Sequence[int]
    strengths: Sequence[int]
    """Of their liking, for each of the items."""


class Candidate(NamedTuple):
    item_id: int
    features: Features
    popularity: int
    users: int
    """How many did something with it."""


@dataclass(frozen=True)
class Evidence:
    """What is known when a user is to be recommended something."""

    seeds: Sequence[Seed] = ()
    neighbours: Sequence[Neighbour] = ()
    candidates: Mapping[int, Candidate] = field(default_factory=dict)
    liked_tags: frozenset[int] = frozenset()
    """Tags that the user said they like, or whose items they make."""
    tag_counts: Mapping[int, int] = field(default_factory=dict)
    """How many public items have each of the tags that the user may like."""
    total: int = 0
    """How many items there are, about."""

    @cached_property
    def profile(self) -> Mapping[int, float]:
        """How much the user likes each tag. A tag that most items have says little."""
        weights: defaultdict[int, float] = defaultdict(float)
        for seed in self.seeds:
            for tag in seed.features.tags:
                weights[tag] += seed.weight
        heaviest = max(weights.values(), default=1.0)
        for tag in self.liked_tags:
            weights[tag] += heaviest
        return {
            tag: weight * math.log(1 + self.total / (1 + self.tag_counts.get(tag, 0)))
            for tag, weight in weights.items()
        }


@dataclass(frozen=True)
class Pick:
    """An item to recommend, with a score from 0 to 1, and why."""

    item_id: int
    score: float
    speaks: Speaks
    """What speaks for it most."""
    seeds: Sequence[Seed] = ()
    """Because of these, the most telling first."""
    tags: Sequence[int] = ()
    """And of these."""
    creator: bool = False
    """And because the user likes other items of its creator."""


class Algorithm(Protocol):
    """Registered in `algorithms`. Another version of one is another algorithm."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...

    def rank(self, evidence: Evidence, limit: int) -> list[Pick]:
        """Up to so many of the candidates, the best first. The same evidence gives the same picks."""
        ...
