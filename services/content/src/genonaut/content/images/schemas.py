"""Images over HTTP: the body of an upload's answer, and what the headers of a request ask for."""

import re
from typing import Self
from uuid import UUID

from pydantic import BaseModel, Field

from genonaut.content.images.addresses import Addresses
from genonaut.contracts.images import StoredImage
from genonaut.platform.images import RenditionFormat, RenditionSize


class StoredImageBody(BaseModel):
    sha256: str = Field(description="SHA-256 of the bytes. It names the image for good.")
    media_type: str = Field(examples=["image/png"])
    width: int = Field(description="Pixels.")
    height: int = Field(description="Pixels.")
    size_bytes: int
    url: str = Field(
        description="Where it is served. When not everybody may see it, the address is signed: it is good for half an "
        "hour at least, and as it is."
    )

    @classmethod
    def of(cls, image: StoredImage, addresses: Addresses, *, viewer: UUID | None = None) -> Self:
        """`viewer` where not everybody may see it."""
        return cls(**image.model_dump(), url=addresses.of(image.sha256, viewer=viewer))


SIZES = f"One of {', '.join(f'{size:d}' for size in RenditionSize)}: pixels of the longest side."


class UnsatisfiableRangeError(Exception):
    """The range asked for begins after the end."""


def byte_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Start and end (exclusive) of the one range that a Range header asks for, within `size` bytes.

    None where RFC 9110 has the header ignored: it is malformed, another unit or several ranges at once. Raises
    UnsatisfiableRangeError.
    """
    match = re.fullmatch(r"bytes=\s*(\d*)-(\d*)\s*", header or "", re.ASCII | re.IGNORECASE)
    if not match or match[1] == match[2] == "" or len(match[0]) > 100:  # noqa: PLR2004 - longer than any number of bytes
        return None
    if not match[1]:
        start, end = max(0, size - int(match[2])), size
        if not int(match[2]):
            raise UnsatisfiableRangeError
        return start, end
    start, end = int(match[1]), int(match[2]) + 1 if match[2] else size
    if match[2] and end <= start:
        return None
    if start >= size:
        raise UnsatisfiableRangeError
    return start, min(end, size)


def names_tag(header: str | None, etag: str) -> bool:
    """Whether an If-None-Match header lists `etag`; weak and strong are the same to it."""
    if header is None:
        return False
    listed = re.findall(r'(?:W/)?("[^"]*")|(\*)', header)
    return any(star or tag == etag for tag, star in listed)


def preferred_format(accept: str | None) -> RenditionFormat:
    """The format for an Accept header.

    AVIF for those who name it and rank nothing higher, PNG for those who rank it above WebP, else WebP.
    """
    wanted = _qualities(accept or "*/*")
    webp, png = (_quality(wanted, f"image/{name}") for name in ("webp", "png"))
    # By name only: of those who take anything, many mean anything that was usual when they were written.
    if 0 < wanted.get("image/avif", 0) >= max(webp, png):
        return "avif"
    return "png" if png > webp else "webp"


def _qualities(accept: str) -> dict[str, float]:
    """How much each media range is wanted, from 0 to 1."""
    found = {}
    for entry in accept.split(","):
        name, *parameters = (part.strip().lower() for part in entry.split(";"))
        value = next((part[2:] for part in parameters if part.startswith("q=")), "1")
        found[name] = float(value) if re.fullmatch(r"0(\.\d{0,3})?|1(\.0{0,3})?", value, re.ASCII) else 0.0
    return found


def _quality(wanted: dict[str, float], media_type: str) -> float:
    """The most specific entry counts."""
    return next((wanted[name] for name in (media_type, "image/*", "*/*") if name in wanted), 0.0)
