"""Item events into the table `content_items_all`."""

from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.items.domain import searchable
from genonaut.content.items.tables import items
from genonaut.contracts import Envelope
from genonaut.contracts.content import ItemCreated
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
            tag_ids=event.tag_ids,
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
