"""Renditions of images: found in the store, or made once, however many ask for one at the same time."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from genonaut.content.images.queries import SeenImage
from genonaut.platform.images import (
    RenditionFormat,
    RenditionSize,
    clean_key,
    image_key,
    is_marker,
    make_clean,
    make_rendition,
    rendition_key,
)
from genonaut.platform.objects import ObjectNotFoundError, ObjectStore
from genonaut.platform.pictures.pool import PicturePool


@dataclass(frozen=True)
class Chosen:
    """What is delivered under one ETag: an object, or what is first to be made into one."""

    key: str
    etag: str
    media_type: str
    make: Callable[[], Awaitable[None]] | None = None
    instead: str | None = None
    """The object that a marker stands for."""


@dataclass(frozen=True)
class Renditions:
    """Those of one store, made by one pool."""

    objects: ObjectStore
    pictures: PicturePool

    def original(self, seen: SeenImage) -> Chosen:
        """The file as it was brought, with all that it says."""
        sha256 = seen.image.sha256
        return Chosen(image_key(sha256), f'"{sha256}"', seen.image.media_type)

    def clean(self, seen: SeenImage) -> Chosen:
        """The file without its metadata."""
        sha256 = seen.image.sha256
        return Chosen(
            clean_key(sha256),
            f'"{sha256}-clean"',
            seen.image.media_type,
            make=lambda: make_clean(self.objects, self.pictures, sha256),
            instead=image_key(sha256),
        )

    def of(self, seen: SeenImage, size: RenditionSize, form: RenditionFormat) -> Chosen:
        sha256 = seen.image.sha256
        return Chosen(
            rendition_key(sha256, size, form),
            f'"{sha256}-{size:d}.{form}"',
            f"image/{form}",
            make=lambda: make_rendition(self.objects, self.pictures, sha256, size, form),
        )

    async def located(self, chosen: Chosen) -> tuple[str, int]:
        """The object's name and bytes; made, if it had to be.

        Raises ImageError when it cannot be made, ObjectStoreError, and OutageError when there is no room to make it.
        """
        if chosen.make is None:
            return chosen.key, await self.objects.size(chosen.key)
        try:
            size = await self.objects.size(chosen.key)
        except ObjectNotFoundError:
            size = 0
        if size == 0:  # what a power cut can leave behind, too
            await self.pictures.once(chosen.key, chosen.make)
            size = await self.objects.size(chosen.key)
        if chosen.instead and is_marker(size):
            return chosen.instead, await self.objects.size(chosen.instead)
        return chosen.key, size
