"""Which of the items that are found are near a place in the order of their quality, as the bits of its steps tell."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import asyncpg
from pyroaring import BitMap

from genonaut.content.search import segments
from genonaut.content.search.keys import QUALITY_STEPS, STEPS_IN_RANGE, Kind, key, quality_step
from genonaut.content.search.matches import NONE, Loose, Matches
from genonaut.content.search.segments import Block

Position = tuple[float, int]
"""A quality and an id, which need not be of any item."""

_BEHIND_ZERO = (0.0, 2**63 - 1)


@dataclass(frozen=True)
class Near:
    candidates: Matches
    """All that is found in the steps that the page is in, and perhaps more."""
    skipped: int
    """How many are found in the steps before."""
    place: Position | None
    """Behind these, and before all candidates; None at the beginning of the order."""


async def near(
    driver: asyncpg.Connection,
    blocks: Sequence[Block],
    matches: Matches,
    *,
    falling: bool,
    place: Position | None,
    passed: int,
    wanted: int,
) -> Near:
    """Where to look for the first `wanted` beyond the place, of which the first `passed` are not asked for.

    At the place of an item nothing may be passed. The tail should be short: the quality of each of its items is read.
    """
    loose: dict[int, list[Loose]] = {}
    if matches.loose:
        rows = await driver.fetch(_QUALITIES, [each.item_id for each in matches.loose])
        qualities = {row["id"]: row["quality_score"] for row in rows}
        for each in matches.loose:
            loose.setdefault(quality_step(qualities[each.item_id]), []).append(each)

    first = quality_step(place[0]) if place else QUALITY_STEPS - 1 if falling else 0
    skipped, certain, chosen = 0, 0, list[int]()
    ranges = [key(Kind.QUALITY_RANGE, number) for number in range(QUALITY_STEPS // STEPS_IN_RANGE)]
    of_ranges = await segments.bits(driver, blocks, ranges)
    of_steps: dict[int, dict[int, BitMap]] = {block.number: {} for block in blocks}
    for number, steps in _ranges(first, falling=falling):
        in_range = _count(matches, of_ranges, ranges[number]) + sum(len(loose.get(step, ())) for step in steps)
        if not chosen and not place and skipped + in_range <= passed:
            skipped += in_range
            continue
        read = await segments.bits(driver, blocks, [key(Kind.QUALITY, step) for step in steps])
        for block, found in read.items():
            of_steps[block].update(found)
        for step in steps:
            count = _count(matches, read, key(Kind.QUALITY, step)) + len(loose.get(step, ()))
            if not chosen and not place and skipped + count <= passed:
                skipped += count
                continue
            chosen.append(step)
            if not place or step != first:  # some of those in the first one may be before the place
                certain += count
            if skipped + certain >= wanted:
                return Near(_among(matches, of_steps, loose, chosen), skipped, place or _before(chosen[0], falling))
    begin = place or (_before(chosen[0], falling) if chosen else None)
    return Near(_among(matches, of_steps, loose, chosen), skipped, begin)


def _ranges(first: int, *, falling: bool) -> Iterator[tuple[int, Sequence[int]]]:
    """The ranges from the one of the first step on, each with those of its steps that are not before that."""
    steps = range(first, -1, -1) if falling else range(first, QUALITY_STEPS)
    numbers = dict.fromkeys(step // STEPS_IN_RANGE for step in steps)
    for number in numbers:
        yield number, [step for step in steps if step // STEPS_IN_RANGE == number]


def _count(matches: Matches, of: "segments.Bits", key: int) -> int:
    return sum(bits.intersection_cardinality(of[number].get(key, NONE)) for number, bits in matches.blocks.items())


def _among(matches: Matches, of_steps: "segments.Bits", loose: dict[int, list[Loose]], steps: Sequence[int]) -> Matches:
    keys = [key(Kind.QUALITY, step) for step in steps]
    blocks = {
        number: bits & BitMap.union(NONE, *(of_steps[number].get(each, NONE) for each in keys))
        for number, bits in matches.blocks.items()
    }
    return Matches(blocks, sorted(each for step in steps for each in loose.get(step, ())))


def _before(step: int, falling: bool) -> Position | None:
    """What comes right before all that is in the step, and right behind all of the step before."""
    if falling:
        return None if step == QUALITY_STEPS - 1 else _BEHIND_ZERO if step == 0 else ((step + 1) / QUALITY_STEPS, 0)
    return None if step == 0 else _BEHIND_ZERO if step == 1 else (step / QUALITY_STEPS, 0)


_QUALITIES = "SELECT id, quality_score FROM content_items_all WHERE id = ANY($1::bigint[])"
