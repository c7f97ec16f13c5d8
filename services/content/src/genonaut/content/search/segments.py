"""Reading: what a term finds, out of the segments and the tail as they are in one snapshot.

Bits that have been read are kept in the process by the version of their block, so that only what has changed since is
read again, and nothing stale is ever used.
"""

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg
from pyroaring import BitMap
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.search.arrays import condition, numbered
from genonaut.content.search.matches import BEHIND, NONE, Bound, Loose, Matches, Place, SortKey, evaluated
from genonaut.content.search.terms import Term, keys_of

CACHE_BYTES = 96 * 1024 * 1024

Bits = Mapping[int, Mapping[int, BitMap]]
"""By block and key. A key that does not occur in a block is not there, or has no bits."""


@dataclass(frozen=True)
class Block:
    number: int
    version: UUID
    first_at: datetime
    first_id: int
    last_at: datetime
    last_id: int
    positions: int
    """Below this one; some are holes."""

    @property
    def first(self) -> SortKey:
        return self.first_at, self.first_id

    @property
    def last(self) -> SortKey:
        return self.last_at, self.last_id


class SegmentCache:
    """Bits by the version of their block and their key; those that were not used for longest go first."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._bits: OrderedDict[tuple[UUID, int], tuple[BitMap, int]] = OrderedDict()

    def get(self, version: UUID, key: int) -> BitMap | None:
        entry = self._bits.get((version, key))
        if entry is None:
            return None
        self._bits.move_to_end((version, key))
        return entry[0]

    def put(self, version: UUID, key: int, bits: BitMap, size: int) -> None:
        size += _OVERHEAD
        _, replaced = self._bits.get((version, key), (NONE, 0))  # two that missed it at the same time both put it
        self._bytes -= replaced
        self._bits[version, key] = bits, size
        self._bytes += size
        while self._bytes > self._max_bytes:
            _, (_, freed) = self._bits.popitem(last=False)
            self._bytes -= freed


_OVERHEAD = 300
"""Bytes that an entry takes beside its bits."""

cache = SegmentCache(CACHE_BYTES)


async def all_blocks(connection: AsyncConnection) -> tuple[int, Sequence[Block]]:
    """The revision of the words, and every block, earliest first.

    What is read of them has to be read in the same snapshot.
    """
    rows = (await connection.execute(_BLOCKS)).all()
    return rows[0][0] or 0, [Block(*block) for _, *block in rows if block[0] is not None]


async def find(
    driver: asyncpg.Connection,
    blocks: Sequence[Block],
    term: Term,
    bounds: Sequence[SortKey] = (),
    counted: Sequence[Term] = (),
) -> tuple[Matches, list[Bound], Sequence[int]]:
    """What the term finds, where the bounds stand in it, and how many items each of the others finds."""
    arguments: list[list[int]] = []
    argument = numbered(arguments)
    met, *counts_met = (condition(each, "keys", argument, facets="facets") for each in (term, *counted))
    if counted:
        columns = "".join(f", {each} AS counted_{number}" for number, each in enumerate(counts_met))
        counts = ", ".join(f"count(*) FILTER (WHERE counted_{number})" for number in range(len(counted)))
        *tail, (*_, in_tail) = await driver.fetch(
            _TAIL_AND_COUNTS.format(met=met, columns=columns, counts=counts), *arguments
        )
    else:
        tail, in_tail = await driver.fetch(_TAIL.format(met=met), *arguments), []
    segments = await bits(driver, blocks, {key for each in (term, *counted) for key in keys_of(each)})
    outdated = _outdated((row["block"], row["position"]) for row in tail)
    found = [row for row in tail if row["found"]]
    places = await _places(driver, blocks, [*_unplaced(found), *bounds])
    after = dict(zip([*_unplaced(found), *bounds], places, strict=True))
    return (
        _matches(term, segments, outdated, found, after),
        [Bound(key, after[key]) for key in bounds],
        _counted(blocks, segments, outdated, counted, in_tail),
    )


async def find_each(driver: asyncpg.Connection, blocks: Sequence[Block], terms: Sequence[Term]) -> Sequence[Matches]:
    """What each of the terms finds."""
    arguments: list[list[int]] = []
    argument = numbered(arguments)
    met = ", ".join(condition(each, "keys", argument, facets="facets") for each in terms)
    tail = await driver.fetch(_TAIL_OF_EACH.format(met=met), *arguments)
    segments = await bits(driver, blocks, {key for term in terms for key in keys_of(term)})
    outdated = _outdated((row["block"], row["position"]) for row in tail)
    places = await _places(driver, blocks, _unplaced(tail))
    after = dict(zip(_unplaced(tail), places, strict=True))
    return [
        _matches(term, segments, outdated, [row for row in tail if row["found"][number]], after)
        for number, term in enumerate(terms)
    ]


async def count(driver: asyncpg.Connection, blocks: Sequence[Block], terms: Sequence[Term]) -> Sequence[int]:
    """How many items each of the terms finds."""
    if not terms:
        return []
    arguments: list[list[int]] = []
    argument = numbered(arguments)
    met = [condition(term, "keys", argument, facets="facets") for term in terms]
    filtered = [f"count(*) FILTER (WHERE {each})" for each in met]
    counts: list[int]
    *counts, numbers, positions = await driver.fetchrow(_COUNTED.format(counts=", ".join(filtered)), *arguments)
    outdated = _outdated(zip(numbers or (), positions or (), strict=True))
    segments = await bits(driver, blocks, {key for term in terms for key in keys_of(term)})
    return _counted(blocks, segments, outdated, terms, counts)


def _matches(
    term: Term,
    segments: Bits,
    outdated: Mapping[int, BitMap],
    found: Iterable[asyncpg.Record],
    after: Mapping[SortKey, Place | None],
) -> Matches:
    """`found` is of the tail, and `after` where those stand that are in no block."""
    folded = {number: evaluated(term, of_block) for number, of_block in segments.items()}
    folded |= {number: folded[number] - positions for number, positions in outdated.items()}
    loose = []
    for row in found:
        sort_key = row["created_at"], row["item_id"]
        placed = row["block"] is not None
        loose.append(Loose(sort_key, Place(row["block"], row["position"]) if placed else after[sort_key]))
    return Matches(folded, sorted(loose))


def _unplaced(tail: Iterable[asyncpg.Record]) -> Sequence[SortKey]:
    """Those that are in no block."""
    return [(row["created_at"], row["item_id"]) for row in tail if row["block"] is None]


def _outdated(places: Iterable[tuple[int | None, int]]) -> Mapping[int, BitMap]:
    """Positions by their block, of those that are in one."""
    found: dict[int, BitMap] = {}
    for number, position in places:
        if number is not None:
            found.setdefault(number, BitMap()).add(position)
    return found


def _counted(
    blocks: Sequence[Block],
    segments: Bits,
    outdated: Mapping[int, BitMap],
    terms: Sequence[Term],
    in_tail: Sequence[int],
) -> Sequence[int]:
    counts = list(in_tail)
    for index, term in enumerate(terms):
        for block in blocks:
            found = evaluated(term, segments[block.number])
            gone = outdated.get(block.number, NONE)
            counts[index] += len(found) - found.intersection_cardinality(gone)
    return counts


async def bits(driver: asyncpg.Connection, blocks: Sequence[Block], keys: Iterable[int]) -> Bits:
    """The bits of the keys. Read only."""
    read: dict[int, dict[int, BitMap]] = {}
    missing: list[tuple[Block, int]] = []
    for block in blocks:
        of_block = read[block.number] = {}
        for key in keys:
            kept = cache.get(block.version, key)
            if kept is None:
                missing.append((block, key))
            else:
                of_block[key] = kept
    if missing:
        numbers, wanted = [block.number for block, _ in missing], [key for _, key in missing]
        stored = {(row["block"], row["key"]): row["bits"] for row in await driver.fetch(_SEGMENTS, numbers, wanted)}
        for block, key in missing:
            data = stored.get((block.number, key))
            read[block.number][key] = fresh = BitMap.deserialize(data) if data else NONE
            cache.put(block.version, key, fresh, len(data) if data else 0)
    return read


async def _places(
    driver: asyncpg.Connection, blocks: Sequence[Block], sort_keys: Sequence[SortKey]
) -> list[Place | None]:
    """The last place in a block before each of the sort keys."""
    firsts = [block.first for block in blocks]
    behind = [None, *(Place(block.number, BEHIND) for block in blocks)]
    places: list[Place | None] = []
    inside: list[tuple[int, Block, SortKey]] = []
    for index, sort_key in enumerate(sort_keys):
        earlier = bisect_left(firsts, sort_key)
        places.append(behind[earlier])
        if earlier and sort_key <= blocks[earlier - 1].last:
            inside.append((index, blocks[earlier - 1], sort_key))
    if inside:
        rows = await driver.fetch(
            _POSITIONS,
            [block.number for _, block, _ in inside],
            [block.first[0] for _, block, _ in inside],
            [block.first[1] for _, block, _ in inside],
            [sort_key[0] for _, _, sort_key in inside],
            [sort_key[1] for _, _, sort_key in inside],
        )
        for (index, block, _), (position,) in zip(inside, rows, strict=True):
            places[index] = Place(block.number, position)
    return places


_BLOCKS = text("""
SELECT words.revision, block, version, first_at, first_id, last_at, last_id, next_position
FROM (SELECT max(revision) AS revision FROM search_word_revision) words LEFT JOIN search_blocks ON true
ORDER BY first_at, first_id
""")

# OFFSET 0, or what is asked of the keys would be asked twice of each row.
_TAIL = """
SELECT item_id, created_at, block, position, found
FROM (SELECT item_id, created_at, block, position, {met} AS found FROM search_tail OFFSET 0) t
WHERE found OR block IS NOT NULL
"""

_TAIL_OF_EACH = """
SELECT item_id, created_at, block, position, found
FROM (SELECT item_id, created_at, block, position, ARRAY[{met}] AS found FROM search_tail OFFSET 0) t
WHERE true = ANY(found) OR block IS NOT NULL
"""

_TAIL_AND_COUNTS = """
WITH t AS MATERIALIZED (SELECT item_id, created_at, block, position, {met} AS found{columns} FROM search_tail)
SELECT item_id, created_at, block, position, found, NULL AS counts FROM t WHERE found OR block IS NOT NULL
UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, ARRAY[{counts}] FROM t
"""

_COUNTED = """
SELECT {counts}, array_agg(block) FILTER (WHERE block IS NOT NULL),
       array_agg(position) FILTER (WHERE block IS NOT NULL)
FROM search_tail
"""

_SEGMENTS = """
SELECT s.block, s.key, s.bits
FROM unnest($1::int[], $2::int[]) AS w (block, key) JOIN search_segments s ON s.key = w.key AND s.block = w.block
"""

_POSITIONS = """
SELECT coalesce(before.position, -1)
FROM unnest($1::int[], $2::timestamptz[], $3::bigint[], $4::timestamptz[], $5::bigint[])
     WITH ORDINALITY AS w (block, first_at, first_id, at, id, number)
LEFT JOIN LATERAL (
    SELECT p.position FROM search_rows r JOIN search_positions p ON p.item_id = r.item_id AND p.block = w.block
    WHERE (r.created_at, r.item_id) < (w.at, w.id) AND (r.created_at, r.item_id) >= (w.first_at, w.first_id)
    ORDER BY r.created_at DESC, r.item_id DESC LIMIT 1
) before ON true
ORDER BY w.number
"""
