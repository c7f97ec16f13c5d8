"""Reading: what a term finds, out of the segments and the tail as they are in one snapshot.

Bits that have been read are kept in the process by the version of their block, so that only what has changed since is
read again, and nothing stale is ever used.
"""

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg
from pyroaring import BitMap

from genonaut.content.search.arrays import condition, numbered
from genonaut.content.search.matches import BEHIND, NONE, Bound, Loose, Matches, Place, SortKey, evaluated
from genonaut.content.search.terms import Term, keys_of

CACHE_BYTES = 96 * 1024 * 1024


@dataclass(frozen=True)
class Block:
    number: int
    version: UUID
    first: SortKey
    last: SortKey


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
        self._bits[version, key] = bits, size
        self._bytes += size
        while self._bytes > self._max_bytes:
            _, (_, freed) = self._bits.popitem(last=False)
            self._bytes -= freed


_OVERHEAD = 300
"""Bytes that an entry takes beside its bits."""

cache = SegmentCache(CACHE_BYTES)


async def find(
    connection: asyncpg.Connection, terms: Sequence[Term], bounds: Sequence[SortKey] = ()
) -> tuple[list[Matches], list[Bound]]:
    """What each of the terms finds, and where the bounds stand in it. `connection` reads one snapshot."""
    blocks = [
        Block(number, version, (first_at, first_id), (last_at, last_id))
        for number, version, first_at, first_id, last_at, last_id in await connection.fetch(_BLOCKS)
    ]
    arguments: list[list[int]] = []
    met = [condition(term, "keys", numbered(arguments)) for term in terms]
    tail = await connection.fetch(_TAIL.format(found=", ".join(met), or_found=" OR ".join(met)), *arguments)
    segments = await _segments(connection, blocks, {key for term in terms for key in keys_of(term)})
    outdated: dict[int, list[int]] = {}
    for _, _, number, position, _ in tail:
        if number is not None:
            outdated.setdefault(number, []).append(position)
    masks = {number: BitMap(positions) for number, positions in outdated.items()}
    tail.sort(key=lambda row: (row["created_at"], row["item_id"]))
    unplaced = [(row["created_at"], row["item_id"]) for row in tail if row["block"] is None]
    places = iter(await _places(connection, blocks, [*unplaced, *bounds]))
    loose = [
        Loose((created_at, item_id), next(places) if number is None else Place(number, position))
        for item_id, created_at, number, position, _ in tail
    ]
    found = []
    for index, term in enumerate(terms):
        bits = {block.number: evaluated(term, segments[block.number]) for block in blocks}
        bits |= {number: bits[number] - mask for number, mask in masks.items()}
        found.append(Matches(bits, [each for each, row in zip(loose, tail, strict=True) if row["found"][index]]))
    return found, [Bound(key, place) for key, place in zip(bounds, places, strict=True)]


async def _segments(
    connection: asyncpg.Connection, blocks: Sequence[Block], keys: Iterable[int]
) -> Mapping[int, Mapping[int, BitMap]]:
    """The bits of the keys by block. A key that does not occur in one is not there, or has no bits."""
    read: dict[int, dict[int, BitMap]] = {}
    missing: list[tuple[Block, int]] = []
    for block in blocks:
        bits = read[block.number] = {}
        for key in keys:
            kept = cache.get(block.version, key)
            if kept is None:
                missing.append((block, key))
            else:
                bits[key] = kept
    if missing:
        numbers, wanted = [block.number for block, _ in missing], [key for _, key in missing]
        stored = {(row["block"], row["key"]): row["bits"] for row in await connection.fetch(_SEGMENTS, numbers, wanted)}
        for block, key in missing:
            data = stored.get((block.number, key))
            read[block.number][key] = fresh = BitMap.deserialize(data) if data else NONE
            cache.put(block.version, key, fresh, len(data) if data else 0)
    return read


async def _places(
    connection: asyncpg.Connection, blocks: Sequence[Block], sort_keys: Sequence[SortKey]
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
        rows = await connection.fetch(
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


_BLOCKS = """
SELECT block, version, first_at, first_id, last_at, last_id FROM search_blocks ORDER BY first_at, first_id
"""

_TAIL = """
SELECT item_id, created_at, block, position, ARRAY[{found}] AS found FROM search_tail
WHERE block IS NOT NULL OR {or_found}
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
