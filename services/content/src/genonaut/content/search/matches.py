"""The items that a search finds: how many, and which are from here to there by when they were made. Pure.

Those in blocks are bits, in the order of time. The others, the tail, are found one by one, and each knows how many of
the bits come before it.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import accumulate
from typing import NamedTuple

from pyroaring import BitMap

from genonaut.content.search.terms import AnyOf, Every, Except, Has, Term

NONE = BitMap()

SortKey = tuple[datetime, int]
"""When an item was made, and its id."""


def evaluated(term: Term, bits: Mapping[int, BitMap]) -> BitMap:
    """The positions in one block that meet the term. `bits` has those of each key. Read only, as are those."""
    match term:
        case Has(key):
            return bits.get(key, NONE)
        case AnyOf(terms):
            return BitMap.union(*(evaluated(part, bits) for part in terms)) if terms else NONE
        case Every(terms):
            found = sorted((evaluated(part, bits) for part in terms), key=len)
            return BitMap.intersection(*found) if found[0] else NONE
        case Except(wanted, unwanted):
            return evaluated(wanted, bits) - evaluated(unwanted, bits)


class Place(NamedTuple):
    """A place in a block: a position, or, of something that is in none, the last one before it."""

    block: int
    position: int
    """-1 before the first one."""


BEHIND = 2**16 - 1
"""The position that comes last in any block."""


class Loose(NamedTuple):
    """An item that is found in the tail."""

    sort_key: SortKey
    after: Place | None
    """None before all blocks."""

    @property
    def item_id(self) -> int:
        return self.sort_key[1]


@dataclass(frozen=True)
class Bound:
    """Where something that need not be found stands among what is: before it are the smaller sort keys."""

    sort_key: SortKey
    after: Place | None


@dataclass(frozen=True)
class Matches:
    blocks: Mapping[int, BitMap]
    """What is found in each block, earliest block first."""
    loose: Sequence[Loose] = ()
    """By their sort keys."""

    @cached_property
    def _before(self) -> dict[int, int]:
        """How many bits are in earlier blocks."""
        return dict(zip(self.blocks, accumulate(map(len, self.blocks.values()), initial=0), strict=False))

    @cached_property
    def _folded(self) -> int:
        return sum(map(len, self.blocks.values()))

    @cached_property
    def _ranks(self) -> list[int]:
        """How many of all that is found come before each of the loose ones."""
        ranks: list[int] = []
        after, bits = None, 0
        for index, each in enumerate(self.loose):
            if each.after is not after:  # most of them come after the last block, all at the same place
                after, bits = each.after, self._bits_up_to(each.after)
            ranks.append(bits + index)
        return ranks

    def __len__(self) -> int:
        return self._folded + len(self.loose)

    def _bits_up_to(self, place: Place | None) -> int:
        if place is None:
            return 0
        bits = self.blocks[place.block]
        return self._before[place.block] + (bits.rank(place.position) if place.position >= 0 else 0)

    def before(self, bound: Bound) -> int:
        """How many are made before it."""
        return self._bits_up_to(bound.after) + bisect_left(self.loose, bound.sort_key, key=lambda each: each.sort_key)

    def between(self, start: int, end: int) -> "list[Place | Loose]":
        """Those with rank `start` to `end` (exclusive), counted from the earliest, which is 0."""
        first, last = bisect_left(self._ranks, start), bisect_left(self._ranks, end)
        loose = dict(zip(self._ranks[first:last], self.loose[first:last], strict=True))
        places = self._places(start - first, end - last)
        return [loose.get(rank) or next(places) for rank in range(start, end)]

    def places(self) -> Iterator[Place]:
        """All that are in blocks, earliest first."""
        return self._places(0, self._folded)

    def _places(self, start: int, end: int) -> Iterator[Place]:
        for block, bits in self.blocks.items():
            before = self._before[block]
            if before >= end:
                return
            if before + len(bits) > start:
                for position in bits[max(0, start - before) : end - before]:
                    yield Place(block, position)

    def has(self, item_id: int, block: int | None, position: int) -> bool:
        """Whether an item is found that is at this position of a block, or in the tail, or both."""
        return (block is not None and position in self.blocks.get(block, NONE)) or item_id in self._loose_ids

    @cached_property
    def _loose_ids(self) -> set[int]:
        return {each.item_id for each in self.loose}

    def from_(self, bound: Bound) -> "Matches":
        """Those of them that are not made before it."""
        blocks = dict(self.blocks)
        for number in self.blocks:
            if bound.after is None:
                break
            if number == bound.after.block:
                blocks[number] = self.blocks[number] - BitMap(range(bound.after.position + 1))
                break
            blocks[number] = NONE
        first = bisect_left(self.loose, bound.sort_key, key=lambda each: each.sort_key)
        return Matches(blocks, self.loose[first:])
