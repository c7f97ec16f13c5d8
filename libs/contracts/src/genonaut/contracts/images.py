"""How an event speaks of a stored image: by the hash of its bytes, never by a path."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class StoredImage(BaseModel):
    """An image that is in the object store, verified, with its thumbnails. Pixels and bytes."""

    model_config = ConfigDict(frozen=True)

    sha256: Sha256
    media_type: str
    width: int = Field(ge=1)
    height: int = Field(ge=1)
    size_bytes: int = Field(ge=1)
