"""What it costs the designs to keep up: new items and new tags of old ones, in milliseconds and in WAL."""

import statistics
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice
from typing import Any

import asyncpg
from harness import require, table
from rich.table import Table
from tag_tables import rows
from tagged_gallery import Gallery, made_at, slug

from genonaut.content.search import folding
from genonaut.content.search.keys import Kind, kind_of, tag_key
from genonaut.content.tags.domain import id_of

SINGLE, BATCHES, BATCH = 60, 3, 1_000
CHANGED = 5
"""Tags that an item loses, and gets others for, when it is tagged anew."""

Row = tuple[Any, ...]
Write = Callable[[Sequence[Row]], Awaitable[None]]


@dataclass
class Costs:
    """Of one transaction after the other, each by milliseconds and kB of WAL."""

    connection: asyncpg.Connection

    async def of(self, write: Write, batches: Sequence[Sequence[Row]]) -> str:
        """For one row, as text: what is usual."""
        milliseconds, written = [], []
        for batch in batches:
            before = await self.connection.fetchval("SELECT pg_current_wal_insert_lsn()")
            began = time.perf_counter()
            async with self.connection.transaction():
                await write(batch)
            milliseconds.append((time.perf_counter() - began) * 1000 / len(batch))
            size = await self.connection.fetchval("SELECT pg_current_wal_insert_lsn() - $1::pg_lsn", before)
            written.append(float(size) / 1024 / len(batch))
        return f"{statistics.median(milliseconds):.2f} / {statistics.median(written):.1f}"


async def written(connection: asyncpg.Connection, gallery: Gallery) -> Table:
    """The tables have other items afterwards than anything else knows of."""
    fresh = _fresh(gallery)
    costs = Costs(connection)
    report = table(
        f"Writing, ms / kB of WAL for each: an item with 75 tags, or {CHANGED} other tags for one",
        *("", "one item", f"of {BATCH:,} at once", "other tags", f"of {BATCH:,} at once"),
        *("folding an item", "folding other tags"),
    )

    async def inserted(design: _Junction | _Arrays) -> tuple[list[str], list[list[Row]]]:
        batches = [list(islice(fresh, BATCH)) for _ in range(BATCHES)]
        single = await costs.of(design.insert, [[row] for row in islice(fresh, SINGLE)])
        return [single, await costs.of(design.insert, batches)], batches

    async def retagged(design: _Junction | _Arrays, batches: list[list[Row]]) -> list[str]:
        single = await costs.of(design.retag, [[row] for row in batches[0][:SINGLE]])
        return [single, await costs.of(design.retag, batches[1:])]

    async def folded(items: int) -> str:
        return await costs.of(lambda _: _fold(connection), [[()] * items])

    junction, arrays = _Junction(connection), _Arrays(connection)
    costs_of_new, batches = await inserted(junction)
    report.add_row("seed baseline", *costs_of_new, *await retagged(junction, batches), "", "")
    await connection.execute("ALTER TABLE search_rows DISABLE TRIGGER USER")
    costs_of_new, batches = await inserted(arrays)
    report.add_row("array + GIN", *costs_of_new, *await retagged(arrays, batches), "", "")
    await connection.execute("ALTER TABLE search_rows ENABLE TRIGGER USER")
    await _fold(connection)
    costs_of_new, batches = await inserted(arrays)
    folding_new = await folded(SINGLE + BATCHES * BATCH)
    costs_of_changed = await retagged(arrays, batches)
    folding_changed = await folded(SINGLE + (BATCHES - 1) * BATCH)
    report.add_row("ours", *costs_of_new, *costs_of_changed, folding_new, folding_changed)
    return report


class _Junction:
    """One table of items and tags."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def insert(self, batch: Sequence[Row]) -> None:
        pairs = [(row[0], id_of(slug(key // tag_key(1)))) for row in batch for key in _tags(row)]
        await self._connection.execute(_JOIN, *map(list, zip(*pairs, strict=True)))

    async def retag(self, batch: Sequence[Row]) -> None:
        lost = [(row[0], id_of(slug(key // tag_key(1)))) for row in batch for key in _tags(row)[:CHANGED]]
        got = [(row[0], id_of(slug(key // tag_key(1)))) for row in batch for key in _others(row)]
        await self._connection.execute(_PART, *map(list, zip(*lost, strict=True)))
        await self._connection.execute(_JOIN, *map(list, zip(*got, strict=True)))


class _Arrays:
    """One row for each item, with whatever triggers it has."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def insert(self, batch: Sequence[Row]) -> None:
        if len(batch) == 1:
            await self._connection.execute(_ROW, *batch[0])
        else:
            await self._connection.copy_records_to_table(
                "search_rows", columns=("item_id", "created_at", "keys"), records=batch
            )

    async def retag(self, batch: Sequence[Row]) -> None:
        for item_id, _, keys in batch:
            row = (item_id, None, keys)
            await self._connection.execute(_RETAG, item_id, [*keys[CHANGED:], *_others(row)])


async def _fold(connection: asyncpg.Connection) -> None:
    """Everything. Raises RuntimeError when something is left."""
    folded = await folding.fold(connection, keep=0, batch=folding.BLOCK_SIZE)
    require(folded is not None and folded.left == 0, f"folding ends with {folded}")


def _fresh(gallery: Gallery) -> Iterator[Row]:
    """Rows as the gallery's own last ones, under ids of their own, later than all of those."""
    ids = count(gallery.items + 1)
    while True:
        *_, last = gallery.chunks()
        for (_, _, keys), id_ in zip(rows(last), ids, strict=False):
            yield id_, made_at(id_), keys


def _tags(row: Row) -> list[int]:
    return [key for key in row[2] if kind_of(key) == Kind.TAG]


def _others(row: Row) -> list[int]:
    """Keys of as many tags as it loses, which it does not have."""
    has = set(row[2])
    return list(islice((tag_key(tag) for tag in range(1, 10_000, 37) if tag_key(tag) not in has), CHANGED))


_JOIN = "INSERT INTO seed.content_tags SELECT id, 'auto', tag FROM unnest($1::bigint[], $2::uuid[]) AS p (id, tag)"
_PART = """
DELETE FROM seed.content_tags t USING unnest($1::bigint[], $2::uuid[]) AS p (id, tag)
WHERE t.content_id = p.id AND t.content_source = 'auto' AND t.tag_id = p.tag
"""
_ROW = "INSERT INTO search_rows (item_id, created_at, keys) VALUES ($1, $2, $3)"
_RETAG = "UPDATE search_rows SET keys = $2 WHERE item_id = $1"
