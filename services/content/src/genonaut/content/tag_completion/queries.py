"""What completion reads for every answer: which words have changed, and which tags are how popular."""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.tag_completion.domain import Known, range_of
from genonaut.content.tag_completion.tables import tag_word_revisions


async def revision(connection: AsyncConnection) -> int:
    """The sum of all revisions, which says whether any of them has changed."""
    total = await connection.scalar(select(func.sum(tag_word_revisions.c.revision)))
    return int(total or 0)


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
        found[row.shard].append(Known(row.id, row.slug, row.name, row.aliases, row.cardinality))
    return found


async def most_popular(connection: AsyncConnection, tag_ids: Collection[UUID], *, limit: int) -> list[dict[str, Any]]:
    """The tags with the most public items, with their `cardinality`, most first; of equals the first ones given."""
    rows = await connection.execute(text(_MOST_POPULAR), {"tag_ids": list(tag_ids), "limit": limit})
    return [dict(row) for row in rows.mappings()]


_KNOWN = """
SELECT asked.shard, t.id, t.slug, t.name,
       ARRAY(SELECT alias FROM tag_aliases WHERE tag_id = t.id) AS aliases,
       (SELECT CAST(coalesce(sum(cardinality), 0) AS bigint) FROM tag_cardinality_stats WHERE tag_id = t.id)
           AS cardinality
FROM unnest(CAST(:shards AS int[]), CAST(:firsts AS uuid[]), CAST(:lasts AS uuid[])) AS asked (shard, first, last)
JOIN tags t ON t.id BETWEEN asked.first AND asked.last
WHERE NOT t.is_private
"""

# Each is counted by itself: a join is planned as if the counts of all tags were to be read.
_MOST_POPULAR = """
WITH most AS MATERIALIZED (
    SELECT asked.id, asked.place, counted.cardinality
    FROM unnest(CAST(:tag_ids AS uuid[])) WITH ORDINALITY AS asked (id, place)
    CROSS JOIN LATERAL (
        SELECT CAST(coalesce(sum(cardinality), 0) AS bigint) AS cardinality
        FROM tag_cardinality_stats WHERE tag_id = asked.id
    ) counted
    ORDER BY counted.cardinality DESC, asked.place
    LIMIT :limit
)
SELECT t.id, t.slug, t.name, most.cardinality FROM most JOIN tags t ON t.id = most.id
WHERE NOT t.is_private
ORDER BY most.cardinality DESC, most.place
"""
