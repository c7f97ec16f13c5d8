"""What is known of images, from uploads and from the items that show them.

Different streams speak of one image, and two transactions may do so at once: the rows are the same in any order. Only
retiring and removing need one, and who does that, or could undo it, holds the image: see `queries.hold`.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.images.tables import image_uploads, images
from genonaut.contracts import Envelope
from genonaut.contracts.content import ImageRemoved, ImageRetired, ImageUploaded, ItemCreated, ItemDeleted
from genonaut.contracts.images import StoredImage
from genonaut.platform.projections import Projection

images_projection = Projection("images", images, image_uploads)


@images_projection.on(ImageUploaded)
async def _uploaded(connection: AsyncConnection, event: ImageUploaded, envelope: Envelope) -> None:
    await _used(connection, event.image, envelope.time, items=0)
    if event.user_id:
        upload = insert(image_uploads).values(sha256=event.image.sha256, user_id=event.user_id)
        await connection.execute(upload.on_conflict_do_nothing())


@images_projection.on(ItemCreated)
async def _shown(connection: AsyncConnection, event: ItemCreated, envelope: Envelope) -> None:
    if event.image:
        await _used(connection, event.image, envelope.time, items=1)


@images_projection.on(ItemDeleted)
async def _no_longer_shown(connection: AsyncConnection, event: ItemDeleted, envelope: Envelope) -> None:
    if event.image_sha256:
        await connection.execute(
            update(images)
            .where(images.c.sha256 == event.image_sha256)
            .values(shown_by=images.c.shown_by - 1, last_used_at=func.greatest(images.c.last_used_at, envelope.time))
        )


@images_projection.on(ImageRetired)
async def _retired(connection: AsyncConnection, event: ImageRetired, envelope: Envelope) -> None:
    await connection.execute(
        update(images).where(images.c.sha256 == event.sha256).values(retired_at=envelope.time, was_shown=False)
    )
    await connection.execute(delete(image_uploads).where(image_uploads.c.sha256 == event.sha256))


@images_projection.on(ImageRemoved)
async def _removed(connection: AsyncConnection, event: ImageRemoved, _: Envelope) -> None:
    await connection.execute(delete(images).where(images.c.sha256 == event.sha256))


async def _used(connection: AsyncConnection, image: StoredImage, time: datetime, *, items: int) -> None:
    row: dict[str, Any] = {
        **image.model_dump(),
        "created_at": time,
        "last_used_at": time,
        "shown_by": items,
        "was_shown": items > 0,
    }
    new = insert(images).values(row)
    changes = {
        "created_at": func.least(images.c.created_at, new.excluded.created_at),
        "last_used_at": func.greatest(images.c.last_used_at, new.excluded.last_used_at),
        "shown_by": images.c.shown_by + new.excluded.shown_by,
        "was_shown": images.c.was_shown | new.excluded.was_shown,
        "retired_at": None,
    }
    await connection.execute(new.on_conflict_do_update(index_elements=[images.c.sha256], set_=changes))
