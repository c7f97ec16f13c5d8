"""What galleries are asked for by tags: shapes from one rare tag to fifteen popular ones, many questions of each."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tagged_gallery import SIZES, Gallery

from genonaut.content.search.domain import EVERYTHING, Scope

POPULAR, MIDDLE, RARE = range(1, 41), range(300, 2001), range(9_400, 15_001)
UNCOMMON = range(1_500, 3_001)
"""Two of them are on a handful of items together."""
BUSY, QUIET = 2, 400
"""Creators with many items, and with few."""
DEEP = 100_000
"""Rows, at full scale."""

Pools = Sequence[tuple[Sequence[int], int]]


@dataclass(frozen=True, kw_only=True)
class Question:
    """One page and its total, newest or highest first."""

    shape: str
    group: str
    number: int
    """Among those of its shape. Shapes that differ in the page alone have the same tags at the same number."""
    tags: tuple[int, ...] = ()
    every: bool = True
    unwanted: tuple[int, ...] = ()
    viewer: int | None = None
    """The number of a creator."""
    scopes: tuple[Scope, ...] = EVERYTHING
    sort: str = "created_at"
    size: int = 10
    skip: int = 0
    by_cursor: bool = False
    start: tuple[Any, int] | None = None
    """By cursor: sort value and id of the row before the page."""


@dataclass(frozen=True)
class _Shape:
    name: str
    group: str
    pools: Pools = ()
    unwanted: Pools = ()
    fixed: Mapping[str, Any] = field(default_factory=dict)
    views: Mapping[str, tuple[str, Mapping[str, Any]]] = field(default_factory=dict)
    """Other pages of the same, by name: their group, and what differs."""


def questions(gallery: Gallery, count: int) -> list[Question]:
    """So many, of all shapes alike."""
    skip = DEEP * gallery.items // SIZES["88m"]
    asked: list[Question] = []
    number = 0
    while len(asked) < count:
        for shape in _shapes(gallery, skip):
            asked += _of(shape, number)
        number += 1
    return asked[:count]


def _of(shape: _Shape, number: int) -> Iterator[Question]:
    draw = random.Random(f"{shape.name} {number}")
    tags = tuple(tag for pool, count in shape.pools for tag in draw.sample(pool, count))
    left = [([tag for tag in pool if tag not in tags], count) for pool, count in shape.unwanted]
    unwanted = tuple(tag for pool, count in left for tag in draw.sample(pool, count))
    first = Question(
        shape=shape.name, group=shape.group, number=number, tags=tags, unwanted=unwanted, **dict(shape.fixed)
    )
    yield first
    for name, (group, changes) in shape.views.items():
        yield replace(first, shape=f"{shape.name}, {name}", group=group, **dict(changes))


def _shapes(gallery: Gallery, skip: int) -> list[_Shape]:
    old, new = gallery.old_tags, gallery.new_tags
    both: Mapping[str, Any] = {"every": False}
    mine = tuple(Scope(scope.source_type, "user") for scope in EVERYTHING)
    others = (Scope("items", "community"),)
    fifty = {"50 rows": ("50 rows", {"size": 50})}
    deep = {
        "deep by offset": ("deep by date", {"skip": skip}),
        "deep by cursor": ("deep by date", {"skip": skip, "by_cursor": True}),
    }
    by_quality = {"by quality": ("by quality or title", {"sort": "quality_score"})}
    by_title = {"by title": ("by quality or title", {"sort": "title"})}
    deep_by_quality = {
        "by quality, deep by offset": ("deep by quality", {"sort": "quality_score", "skip": skip}),
        "by quality, deep by cursor": ("deep by quality", {"sort": "quality_score", "skip": skip, "by_cursor": True}),
    }
    return [
        _Shape("popular", "one tag", [(POPULAR, 1)], views=deep | by_quality | by_title | deep_by_quality),
        _Shape("middle", "one tag", [(MIDDLE, 1)], views=fifty | by_title),
        _Shape("rare", "one tag", [(RARE, 1)], views=by_quality),
        _Shape("old", "one tag", [(old, 1)]),
        _Shape("new", "one tag", [(new, 1)]),
        _Shape("2 popular", "every tag", [(POPULAR, 2)], views=deep | fifty | by_quality),
        _Shape("3 popular", "every tag", [(POPULAR, 3)]),
        _Shape("5 popular", "every tag", [(POPULAR, 5)], views=by_quality),
        _Shape("10 popular", "every tag", [(POPULAR, 10)]),
        _Shape("15 popular", "every tag", [(POPULAR, 15)]),
        _Shape("2 popular, 1 rare", "every tag", [(POPULAR, 2), (RARE, 1)]),
        _Shape("5 popular, 3 middle", "every tag", [(POPULAR, 5), (MIDDLE, 3)]),
        _Shape("3 middle", "every tag", [(MIDDLE, 3)], views=by_title),
        _Shape("2 uncommon: a handful", "every tag", [(UNCOMMON, 2)]),
        _Shape("1 popular, 1 old, 1 new: none", "every tag", [(POPULAR, 1), (old, 1), (new, 1)]),
        _Shape("2 popular, 1 old", "every tag", [(POPULAR, 2), (old, 1)]),
        _Shape("any of 2 popular", "any tag", [(POPULAR, 2)], fixed=both),
        _Shape("any of 5 mixed", "any tag", [(POPULAR, 1), (MIDDLE, 2), (RARE, 2)], fixed=both),
        _Shape("any of 10", "any tag", [(POPULAR, 3), (MIDDLE, 7)], fixed=both, views=deep | fifty | by_quality),
        _Shape("any of 5 rare", "any tag", [(RARE, 5)], fixed=both),
        _Shape("any of 2 old", "any tag", [(old, 2)], fixed=both),
        _Shape("popular without middle", "without a tag", [(POPULAR, 1)], [(MIDDLE, 1)]),
        _Shape("2 popular without 2 popular", "without a tag", [(POPULAR, 2)], [(POPULAR, 2)]),
        _Shape("any of 3 middle without popular", "without a tag", [(MIDDLE, 3)], [(POPULAR, 1)], both),
        _Shape("no tag, all for a viewer", "whose", fixed={"viewer": BUSY}),
        _Shape("2 popular, all for a viewer", "whose", [(POPULAR, 2)], fixed={"viewer": BUSY}),
        _Shape("popular of a busy creator", "whose", [(POPULAR, 1)], fixed={"viewer": BUSY, "scopes": mine}),
        _Shape("popular of a quiet creator", "whose", [(POPULAR, 1)], fixed={"viewer": QUIET, "scopes": mine}),
        _Shape("popular of others, regular", "whose", [(POPULAR, 1)], fixed={"viewer": BUSY, "scopes": others}),
    ]
