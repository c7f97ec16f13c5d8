"""What completion reads for every answer: which words have changed, and which tags are how popular."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.tag_completion.domain import Known, Match, range_of
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


async def best(connection: AsyncConnection, matches: Collection[Match], *, limit: int) -> list[dict[str, Any]]:
    """The tags with the best scores, of equals those with the most public items, with their `cardinality`.

    Of equals in this, too, the first ones given.
    """
    columns = {"tag_ids": [match.tag_id for match in matches], "scores": [match.score for match in matches]}
    rows = await connection.execute(text(_BEST), {**columns, "limit": limit})
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
_BEST = """
WITH best AS MATERIALIZED (
    SELECT asked.id, asked.score, asked.place, counted.cardinality
    FROM unnest(CAST(:tag_ids AS uuid[]), CAST(:scores AS float8[])) WITH ORDINALITY AS asked (id, score, place)
    CROSS JOIN LATERAL (
        SELECT CAST(coalesce(sum(cardinality), 0) AS bigint) AS cardinality
        FROM tag_cardinality_stats WHERE tag_id = asked.id
    ) counted
    ORDER BY asked.score DESC, counted.cardinality DESC, asked.place
    LIMIT :limit
)
SELECT t.id, t.slug, t.name, best.cardinality FROM best JOIN tags t ON t.id = best.id
WHERE NOT t.is_private
ORDER BY best.score DESC, best.cardinality DESC, best.place
"""
