"""Tag events into the tables `tags`, `tag_parents` and `tag_closure`."""

from collections.abc import Sequence
from typing import cast

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.tags.tables import tag_closure, tag_parents, tags
from genonaut.contracts import Envelope
from genonaut.contracts.content import TagCreated, TagParentAdded, TagParentRemoved, TagPublished
from genonaut.platform.projections import Projection, Recorded

tags_projection = Projection("tags", tags, tag_parents, tag_closure)


@tags_projection.on_many(TagCreated)
async def _created(connection: AsyncConnection, recorded: Sequence[Recorded]) -> None:
    created = [(cast("TagCreated", each.event), each.envelope.time) for each in recorded]
    rows = [
        {
            "id": event.tag_id,
            "slug": event.slug,
            "name": event.name,
            "is_private": event.is_private,
            "created_at": time,
            "updated_at": time,
        }
        for event, time in created
    ]
    await connection.execute(tags.insert(), rows)


@tags_projection.on(TagPublished)
async def _published(connection: AsyncConnection, event: TagPublished, envelope: Envelope) -> None:
    seen = {"is_private": False, "name": event.name, "created_at": envelope.time, "updated_at": envelope.time}
    await connection.execute(tags.update().where(tags.c.id == event.tag_id).values(seen))


# The order of edges matters to the closure. It is the same in every replay, because who changes the hierarchy holds it
# (`queries.hold_relations`): their events are in the log in the order in which they were applied.


@tags_projection.on(TagParentAdded)
async def _parent_added(connection: AsyncConnection, event: TagParentAdded, envelope: Envelope) -> None:
    edge = {"tag_id": event.tag_id, "parent_id": event.parent_id}
    await connection.execute(tag_parents.insert().values(edge))
    await connection.execute(_CONNECT, edge)
    await connection.execute(tags.update().where(tags.c.id == event.tag_id).values(updated_at=envelope.time))


@tags_projection.on(TagParentRemoved)
async def _parent_removed(connection: AsyncConnection, event: TagParentRemoved, envelope: Envelope) -> None:
    edge = {"tag_id": event.tag_id, "parent_id": event.parent_id}
    await connection.execute(
        tag_parents.delete().where(tag_parents.c.tag_id == event.tag_id, tag_parents.c.parent_id == event.parent_id)
    )
    await connection.execute(_DISCONNECT, edge)
    await connection.execute(tags.update().where(tags.c.id == event.tag_id).values(updated_at=envelope.time))


_AROUND_THE_EDGE = """
WITH above (id, depth) AS (
    SELECT CAST(:parent_id AS uuid), 0
    UNION ALL
    SELECT ancestor_id, depth FROM tag_closure WHERE descendant_id = :parent_id
), below (id, depth) AS (
    SELECT CAST(:tag_id AS uuid), 0
    UNION ALL
    SELECT descendant_id, depth FROM tag_closure WHERE ancestor_id = :tag_id
)
"""

_CONNECT = text(f"""
{_AROUND_THE_EDGE}
INSERT INTO tag_closure (ancestor_id, descendant_id, depth)
SELECT above.id, below.id, above.depth + 1 + below.depth FROM above CROSS JOIN below
ON CONFLICT (ancestor_id, descendant_id) DO UPDATE SET depth = EXCLUDED.depth
WHERE tag_closure.depth > EXCLUDED.depth
""")

# Only pairs whose shortest way led over the edge can change. Every other way from above the edge to below it leaves
# what is above by one edge, once; what it takes before and after that edge never led over the removed one, so the table
# still tells how long it is.
_DISCONNECT = text(f"""
{_AROUND_THE_EDGE}, suspect AS (
    SELECT c.ancestor_id, c.descendant_id
    FROM above JOIN tag_closure c ON c.ancestor_id = above.id JOIN below ON below.id = c.descendant_id
    WHERE c.depth = above.depth + 1 + below.depth
), way_out (from_id, to_id) AS (
    SELECT e.parent_id, e.tag_id FROM above JOIN tag_parents e ON e.parent_id = above.id
    WHERE e.tag_id NOT IN (SELECT id FROM above)
), before (ancestor_id, from_id, depth) AS (
    SELECT id, id, 0 FROM above
    UNION ALL
    SELECT c.ancestor_id, c.descendant_id, c.depth
    FROM above JOIN tag_closure c ON c.descendant_id = above.id
), after (to_id, descendant_id, depth) AS (
    SELECT id, id, 0 FROM below
    UNION ALL
    SELECT c.ancestor_id, c.descendant_id, c.depth
    FROM below JOIN tag_closure c ON c.descendant_id = below.id
), remaining AS (
    SELECT ancestor_id, descendant_id, min(before.depth + 1 + after.depth) AS depth
    FROM before JOIN way_out USING (from_id) JOIN after USING (to_id)
    GROUP BY ancestor_id, descendant_id
)
MERGE INTO tag_closure c
USING (SELECT * FROM suspect LEFT JOIN remaining USING (ancestor_id, descendant_id)) now
ON c.ancestor_id = now.ancestor_id AND c.descendant_id = now.descendant_id
WHEN MATCHED AND now.depth IS NULL THEN DELETE
WHEN MATCHED THEN UPDATE SET depth = now.depth
""")
