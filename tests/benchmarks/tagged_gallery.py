"""A gallery to search in: as many items as wanted, tagged as those of the seed are. Made anew it is the same one.

15,000 tags, 75 of them on an item on average; at the seed's size of 1,175,205 items the most popular one is on 870,000
and some 5,600 are on fewer than 100. A tenth of the tags beyond the 300 most popular are only on the oldest 30 % of the
items, another tenth only on the newest 20 %: what has one of either has nothing in common. Most items are automatic,
few are private, most are of few creators, a third have a quality of exactly 0.5. Three at a time were made in the same
moment.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from uuid import NAMESPACE_DNS, UUID, uuid5

import numpy as np
from numpy.typing import NDArray

TAGS = 15_000
CREATORS = 1_000
SIZES = {"100k": 1_333, "10m": 133_333, "88m": 1_175_205}
"""Items, by about how many pairs of an item and a tag there are."""
CHUNK = 2**16
ALWAYS = 300
"""So many tags, the most popular ones, are on items of any age."""
OLD, NEW = 0.3, 0.8
"""Where the items end that old tags are on, and where those begin that new tags are on."""
DENSE = 0.02
"""Tags more popular than this are drawn for each item, the others by how many items they are on."""
AUTO, PRIVATE, USUAL_QUALITY = 0.945, 0.02, 0.3
START = datetime(2023, 1, 1, tzinfo=UTC)
EVERY = timedelta(seconds=60)
AT_ONCE = 3

_LOOKS = ("amber", "broken", "calm", "distant", "frozen", "golden", "hidden", "misty")
_THINGS = ("bay", "cliff", "engine", "forest", "garden", "island", "lighthouse", "tower")
_STYLES = ("oil painting", "charcoal", "studio photograph", "watercolour", "long exposure", "isometric render")


@dataclass(frozen=True)
class Chunk:
    """Items that were made one after the other. Arrays have an entry for each, but `tags`, which has all of theirs."""

    ids: range
    tags: NDArray[np.int64]
    """Numbers of tags from 1, the most popular, item after item."""
    ends: NDArray[np.int64]
    """Where in `tags` those of each item end."""
    is_auto: NDArray[np.bool_]
    is_private: NDArray[np.bool_]
    creators: NDArray[np.int64]
    """Numbers from 1, who has most items."""
    qualities: NDArray[np.float64]
    words: NDArray[np.int64]
    """What titles and prompts are made of."""

    def of_tags(self) -> Iterator[tuple[int, NDArray[np.uint32]]]:
        """Each tag with the ids of its items."""
        items = np.repeat(np.arange(self.ids.start, self.ids.stop, dtype=np.uint32), np.diff(self.ends, prepend=0))
        order = np.argsort(self.tags.astype(np.int16), kind="stable")
        tags, firsts = np.unique(self.tags[order], return_index=True)
        yield from zip(tags.tolist(), np.split(items[order], firsts[1:]), strict=True)


@dataclass(frozen=True)
class Gallery:
    items: int
    seed: int = 1

    @classmethod
    def of(cls, size: str) -> "Gallery":
        return cls(SIZES[size])

    def chunks(self) -> Iterator[Chunk]:
        """Everything, oldest first."""
        for first in range(0, self.items, CHUNK):
            yield self._chunk(first, min(CHUNK, self.items - first))

    @cached_property
    def old_tags(self) -> list[int]:
        """Numbers of the tags that no item has any more."""
        return self._only[0]

    @cached_property
    def new_tags(self) -> list[int]:
        """Numbers of the tags that no item had before."""
        return self._only[1]

    @cached_property
    def _only(self) -> tuple[list[int], list[int]]:
        kind = np.random.default_rng(self.seed).random(TAGS)
        kind[:ALWAYS] = 0.5
        return (np.flatnonzero(kind < 0.1) + 1).tolist(), (np.flatnonzero(kind > 0.9) + 1).tolist()

    def _chunk(self, first: int, count: int) -> Chunk:
        rng = np.random.default_rng((self.seed, first))
        tags, ends = self._tags(rng, first, count)
        qualities = rng.random(count).round(3)
        qualities[rng.random(count) < USUAL_QUALITY] = 0.5
        return Chunk(
            ids=range(first + 1, first + count + 1),
            tags=tags,
            ends=ends,
            is_auto=rng.random(count) < AUTO,
            is_private=rng.random(count) < PRIVATE,
            creators=rng.zipf(1.3, count) % CREATORS + 1,
            qualities=qualities,
            words=rng.integers(0, 2**31, count),
        )

    def _tags(self, rng: np.random.Generator, first: int, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        low, high = np.zeros(TAGS), np.ones(TAGS)
        high[np.array(self.old_tags) - 1], low[np.array(self.new_tags) - 1] = OLD, NEW
        chance = np.minimum(0.9, popularity() / (high - low))
        # Where in this chunk each tag may be: usually everywhere.
        start = np.clip(low * self.items - first, 0, count).astype(np.int64)
        room = np.clip(high * self.items - first, 0, count).astype(np.int64) - start
        pairs = []
        for tag in np.flatnonzero((chance > DENSE) & (room > 0)):
            on = np.flatnonzero(rng.random(room[tag], dtype=np.float32) < chance[tag]) + start[tag]
            pairs.append(on * CHUNK + tag)
        sparse = np.flatnonzero((chance <= DENSE) & (room > 0))
        tag = np.repeat(sparse, rng.binomial(room[sparse], chance[sparse]))
        pairs.append((start[tag] + (rng.random(len(tag)) * room[tag]).astype(np.int64)) * CHUNK + tag)
        together = np.concatenate(pairs)
        together.sort()
        together = together[np.diff(together, prepend=-1) > 0]
        return together % CHUNK + 1, np.searchsorted(together // CHUNK, np.arange(1, count + 1))


def popularity() -> NDArray[np.float64]:
    """The share of the items that each tag is on."""
    shift = 100.394
    return 0.741 * ((1 + shift) / (np.arange(1, TAGS + 1) + shift)) ** 2


def slug(tag: int) -> str:
    return f"subject-{tag}"


def creator_id(creator: int) -> UUID:
    return uuid5(NAMESPACE_DNS, f"creator-{creator}")


def made_at(item_id: int) -> datetime:
    return START + EVERY * ((item_id - 1) // AT_ONCE)


def title(words: int) -> str:
    return f"The {_LOOKS[words % 8]} {_THINGS[words // 8 % 8]} of {_LOOKS[words // 64 % 8]} {words // 512 % 997}"


def prompt(words: int) -> str:
    look, thing, style = _LOOKS[words // 7 % 8], _THINGS[words // 11 % 8], _STYLES[words // 13 % 6]
    return f"{title(words)}, {style}, a {look} {thing} behind it, soft light from the left, no people, {words}"
