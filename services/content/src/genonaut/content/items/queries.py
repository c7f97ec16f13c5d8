"""Items, read. What a viewer may not see is not there: not in rows, not in counts."""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, false, func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.images.tables import images
from genonaut.content.interactions.tables import popularity as item_popularity
from genonaut.content.items.domain import ITEM, spoken_of
from genonaut.content.items.tables import items
from genonaut.content.search.keys import tags_among
from genonaut.content.search.tables import search_rows
from genonaut.content.tags import queries as tags
from genonaut.content.users.tables import users
from genonaut.contracts import Event
from genonaut.contracts.content import ItemMadePublic, SourceType
from genonaut.platform.events import LOG
from genonaut.platform.http.lists import nullable

SORTS: dict[str, ColumnElement[Any]] = {
    "created_at": items.c.created_at,
    "updated_at": items.c.updated_at,
    "quality_score": items.c.quality_score,
    "title": items.c.title,
    "popularity": nullable(item_popularity.c.popularity),
}

_SHOWN = [column for column in items.c if column is not items.c.search_text]


def whole() -> Select[Any]:
    """All items with everything there is to show of them, as `schemas.Item` takes it after `with_tags`."""
    return select(
        *_SHOWN,
        users.c.username.label("creator_username"),
        images.c.media_type,
        images.c.width,
        images.c.height,
        images.c.size_bytes,
        search_rows.c["keys"],
    ).select_from(
        items.outerjoin(users, users.c.id == items.c.creator_id)
        .outerjoin(images, images.c.sha256 == items.c.image_sha256)
        .outerjoin(search_rows, search_rows.c.item_id == items.c.id)
        .outerjoin(item_popularity, item_popularity.c.item_id == items.c.id)
    )


def visible_to(viewer: UUID | None) -> ColumnElement[bool]:
    """The public ones, and the viewer's own."""
    public = items.c.is_private.is_(false())
    return or_(public, items.c.creator_id == viewer) if viewer else public


async def by_id(
    connection: AsyncConnection, item_id: int, *, viewer: UUID | None, source_type: SourceType | None = None
) -> dict[str, Any] | None:
    """The item, or None when there is none, or not for this viewer, or not from this source."""
    statement = whole().where(items.c.id == item_id, visible_to(viewer))
    if source_type:
        statement = statement.where(items.c.source_type == source_type)
    row = (await connection.execute(statement)).mappings().one_or_none()
    return (await with_tags(connection, [dict(row)]))[0] if row else None


async def one(connection: AsyncConnection, item_id: int) -> dict[str, Any]:
    """The item, which is there, whoever may see it. Raises NoResultFound when it is not."""
    row = (await connection.execute(whole().where(items.c.id == item_id))).mappings().one()
    return (await with_tags(connection, [dict(row)]))[0]


async def with_tags(connection: AsyncConnection, rows: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
    """The rows with `tags`, the slugs of the tags among their `keys`, in that order."""
    tagged = [tags_among(row["keys"]) for row in rows]
    slugs = await tags.slugs(connection, [key for keys in tagged for key in keys])
    for row, keys in zip(rows, tagged, strict=True):
        row["tags"] = [slugs[key] for key in keys]
    return rows


def with_phrases(phrases: Iterable[str]) -> Iterable[ColumnElement[bool]]:
    """For each phrase, as `domain.searchable` spells it: items with it in their title or prompt."""
    return (items.c.search_text.contains(phrase, autoescape=True) for phrase in phrases)


async def history(connection: AsyncConnection, item_id: int, *, whole: bool) -> Select[Any]:
    """The item's events. Not the whole of them are those since it was private last."""
    of_item = select(LOG).where(LOG.c.stream == f"{ITEM.name}-{item_id}")
    if whole:
        return of_item
    shown = of_item.with_only_columns(func.max(LOG.c.version)).where(LOG.c.type == ItemMadePublic.type)
    return of_item.where(LOG.c.version >= (await connection.scalar(shown) or 1))


async def tag_slugs(connection: AsyncConnection, events: Iterable[Event]) -> dict[UUID, str]:
    """The slugs of the tags that the events speak of."""
    return await tags.slugs_by_id(connection, {tag_id for event in events for tag_id in spoken_of(event)})


async def next_id(connection: AsyncConnection) -> int:
    item_id: int = await connection.scalar(text("SELECT nextval('content_items_id_seq')"))
    return item_id


async def of_job(connection: AsyncConnection, job_id: int) -> set[int]:
    """The indexes of the job's images that are items."""
    return set(await connection.scalars(select(items.c.image_index).where(items.c.job_id == job_id)))
