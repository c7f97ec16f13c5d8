"""Item events into the table `content_items_all`."""

import json
from collections.abc import Sequence
from typing import Any, cast

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
from genonaut.platform.database import driver_of
from genonaut.platform.projections import Projection, Recorded

items_projection = Projection("items", items)


@items_projection.on_many(ItemCreated)
async def _created(connection: AsyncConnection, recorded: Sequence[Recorded]) -> None:
    rows = [_row(cast("ItemCreated", each.event), each.envelope) for each in recorded]
    # In one copy: a gallery may come by the million.
    driver = await driver_of(connection)
    await driver.copy_records_to_table(items.name, records=rows, columns=_COLUMNS)


_COLUMNS = [column.name for column in items.c]


def _row(event: ItemCreated, envelope: Envelope) -> tuple[Any, ...]:
    """In the order of the columns."""
    image = event.image
    return (
        event.item_id,
        event.source_type,
        event.title,
        event.content_type,
        event.content_data,
        event.prompt,
        event.creator_id,
        json.dumps(event.item_metadata),  # with integers of any size, which a log gives back
        event.quality_score,
        event.is_private,
        image_path(image.sha256, size=SHOWN_SIZE) if image else None,
        image.sha256 if image else None,
        event.job_id,
        event.image_index if event.job_id is not None else None,
        searchable(event.title, event.prompt),
        envelope.time,
        envelope.time,
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
