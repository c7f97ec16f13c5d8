"""Tags, read."""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any
from uuid import UUID
from weakref import WeakKeyDictionary

from sqlalchemy import ColumnElement, Select, Uuid, any_, func, literal, or_, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from genonaut.content.tags.tables import tag_parents, tags


async def known(connection: AsyncConnection, tag_ids: Iterable[UUID]) -> dict[UUID, bool]:
    """Those of the ids that are tags, and whether each is private."""
    wanted = list(tag_ids)
    if not wanted:
        return {}
    rows = await connection.execute(select(tags.c.id, tags.c.is_private).where(_with_id(wanted)))
    return {row.id: row.is_private for row in rows}


async def private_slugs(connection: AsyncConnection, tag_ids: Iterable[UUID]) -> dict[UUID, str]:
    """The slugs of those of the tags that only private items have."""
    rows = await connection.execute(select(tags.c.id, tags.c.slug).where(_with_id(list(tag_ids)), tags.c.is_private))
    return {row.id: row.slug for row in rows}


async def slugs_by_id(connection: AsyncConnection, tag_ids: Iterable[UUID]) -> dict[UUID, str]:
    """The slugs of the tags with these ids."""
    rows = await connection.execute(select(tags.c.id, tags.c.slug).where(_with_id(list(tag_ids))))
    return {row.id: row.slug for row in rows}


async def slugs(connection: AsyncConnection, keys: AbstractSet[int]) -> Mapping[int, str]:
    """The slugs of tags by their keys, among others."""
    known = _slugs.setdefault(connection.engine, {})
    missing = keys - known.keys()
    if missing:
        if len(known) > KEPT_SLUGS:
            known.clear()
            missing = set(keys)
        known.update((row.key, row.slug) for row in await connection.execute(_SLUGS, {"keys": list(missing)}))
    return known


_slugs: WeakKeyDictionary[AsyncEngine, dict[int, str]] = WeakKeyDictionary()
"""A tag keeps its slug and its key for ever, so both may be remembered."""
KEPT_SLUGS = 200_000


def _with_id(wanted: list[UUID]) -> ColumnElement[bool]:
    # One array, not IN with a parameter for each: that would be another statement to prepare for each number of them.
    return tags.c.id == any_(literal(wanted, ARRAY(Uuid)))


async def by_id(connection: AsyncConnection, tag_id: UUID) -> dict[str, Any] | None:
    """The tag's columns by name, and its `parents` as such too, by name."""
    row = (await connection.execute(select(tags).where(tags.c.id == tag_id))).mappings().one_or_none()
    if row is None:
        return None
    parents = await connection.execute(
        select(tags)
        .join(tag_parents, tag_parents.c.parent_id == tags.c.id)
        .where(tag_parents.c.tag_id == tag_id)
        .order_by(tags.c.name, tags.c.id)
    )
    return {**row, "parents": [dict(parent) for parent in parents.mappings()]}


def listed(search: str | None) -> Select[Any]:
    """All tags that everybody may see, or those with `search` in their slug or name."""
    statement = select(tags).where(~tags.c.is_private)
    if search:
        found = (func.lower(column).contains(search.lower(), autoescape=True) for column in (tags.c.slug, tags.c.name))
        statement = statement.where(or_(*found))
    return statement


async def hierarchy(connection: AsyncConnection) -> tuple[list[dict[str, Any]], list[tuple[UUID, UUID]]]:
    """All tags that everybody may see by name, and all pairs of a tag and one of its parents, by the parent's name."""
    nodes = await connection.execute(select(tags).where(~tags.c.is_private).order_by(tags.c.name, tags.c.id))
    edges = await connection.execute(
        select(tag_parents.c.tag_id, tag_parents.c.parent_id)
        .join(tags, tags.c.id == tag_parents.c.parent_id)
        .order_by(tags.c.name, tags.c.id)
    )
    return [dict(node) for node in nodes.mappings()], [(edge.tag_id, edge.parent_id) for edge in edges]


async def ancestors(connection: AsyncConnection, tag_id: UUID) -> set[UUID]:
    """Every tag above this one."""
    return set(await connection.scalars(text(_ANCESTORS), {"tag_id": tag_id}))


async def next_number(connection: AsyncConnection) -> int:
    number: int = await connection.scalar(text("SELECT nextval('tags_number_seq')"))
    return number


async def hold_hierarchy(connection: AsyncConnection) -> None:
    """Nobody else who calls this goes on before this transaction ends."""
    await connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('genonaut tag hierarchy'))"))


_SLUGS = text("""
SELECT k.key, t.slug FROM search_keys k JOIN tags t ON t.id = k.id WHERE k.key = ANY(CAST(:keys AS int[]))
""")

_ANCESTORS = """
WITH RECURSIVE above (id) AS (
    SELECT parent_id FROM tag_parents WHERE tag_id = :tag_id
    UNION
    SELECT p.parent_id FROM tag_parents p JOIN above ON above.id = p.tag_id
)
SELECT id FROM above
"""
