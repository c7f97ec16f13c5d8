"""Item events into the table `content_items_all`."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.items.domain import searchable
from genonaut.content.items.tables import items
from genonaut.contracts import Envelope
from genonaut.contracts.content import (
    ItemCreated,
    ItemDeleted,
    ItemEdited,
    ItemMadePrivate,
    ItemMadePublic,
    ItemQualityChanged,
    ItemRetagged,
    ItemTagsImplied,
)
from genonaut.contracts.images import SHOWN_SIZE, image_path
from genonaut.platform.projections import Projection

items_projection = Projection("items", items)


@items_projection.on(ItemCreated)
async def _created(connection: AsyncConnection, event: ItemCreated, envelope: Envelope) -> None:
    image = event.image
    await connection.execute(
        items.insert().values(
            id=event.item_id,
            source_type=event.source_type,
            title=event.title,
            content_type=event.content_type,
            content_data=event.content_data,
            prompt=event.prompt,
            creator_id=event.creator_id,
            item_metadata=event.item_metadata,
            quality_score=event.quality_score,
            is_private=event.is_private,
            path_thumb=image_path(image.sha256, size=SHOWN_SIZE) if image else None,
            image_sha256=image.sha256 if image else None,
            job_id=event.job_id,
            image_index=event.image_index if event.job_id is not None else None,
            search_text=searchable(event.title, event.prompt),
            created_at=envelope.time,
            updated_at=envelope.time,
        )
    )


@items_projection.on(ItemEdited)
async def _edited(connection: AsyncConnection, event: ItemEdited, envelope: Envelope) -> None:
    values = dict(event.changes)
    if "title" in values:
        prompt = await connection.execute(select(items.c.prompt).where(items.c.id == event.item_id))
        values["search_text"] = searchable(values["title"], prompt.scalar_one())
    await _update(connection, event.item_id, envelope, **values)


@items_projection.on(ItemRetagged)
async def _retagged(connection: AsyncConnection, event: ItemRetagged, envelope: Envelope) -> None:
    await _update(connection, event.item_id, envelope)


@items_projection.on(ItemTagsImplied)
async def _tags_implied(connection: AsyncConnection, event: ItemTagsImplied, envelope: Envelope) -> None:
    await _update(connection, event.item_id, envelope)


@items_projection.on(ItemMadePrivate)
async def _made_private(connection: AsyncConnection, event: ItemMadePrivate, envelope: Envelope) -> None:
    await _update(connection, event.item_id, envelope, is_private=True)


@items_projection.on(ItemMadePublic)
async def _made_public(connection: AsyncConnection, event: ItemMadePublic, envelope: Envelope) -> None:
    await _update(connection, event.item_id, envelope, is_private=False)


@items_projection.on(ItemQualityChanged)
async def _quality_changed(connection: AsyncConnection, event: ItemQualityChanged, envelope: Envelope) -> None:
    await _update(connection, event.item_id, envelope, quality_score=event.quality_score)


@items_projection.on(ItemDeleted)
async def _deleted(connection: AsyncConnection, event: ItemDeleted, _: Envelope) -> None:
    await connection.execute(items.delete().where(items.c.id == event.item_id))


async def _update(connection: AsyncConnection, item_id: int, envelope: Envelope, **values: Any) -> None:
    """Whatever changes, the item was updated."""
    await connection.execute(items.update().where(items.c.id == item_id).values(updated_at=envelope.time, **values))
