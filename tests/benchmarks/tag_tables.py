"""A generated gallery in the tables of the content service, and beside them in the seed's junction of items."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import asyncpg
import numpy as np
from harness import MB, table
from rich.table import Table
from tagged_gallery import CREATORS, START, TAGS, Chunk, Gallery, creator_id, made_at, prompt, slug, title

from genonaut.content.items.domain import searchable
from genonaut.content.search import folding
from genonaut.content.search.keys import class_key, creator_key, quality_keys, tag_key, type_key
from genonaut.content.tags.domain import id_of

_NEWEST_IN_TAIL = 512


async def fill(connection: asyncpg.Connection, gallery: Gallery) -> int:
    """Everything in the service's tables, folded but for the newest 512 items, vacuumed and analysed.

    Returns how many pairs of an item and a tag there are.
    """
    pairs = 0
    public: Counter[tuple[int, str]] = Counter()
    await _fill_names(connection)
    index = await connection.fetchval("SELECT indexdef FROM pg_indexes WHERE indexname = 'idx_search_rows_keys'")
    await connection.execute("DROP INDEX idx_search_rows_keys")  # made at once it takes a fraction
    for chunk in gallery.chunks():
        pairs += len(chunk.tags)
        _count(chunk, public)
        await _copy(connection, "content_items_all", _ITEM, _items(chunk))
        await _copy(connection, "search_rows", ("item_id", "created_at", "keys"), rows(chunk))
        async with connection.transaction():
            await folding.fold(connection, keep=_NEWEST_IN_TAIL, batch=folding.BLOCK_SIZE)
    counts = ((id_of(slug(tag)), source, count, START) for (tag, source), count in public.items())
    await _copy(connection, "tag_cardinality_stats", ("tag_id", "content_source", "cardinality", "updated_at"), counts)
    await connection.execute("SET maintenance_work_mem = '1GB'")
    await connection.execute(index)
    await connection.execute("SELECT setval('content_items_id_seq', $1)", gallery.items)
    await connection.execute(
        "VACUUM (ANALYZE) content_items_all, users, tags, search_keys, search_rows, tag_cardinality_stats"
    )
    await connection.execute("VACUUM (FULL, ANALYZE) search_tail")
    await connection.execute("VACUUM (ANALYZE) search_blocks, search_positions, search_segments")
    return pairs


def _count(chunk: Chunk, public: "Counter[tuple[int, str]]") -> None:
    """Adds the public items of both sources with each tag."""
    is_auto = np.repeat(chunk.is_auto, np.diff(chunk.ends, prepend=0))
    is_public = np.repeat(~chunk.is_private, np.diff(chunk.ends, prepend=0))
    for source, of_source in (("items", ~is_auto), ("auto", is_auto)):
        counts = np.bincount(chunk.tags[of_source & is_public])
        public.update({(tag, source): int(counts[tag]) for tag in np.flatnonzero(counts).tolist()})


async def fill_junction(connection: asyncpg.Connection) -> None:
    """The seed's table with all of its indexes, filled from `search_rows`."""
    await connection.execute("SET maintenance_work_mem = '1GB'")
    for statement in filter(str.strip, _JUNCTION.split(";")):
        await connection.execute(statement)


async def stored(connection: asyncpg.Connection, in_memory: int) -> Table:
    """What each design takes, beside the items themselves. `in_memory` is bytes of bitmaps."""
    report = table("Storage in MB, beside the items", "", "rows", "indexes", "segments, positions, tail", "all")

    async def megabytes(function: str, *names: str) -> float:
        sizes = [await connection.fetchval(f"SELECT {function}('{name}')") for name in names]
        return sum(sizes) / MB

    array = [await megabytes(function, "search_rows") for function in ("pg_table_size", "pg_indexes_size")]
    blocks = ("search_segments", "search_positions", "search_blocks", "search_tail")
    ours = await megabytes("pg_total_relation_size", *blocks)
    seed = [await megabytes(function, "seed.content_tags") for function in ("pg_table_size", "pg_indexes_size")]
    for name, *sizes in (
        ("seed baseline", *seed, 0),
        ("array + GIN", *array, 0),
        ("segments, and the array that they are made of", *array, ours),
        ("bitmaps in memory", 0, 0, in_memory / MB),
    ):
        report.add_row(name, *(f"{each:,.1f}" if each else "" for each in (*sizes, sum(sizes))))
    return report


async def _fill_names(connection: asyncpg.Connection) -> None:
    tags = [(tag, slug(tag), id_of(slug(tag))) for tag in range(1, TAGS + 1)]
    creators = [(creator, f"creator-{creator}", creator_id(creator)) for creator in range(1, CREATORS + 1)]
    await _copy(
        connection,
        "tags",
        ("id", "slug", "name", "is_private", "created_at", "updated_at"),
        ((id_, name, name, False, START, START) for _, name, id_ in tags),
    )
    await _copy(
        connection,
        "users",
        ("id", "username", "email", "is_active", "preferences", "created_at", "updated_at"),
        ((id_, name, f"{name}@example.org", True, "{}", START, START) for _, name, id_ in creators),
    )
    keys = [(id_, tag_key(tag)) for tag, _, id_ in tags] + [(id_, creator_key(creator)) for creator, _, id_ in creators]
    await _copy(connection, "search_keys", ("id", "key"), keys)


def rows(chunk: Chunk) -> Iterator[tuple[Any, ...]]:
    """Those of `search_rows`: id, time and keys."""
    facts = zip(chunk.is_auto.tolist(), chunk.is_private.tolist(), chunk.creators.tolist(), strict=True)
    keys, ends, start = (chunk.tags * tag_key(1)).tolist(), chunk.ends.tolist(), 0
    for item_id, end, (is_auto, is_private, creator), quality in zip(
        chunk.ids, ends, facts, chunk.qualities.tolist(), strict=True
    ):
        class_ = class_key("auto" if is_auto else "items", is_private=is_private)
        others = [creator_key(creator), class_, type_key("image"), *quality_keys(quality)]
        yield item_id, made_at(item_id), keys[start:end] + others
        start = end


def _items(chunk: Chunk) -> Iterator[tuple[Any, ...]]:
    facts = (chunk.is_auto, chunk.is_private, chunk.creators, chunk.qualities, chunk.words)
    columns = (column.tolist() for column in facts)
    for item_id, is_auto, is_private, creator, quality, words in zip(chunk.ids, *columns, strict=True):
        named, prompted, at = title(words), prompt(words), made_at(item_id)
        yield (
            *(item_id, "auto" if is_auto else "items", named, "image", prompted, creator_id(creator), "{}", quality),
            *(is_private, f"/api/v1/images/{words:064x}?size=300", searchable(named, prompted), at, at),
        )


_ITEM = (
    *("id", "source_type", "title", "content_type", "prompt", "creator_id", "item_metadata", "quality_score"),
    *("is_private", "path_thumb", "search_text", "created_at", "updated_at"),
)


async def _copy(connection: asyncpg.Connection, table: str, columns: tuple[str, ...], records: Any) -> None:
    await connection.copy_records_to_table(table, columns=columns, records=records)


_JUNCTION = """
CREATE SCHEMA seed;
CREATE TABLE seed.content_tags (content_id bigint NOT NULL, content_source text NOT NULL, tag_id uuid NOT NULL);
INSERT INTO seed.content_tags
SELECT r.item_id, i.source_type, k.id
FROM search_rows r JOIN content_items_all i ON i.id = r.item_id
CROSS JOIN unnest(r.keys) AS u (key) JOIN search_keys k ON k.key = u.key AND u.key & 7 = 0;
ALTER TABLE seed.content_tags ADD PRIMARY KEY (content_id, content_source, tag_id);
CREATE INDEX idx_content_tags_tag_content ON seed.content_tags (tag_id, content_id);
CREATE INDEX idx_content_tags_content ON seed.content_tags (content_id, content_source);
CREATE INDEX idx_content_tags_tag_src_content ON seed.content_tags (tag_id, content_source, content_id);
VACUUM (ANALYZE) seed.content_tags
"""
