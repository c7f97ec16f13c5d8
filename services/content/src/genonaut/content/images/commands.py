"""Taking in an image: verify, store with its thumbnails, then say so."""

import asyncio
from uuid import UUID

from genonaut.content.images.domain import IMAGE, Upload
from genonaut.contracts.images import StoredImage
from genonaut.platform.events import EventStore
from genonaut.platform.images import store_image
from genonaut.platform.objects import ObjectStore

# A decoded picture may take 250 MB: more at once would be a way to end the process.
_decoding = asyncio.Semaphore(2)


async def take_in(store: EventStore, objects: ObjectStore, data: bytes, user_id: UUID | None) -> StoredImage:
    """The image that `data` is, now stored and known. Raises ImageError or ObjectStoreError."""
    async with _decoding:
        image = await store_image(objects, data)
    await store.execute(IMAGE, image.sha256, Upload(image, user_id))
    return image
