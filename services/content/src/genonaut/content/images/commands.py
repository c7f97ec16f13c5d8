"""Taking in an image: verify, store with its thumbnails, then say so."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.images import queries
from genonaut.content.images.domain import IMAGE, Upload
from genonaut.contracts.images import StoredImage
from genonaut.platform.images import image_key, store_image
from genonaut.platform.service import Runtime

RENEWED_AFTER = timedelta(hours=1)
"""What was used more recently counts as used now: bringing the same image again and again states little."""


async def take_in(runtime: Runtime[Any], data: bytes, user_id: UUID | None) -> StoredImage:
    """The image that `data` is, now stored and known. Raises as `store_image` does."""
    image = await store_image(runtime.objects, runtime.pictures, data)

    async def work(connection: AsyncConnection) -> None:
        use = await queries.hold(connection, image.sha256)
        renews = use is not None and (use.retired or use.last_used_at < runtime.clock() - RENEWED_AFTER)
        await runtime.store.execute_in(connection, IMAGE, image.sha256, Upload(image, user_id, renews))

    await runtime.database.transact(work)
    # From here on nobody removes it. Until here a sweep may have, that had begun before.
    if not await runtime.objects.exists(image_key(image.sha256)):
        await store_image(runtime.objects, runtime.pictures, data)
    return image
