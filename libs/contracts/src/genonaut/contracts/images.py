"""How an event speaks of a stored image: by the hash of its bytes. And the path that each of those is served at."""

from enum import IntEnum
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class ThumbnailSize(IntEnum):
    """Pixels of the longest side. A smaller original keeps its own size."""

    SMALL = 150
    MEDIUM = 300
    LARGE = 600


SHOWN_SIZE = ThumbnailSize.MEDIUM
"""Of the thumbnail that stands for an image where one is enough."""


class StoredImage(BaseModel):
    """An image that is in the object store, verified, with its thumbnails. Pixels and bytes."""

    model_config = ConfigDict(frozen=True)

    sha256: Sha256
    media_type: str
    width: int = Field(ge=1)
    height: int = Field(ge=1)
    size_bytes: int = Field(ge=1)


def image_path(sha256: str, *, size: int | None = None, viewer: UUID | None = None) -> str:
    """The path and query that the image is served at; `viewer` where not everybody may see it."""
    query = [f"size={size:d}"] if size else []
    if viewer:
        query.append(f"user_id={viewer}")
    return f"/api/v1/images/{sha256}{'?' if query else ''}{'&'.join(query)}"
