"""Tag events into the tables `tags` and `tag_parents`."""

from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.tags.tables import tag_parents, tags
from genonaut.contracts import Envelope
from genonaut.contracts.content import TagCreated, TagParentAdded, TagPublished
from genonaut.platform.projections import Projection

tags_projection = Projection("tags", tags, tag_parents)


@tags_projection.on(TagCreated)
async def _created(connection: AsyncConnection, event: TagCreated, envelope: Envelope) -> None:
    await connection.execute(
        tags.insert().values(
            id=event.tag_id,
            slug=event.slug,
            name=event.name,
            is_private=event.is_private,
            created_at=envelope.time,
            updated_at=envelope.time,
        )
    )


@tags_projection.on(TagPublished)
async def _published(connection: AsyncConnection, event: TagPublished, envelope: Envelope) -> None:
    seen = {"is_private": False, "name": event.name, "created_at": envelope.time, "updated_at": envelope.time}
    await connection.execute(tags.update().where(tags.c.id == event.tag_id).values(seen))


@tags_projection.on(TagParentAdded)
async def _parent_added(connection: AsyncConnection, event: TagParentAdded, envelope: Envelope) -> None:
    await connection.execute(tag_parents.insert().values(tag_id=event.tag_id, parent_id=event.parent_id))
    await connection.execute(tags.update().where(tags.c.id == event.tag_id).values(updated_at=envelope.time))
