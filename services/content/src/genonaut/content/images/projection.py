"""What is known of images, from uploads and from the items that generation made.

Different streams speak of one image, and two transactions may do so at once: the rows are the same in any order.
"""

from datetime import datetime

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.images.tables import image_uploads, images
from genonaut.contracts import Envelope
from genonaut.contracts.content import ImageUploaded, ItemCreated
from genonaut.contracts.images import StoredImage
from genonaut.platform.projections import Projection

images_projection = Projection("images", images, image_uploads)


@images_projection.on(ImageUploaded)
async def _uploaded(connection: AsyncConnection, event: ImageUploaded, envelope: Envelope) -> None:
    await _seen(connection, event.image, envelope.time)
    if event.user_id:
        await connection.execute(image_uploads.insert().values(sha256=event.image.sha256, user_id=event.user_id))


@images_projection.on(ItemCreated)
async def _shown(connection: AsyncConnection, event: ItemCreated, envelope: Envelope) -> None:
    if event.image:
        await _seen(connection, event.image, envelope.time)


async def _seen(connection: AsyncConnection, image: StoredImage, time: datetime) -> None:
    statement = insert(images).values(created_at=time, **image.model_dump())
    await connection.execute(
        statement.on_conflict_do_update(
            index_elements=[images.c.sha256],
            set_={"created_at": statement.excluded.created_at},
            where=images.c.created_at > statement.excluded.created_at,
        )
    )
