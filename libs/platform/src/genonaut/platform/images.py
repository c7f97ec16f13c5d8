"""Pictures in the object store: verified, named by the hash of their bytes, with thumbnails beside them.

Nothing is believed about bytes from outside: an image is what decodes completely as PNG, JPEG or WebP and has
at most `MAX_PIXELS`. Pillow is imported when the first picture comes: importing this module costs nothing.
"""

import asyncio
import hashlib
import struct
import zlib
from io import BytesIO
from typing import TYPE_CHECKING, Literal, get_args

from genonaut.contracts.images import StoredImage, ThumbnailSize
from genonaut.platform.objects import ObjectStore

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PIXELS = 8192 * 8192

ThumbnailFormat = Literal["webp", "png"]
THUMBNAIL_FORMATS: tuple[ThumbnailFormat, ...] = get_args(ThumbnailFormat)

# The JPEG decoder calls a JPEG that carries further pictures (phones make them) by its own name.
MEDIA_TYPES = {"PNG": "image/png", "JPEG": "image/jpeg", "MPO": "image/jpeg", "WEBP": "image/webp"}

_PNG_END = b"IEND\xaeB`\x82"

_UNDECODABLE = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error)
"""What Pillow's decoders raise on broken bytes."""


class ImageError(Exception):
    """The bytes are not an acceptable image; the message says why and can be shown to anybody."""


def image_key(sha256: str) -> str:
    """Where the original with this hash is stored."""
    return f"images/{sha256[:2]}/{sha256[2:4]}/{sha256}"


def thumbnail_key(sha256: str, size: int, format: ThumbnailFormat) -> str:  # noqa: A002 - the word of the field
    """Where the thumbnail of that original is stored; `size` is a ThumbnailSize."""
    return f"thumbnails/{sha256[:2]}/{sha256[2:4]}/{sha256}/{size}.{format}"


def verify(data: bytes) -> StoredImage:
    """What `data` is as an image, decoded to its last byte. Raises ImageError."""
    return _described(_decoded(data), data)


def thumbnails(original: bytes) -> tuple[StoredImage, dict[str, bytes]]:
    """The image, and its thumbnails by their object names. Raises ImageError. Blocks, 80 ms per megapixel."""
    picture = _decoded(original)
    image = _described(picture, original)
    made: dict[str, bytes] = {}
    encoded: dict[ThumbnailFormat, bytes] = {}
    shrunk = _displayable(picture)
    for size in sorted(ThumbnailSize, reverse=True):
        fitted = _fitted(shrunk, size)
        if fitted is not shrunk or not encoded:  # a small picture is its own thumbnail of several sizes
            encoded = {format_: _encoded(fitted, format_) for format_ in THUMBNAIL_FORMATS}
        shrunk = fitted
        made |= {thumbnail_key(image.sha256, size, format_): data for format_, data in encoded.items()}
    return image, made


async def store_image(objects: ObjectStore, data: bytes) -> StoredImage:
    """Verify `data` and store it with all its thumbnails; storing it again changes nothing.

    The original is stored last: where it is, the thumbnails are. Raises ImageError or ObjectStoreError.
    """
    image, made = await asyncio.to_thread(thumbnails, data)
    await objects.put_all(made)
    await objects.put(image_key(image.sha256), data)
    return image


def _decoded(data: bytes) -> "Image":
    """The picture with all its pixels, upright. Its size is judged when only the header has been read."""
    from PIL import Image, ImageOps, UnidentifiedImageError  # noqa: PLC0415 - only who handles pictures pays for it

    try:
        picture = Image.open(BytesIO(data), formats=("PNG", "JPEG", "WEBP"))
        pixels = picture.width * picture.height
        if pixels <= MAX_PIXELS:
            if picture.format == "PNG":
                # Decoding looks neither at checksums nor behind the last pixel.
                Image.open(BytesIO(data), formats=("PNG",)).verify()
            picture.load()
            ImageOps.exif_transpose(picture, in_place=True)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(f"the image has more than {MAX_PIXELS} pixels") from error
    except UnidentifiedImageError as error:
        raise ImageError("the bytes are not a PNG, JPEG or WebP image") from error
    except _UNDECODABLE as error:
        raise ImageError("the image is broken or cut short") from error
    if pixels > MAX_PIXELS:
        raise ImageError(f"the image has more than {MAX_PIXELS} pixels")
    if picture.format == "PNG" and _PNG_END not in data:
        raise ImageError("the image is cut short")
    return picture


def _described(picture: "Image", data: bytes) -> StoredImage:
    return StoredImage(
        sha256=hashlib.sha256(data).hexdigest(),
        media_type=MEDIA_TYPES[str(picture.format)],
        width=picture.width,
        height=picture.height,
        size_bytes=len(data),
    )


def _displayable(picture: "Image") -> "Image":
    """In a mode that resizes smoothly and that both formats can hold."""
    return picture.convert("RGBA" if picture.has_transparency_data else "RGB")


def _fitted(picture: "Image", size: int) -> "Image":
    """At most `size` pixels on its longest side, never larger than it was."""
    from PIL.Image import Resampling  # noqa: PLC0415 - only who handles pictures pays for it

    longest = max(picture.size)
    if longest <= size:
        return picture
    width, height = (max(1, round(side * size / longest)) for side in picture.size)
    return picture.resize((width, height), Resampling.LANCZOS, reducing_gap=2.0)


def _encoded(picture: "Image", format_: ThumbnailFormat) -> bytes:
    file = BytesIO()
    if format_ == "webp":
        picture.save(file, "WEBP", quality=80, method=2)
    else:
        picture.save(file, "PNG", compress_level=2)
    return file.getvalue()
