"""Aliases and implications, read."""

from typing import Any
from uuid import UUID

from sqlalchemy import or_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.tag_meanings.tables import tag_aliases, tag_implications
from genonaut.content.tags.domain import id_of
from genonaut.content.tags.tables import tags


async def aliases(connection: AsyncConnection, tag_id: UUID) -> list[str]:
    """The other slugs that mean the tag, in their order."""
    found = select(tag_aliases.c.alias).where(tag_aliases.c.tag_id == tag_id).order_by(tag_aliases.c.alias)
    return list(await connection.scalars(found))


async def makes_chain(connection: AsyncConnection, alias: str, tag_id: UUID) -> bool:
    """Whether the tag's own slug is an alias, or an alias means the tag that has `alias` as its slug."""
    chained = or_(tag_aliases.c.alias_id == tag_id, tag_aliases.c.tag_id == id_of(alias))
    return bool(await connection.scalar(select(select(tag_aliases.c.alias_id).where(chained).exists())))


async def implications(connection: AsyncConnection, tag_id: UUID) -> list[dict[str, Any]]:
    """The columns of the tags that this one implies directly, by name."""
    rows = await connection.execute(
        select(tags)
        .join(tag_implications, tag_implications.c.implied_id == tags.c.id)
        .where(tag_implications.c.tag_id == tag_id)
        .order_by(tags.c.name, tags.c.id)
    )
    return [dict(row) for row in rows.mappings()]


async def all_implications(connection: AsyncConnection) -> list[tuple[UUID, UUID]]:
    """All pairs of a tag and one that it implies directly, which stands for its alias if it is one."""
    return [(row.tag_id, row.implied_id) for row in await connection.execute(text(_ALL))]


async def implied_further(connection: AsyncConnection, tag_id: UUID) -> set[UUID]:
    """Every tag that this one implies over any steps."""
    return set(await connection.scalars(text(_IMPLIED_FURTHER), {"tag_id": tag_id}))


_ALL = """
SELECT i.tag_id, coalesce(a.tag_id, i.implied_id) AS implied_id
FROM tag_implications i LEFT JOIN tag_aliases a ON a.alias_id = i.implied_id
"""

_IMPLIED_FURTHER = """
WITH RECURSIVE implied (id) AS (
    SELECT implied_id FROM tag_implications WHERE tag_id = :tag_id
    UNION
    SELECT i.implied_id FROM implied JOIN tag_implications i ON i.tag_id = implied.id
)
SELECT id FROM implied
"""
