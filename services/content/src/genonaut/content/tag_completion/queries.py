"""What completion reads for every answer: which words have changed, and which tags are how popular."""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.tag_completion.domain import Known, range_of
from genonaut.content.tag_completion.tables import tag_word_revisions


async def revisions(connection: AsyncConnection) -> dict[int, int]:
    """The revision of each shard that has words."""
    rows = await connection.execute(select(tag_word_revisions.c.shard, tag_word_revisions.c.revision))
    return {row.shard: row.revision for row in rows}


async def known(connection: AsyncConnection, shards: Sequence[int]) -> dict[int, list[Known]]:
    """The tags of these shards that everybody sees, with their words."""
    firsts, lasts = zip(*map(range_of, shards), strict=True)
    rows = await connection.execute(
        text(_KNOWN), {"shards": list(shards), "firsts": list(firsts), "lasts": list(lasts)}
    )
    found: dict[int, list[Known]] = {shard: [] for shard in shards}
    for row in rows:
        found[row.shard].append(Known(row.id, row.slug, row.name, row.aliases))
    return found


async def most_popular(
    connection: AsyncConnection, tag_ids: Collection[UUID], *, limit: int | None = None
) -> list[dict[str, Any]]:
    """Those of the tags that everybody sees and that no alias stands for, with their `cardinality`, most first."""
    rows = await connection.execute(text(_MOST_POPULAR), {"tag_ids": list(tag_ids), "limit": limit})
    return [dict(row) for row in rows.mappings()]


_KNOWN = """
SELECT asked.shard, t.id, t.slug, t.name,
       ARRAY(SELECT alias FROM tag_aliases WHERE tag_id = t.id) AS aliases
FROM unnest(CAST(:shards AS int[]), CAST(:firsts AS uuid[]), CAST(:lasts AS uuid[])) AS asked (shard, first, last)
JOIN tags t ON t.id BETWEEN asked.first AND asked.last
WHERE NOT t.is_private
"""

# One that an alias stands for would not be used if it were chosen.
_MOST_POPULAR = """
SELECT t.id, t.slug, t.name, coalesce(regular.cardinality, 0) + coalesce(auto.cardinality, 0) AS cardinality
FROM unnest(CAST(:tag_ids AS uuid[])) AS asked (id)
JOIN tags t ON t.id = asked.id
LEFT JOIN tag_cardinality_stats regular ON regular.tag_id = t.id AND regular.content_source = 'items'
LEFT JOIN tag_cardinality_stats auto ON auto.tag_id = t.id AND auto.content_source = 'auto'
WHERE NOT t.is_private AND NOT EXISTS (SELECT FROM tag_aliases WHERE alias_id = t.id)
ORDER BY cardinality DESC, t.name, t.id
LIMIT :limit
"""
