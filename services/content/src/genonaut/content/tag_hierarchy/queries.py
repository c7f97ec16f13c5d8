"""The hierarchy, read. Nothing private is in it."""

from typing import Any, Literal
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.tags.queries import whole
from genonaut.content.tags.tables import tag_closure, tag_parents, tags

Direction = Literal["above", "below"]


async def hierarchy(connection: AsyncConnection) -> tuple[list[dict[str, Any]], list[tuple[UUID, UUID]]]:
    """All tags by name, and all pairs of a tag and one of its parents, by the parent's name."""
    nodes = await connection.execute(whole().order_by(tags.c.name, tags.c.id))
    edges = await connection.execute(
        select(tag_parents.c.tag_id, tag_parents.c.parent_id)
        .join(tags, tags.c.id == tag_parents.c.parent_id)
        .order_by(tags.c.name, tags.c.id)
    )
    return [dict(node) for node in nodes.mappings()], [(edge.tag_id, edge.parent_id) for edge in edges]


async def roots(connection: AsyncConnection) -> list[dict[str, Any]]:
    """The tags without parents, by name."""
    has_parents = select(tag_parents.c.tag_id).where(tag_parents.c.tag_id == tags.c.id).exists()
    rows = await connection.execute(
        select(tags).where(~tags.c.is_private, ~has_parents).order_by(tags.c.name, tags.c.id)
    )
    return [dict(row) for row in rows.mappings()]


async def related(
    connection: AsyncConnection, tag_id: UUID, direction: Direction, *, max_depth: int | None = None
) -> list[dict[str, Any]]:
    """The tags above or below this one, each with the `depth` of its shortest way, nearest first, then by name."""
    here, there = tag_closure.c.descendant_id, tag_closure.c.ancestor_id
    if direction == "below":
        here, there = there, here
    statement = select(tags, tag_closure.c.depth).join(tag_closure, there == tags.c.id).where(here == tag_id)
    if max_depth is not None:
        statement = statement.where(tag_closure.c.depth <= max_depth)
    rows = await connection.execute(statement.order_by(tag_closure.c.depth, tags.c.name, tags.c.id))
    return [dict(row) for row in rows.mappings()]


async def statistics(connection: AsyncConnection) -> dict[str, int]:
    """How many there are: `total_nodes` tags, `total_relationships` with parents, `root_categories` without any."""
    return dict((await connection.execute(text(_STATISTICS))).mappings().one())


_STATISTICS = """
SELECT total_nodes, total_relationships, total_nodes - with_parents AS root_categories
FROM (SELECT count(*) AS total_nodes FROM tags WHERE NOT is_private) nodes,
     (SELECT count(*) AS total_relationships, count(DISTINCT tag_id) AS with_parents FROM tag_parents) edges
"""
