"""Pictures in the object store: verified, named by the hash of their bytes, with what is made of them beside them.

Nothing is believed about bytes from outside: an image is what decodes completely as PNG, JPEG or WebP, does not move
and has at most `MAX_PIXELS`. No byte of one is decoded in this process: see `pictures`.
"""

import asyncio
import hashlib
from enum import IntEnum
from typing import Literal, get_args

from pydantic import ValidationError

from genonaut.contracts.images import StoredImage, ThumbnailSize
from genonaut.platform.objects import ObjectStore
from genonaut.platform.pictures.pool import PicturePool
from genonaut.platform.pictures.protocol import MAX_PIXELS, Refusal, RefusedError

__all__ = [
    "FORMATS",
    "MAX_PIXELS",
    "MEDIA_TYPES",
    "ImageError",
    "RenditionFormat",
    "RenditionSize",
    "clean_key",
    "derived_prefix",
    "image_key",
    "is_marker",
    "make_clean",
    "make_rendition",
    "rendition_key",
    "store_image",
]


class RenditionSize(IntEnum):
    """Pixels of the longest side, of what is made when it is asked for. A smaller original keeps its own size."""

    S64 = 64
    S96 = 96
    S128 = 128
    S150 = 150
    S200 = 200
    S256 = 256
    S300 = 300
    S400 = 400
    S512 = 512
    S600 = 600
    S768 = 768
    S1024 = 1024
    S1280 = 1280
    S1536 = 1536
    S2048 = 2048


RenditionFormat = Literal["webp", "avif", "png"]
FORMATS: tuple[RenditionFormat, ...] = get_args(RenditionFormat)

THUMBNAIL_FORMATS: tuple[RenditionFormat, ...] = ("webp", "png")
"""Of the thumbnails that every image has from the start."""

MEDIA_TYPES = ("image/png", "image/jpeg", "image/webp")
"""Of originals."""

_MARKER = b"original"
"""In the place of a clean version that would be the original once more. No image is this short."""


class ImageError(Exception):
    """The bytes are not an acceptable image; the message says why and can be shown to anybody."""


def image_key(sha256: str) -> str:
    """Where the original with this hash is stored."""
    return f"images/{sha256[:2]}/{sha256[2:4]}/{sha256}"


def derived_prefix(sha256: str) -> str:
    """Before the names of all that is made of that original."""
    return f"thumbnails/{sha256[:2]}/{sha256[2:4]}/{sha256}/"


def rendition_key(sha256: str, size: int, format: RenditionFormat) -> str:  # noqa: A002 - the word of the field
    return f"{derived_prefix(sha256)}{size:d}.{format}"


def clean_key(sha256: str) -> str:
    """Where the original without its metadata is, or a marker when it never had any: see `is_marker`."""
    return f"{derived_prefix(sha256)}clean"


def is_marker(size: int) -> bool:
    """Whether an object of so many bytes in the place of a clean version says that the original is clean."""
    return size == len(_MARKER)


async def store_image(objects: ObjectStore, pictures: PicturePool, data: bytes) -> StoredImage:
    """Verify `data` and store it with all its thumbnails; storing it again changes nothing.

    The original is stored last: where it is, what belongs to it is. Raises ImageError, ObjectStoreError and, when there
    is no room or no process for it, OutageError.
    """
    sha256 = await asyncio.to_thread(lambda: hashlib.sha256(data).hexdigest())
    async with pictures.turn() as turn:
        task = {"do": "take_in", "sizes": list(ThumbnailSize), "formats": THUMBNAIL_FORMATS}
        try:
            facts, (clean, *made) = await turn.ask(task, data)
            image = StoredImage(sha256=sha256, size_bytes=len(data), **facts)
        except RefusedError as error:
            raise ImageError(error.refusal.reason) from None
        except (ValidationError, TypeError, ValueError):  # said by a process that somebody has taken over
            raise ImageError(Refusal.CRASH.reason) from None
    if image.media_type not in MEDIA_TYPES:
        raise ImageError(Refusal.CRASH.reason)
    keys = [rendition_key(sha256, size, format_) for size in ThumbnailSize for format_ in THUMBNAIL_FORMATS]
    await objects.put_all(dict(zip(keys, made, strict=True)) | {clean_key(sha256): clean or _MARKER})
    await objects.put(image_key(sha256), data)
    return image


async def make_rendition(
    objects: ObjectStore,
    pictures: PicturePool,
    sha256: str,
    size: RenditionSize,
    format: RenditionFormat,  # noqa: A002 - as above
) -> None:
    """Have it made of the stored original, and stored. Raises as `store_image` does."""
    task = {"do": "rendition", "size": size, "format": format}
    await _make(objects, pictures, sha256, task, to=rendition_key(sha256, size, format))


async def make_clean(objects: ObjectStore, pictures: PicturePool, sha256: str) -> None:
    """The same for the version without metadata."""
    await _make(objects, pictures, sha256, {"do": "clean"}, to=clean_key(sha256))


async def _make(objects: ObjectStore, pictures: PicturePool, sha256: str, task: dict[str, object], *, to: str) -> None:
    async with pictures.turn() as turn:
        original = await objects.read(image_key(sha256))
        try:
            _, (made,) = await turn.ask(task, original)
        except RefusedError as error:
            raise ImageError(error.refusal.reason) from None
        except ValueError:
            raise ImageError(Refusal.CRASH.reason) from None
    await objects.put(to, made or _MARKER)
