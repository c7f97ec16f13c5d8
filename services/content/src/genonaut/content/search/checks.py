"""The index and the counts of tags, made again from the rows and compared, in one snapshot while everything goes on.

What differs can be mended: a block is made anew from its rows, and a count is moved by what it is off, so that what
others count meanwhile is not lost.
"""

import asyncio
from array import array
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import asyncpg
from pyroaring import BitMap

from genonaut.content.search import folding
from genonaut.content.search.keys import Kind, is_private, kind_of, source_of
from genonaut.contracts.content import SourceType

CHUNK = 2_000
"""Rows that are looked at before others have their turn."""

Progress = Callable[[int, int], None]
"""Called with items done and items in all."""


@dataclass
class Drift:
    """What was found not to be as the rows have it."""

    items: int = 0
    blocks: list[int] = field(default_factory=list)
    """Those whose bits, or whose order, are not those of their rows."""
    lost: int = 0
    """Items that neither a block nor the tail knows of."""
    counts: dict[tuple[int, SourceType], int] = field(default_factory=dict)
    """By how much the count of a tag, by its key, and a source is too small."""

    def __bool__(self) -> bool:
        return bool(self.blocks or self.lost or self.counts)


async def drift(connection: asyncpg.Connection, *, progress: Progress = lambda *_: None) -> Drift:
    """Compares everything. `connection` reads one snapshot."""
    found = Drift()
    total = await connection.fetchval("SELECT count(*) FROM search_rows")
    counted: Counter[tuple[int, SourceType]] = Counter()
    previous = None
    for block in await connection.fetchval(_BLOCKS) or []:
        expected: dict[int, array[int]] = defaultdict(lambda: array("I"))
        ordered = True
        async for row in _chunked(connection, _OF_BLOCK, block):
            for key in row["folded_keys"] or row["keys"] or ():
                expected[key].append(row["position"])
            if row["keys"] is not None:
                _count(counted, row["keys"])
                found.items += 1
                ordered = ordered and (previous is None or previous < row["sort_key"])
                previous = row["sort_key"]
            if found.items % CHUNK == 0:
                progress(found.items, total)
        if not ordered or not await _same(connection, block, expected):
            found.blocks.append(block)
    async for row in _chunked(connection, _UNPLACED):
        _count(counted, row["keys"])
        found.items += 1
        found.lost += not row["in_tail"]
    progress(found.items, total)
    stored = {(row["key"], row["content_source"]): row["cardinality"] for row in await connection.fetch(_COUNTS)}
    for each in stored.keys() | counted.keys():
        if off := counted[each] - stored.get(each, 0):
            found.counts[each] = off
    return found


async def mend(connection: asyncpg.Connection, found: Drift) -> None:
    """In a transaction of the caller that has done nothing before. What others change meanwhile stays theirs."""
    if found.blocks or found.lost:
        await folding.remake(connection, found.blocks)
    if found.counts:
        keys, sources = [key for key, _ in found.counts], [source for _, source in found.counts]
        await connection.execute(_MOVE, keys, sources, list(found.counts.values()))


async def _chunked(connection: asyncpg.Connection, statement: str, *arguments: object) -> AsyncIterator[asyncpg.Record]:
    seen = 0
    async for row in connection.cursor(statement, *arguments, prefetch=CHUNK):
        yield row
        seen += 1
        if seen % CHUNK == 0:
            await asyncio.sleep(0)


async def _same(connection: asyncpg.Connection, block: int, expected: Mapping[int, "array[int]"]) -> bool:
    left = set(expected)
    async for row in _chunked(connection, _SEGMENTS, block):
        bits = BitMap.deserialize(row["bits"])
        if len(bits) != row["cardinality"] or bits != BitMap(expected.get(row["key"], array("I"))):
            return False
        left.discard(row["key"])
    return not left


def _count(counted: Counter[tuple[int, SourceType]], keys: Sequence[int]) -> None:
    for key in keys:
        if kind_of(key) == Kind.CLASS:
            if is_private(key):
                return
            source = source_of(key)
    counted.update((key, source) for key in keys if kind_of(key) == Kind.TAG)


_BLOCKS = "SELECT array_agg(block ORDER BY first_at, first_id) FROM search_blocks"

# What the segments say of an item that has changed since is what it was then.
_OF_BLOCK = """
SELECT p.position, r.keys, t.folded_keys, (r.created_at, r.item_id) AS sort_key
FROM search_positions p
LEFT JOIN search_rows r ON r.item_id = p.item_id
LEFT JOIN search_tail t ON t.item_id = p.item_id
WHERE p.block = $1 ORDER BY p.position
"""

_SEGMENTS = "SELECT key, cardinality, bits FROM search_segments WHERE block = $1"

_UNPLACED = """
SELECT r.keys, EXISTS (SELECT FROM search_tail t WHERE t.item_id = r.item_id AND t.keys = r.keys) AS in_tail
FROM search_rows r WHERE NOT EXISTS (SELECT FROM search_positions p WHERE p.item_id = r.item_id)
"""

_COUNTS = """
SELECT k.key, s.content_source, s.cardinality FROM tag_cardinality_stats s JOIN search_keys k ON k.id = s.tag_id
"""

_MOVE = """
INSERT INTO tag_cardinality_stats AS s (tag_id, content_source, cardinality, updated_at)
SELECT k.id, d.source, d.off, now() FROM unnest($1::int[], $2::text[], $3::bigint[]) AS d (key, source, off)
JOIN search_keys k ON k.key = d.key ORDER BY k.id
ON CONFLICT (tag_id, content_source) DO UPDATE SET cardinality = s.cardinality + excluded.cardinality
"""
