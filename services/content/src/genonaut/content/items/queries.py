"""Items, read. What a viewer may not see is not there: not in rows, not in counts."""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, false, or_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.images.tables import images
from genonaut.content.items.tables import items
from genonaut.content.tags import queries as tags
from genonaut.content.users.tables import users
from genonaut.contracts.content import SourceType

SORTS: dict[str, ColumnElement[Any]] = {
    "created_at": items.c.created_at,
    "updated_at": items.c.updated_at,
    "quality_score": items.c.quality_score,
    "title": items.c.title,
}

_SHOWN = [column for column in items.c if column is not items.c.search_text]


def visible_to(viewer: UUID | None) -> ColumnElement[bool]:
    """The public ones, and the viewer's own."""
    public = items.c.is_private.is_(false())
    return or_(public, items.c.creator_id == viewer) if viewer else public


def whole(viewer: UUID | None) -> Select[Any]:
    """Items with everything there is to show of them, as `schemas.Item` takes it after `with_tags`."""
    return (
        select(
            *_SHOWN,
            users.c.username.label("creator_username"),
            images.c.media_type,
            images.c.width,
            images.c.height,
            images.c.size_bytes,
        )
        .select_from(
            items.outerjoin(users, users.c.id == items.c.creator_id).outerjoin(
                images, images.c.sha256 == items.c.image_sha256
            )
        )
        .where(visible_to(viewer))
    )


async def by_id(
    connection: AsyncConnection, item_id: int, *, viewer: UUID | None, source_type: SourceType | None = None
) -> dict[str, Any] | None:
    """The item, or None when there is none, or not for this viewer, or not from this source."""
    statement = whole(viewer).where(items.c.id == item_id)
    if source_type:
        statement = statement.where(items.c.source_type == source_type)
    row = (await connection.execute(statement)).mappings().one_or_none()
    return (await with_tags(connection, [dict(row)]))[0] if row else None


async def one(connection: AsyncConnection, item_id: int, *, viewer: UUID) -> dict[str, Any]:
    """The item, which is there and may be seen. Raises NoResultFound when it is not."""
    row = (await connection.execute(whole(viewer).where(items.c.id == item_id))).mappings().one()
    return (await with_tags(connection, [dict(row)]))[0]


async def with_tags(connection: AsyncConnection, rows: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
    """The rows with `tags`, the slugs of their `tag_ids`, in that order."""
    slugs = await tags.slugs(connection, {tag_id for row in rows for tag_id in row["tag_ids"]})
    for row in rows:
        row["tags"] = [slugs[tag_id] for tag_id in row["tag_ids"]]
    return rows


def tagged(tag_ids: Sequence[UUID], *, every: bool) -> ColumnElement[bool]:
    """Items with any of the tags, or with every one of them."""
    return items.c.tag_ids.contains(tag_ids) if every else items.c.tag_ids.overlap(tag_ids)


def with_phrases(phrases: Iterable[str]) -> Iterable[ColumnElement[bool]]:
    """For each phrase, as `domain.searchable` spells it: items with it in their title or prompt."""
    return (items.c.search_text.contains(phrase, autoescape=True) for phrase in phrases)


async def next_id(connection: AsyncConnection) -> int:
    item_id: int = await connection.scalar(text("SELECT nextval('content_items_id_seq')"))
    return item_id


async def of_job(connection: AsyncConnection, job_id: int) -> set[int]:
    """The indexes of the job's images that are items."""
    return set(await connection.scalars(select(items.c.image_index).where(items.c.job_id == job_id)))
