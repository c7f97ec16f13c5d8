"""Items over HTTP."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from genonaut.content.images.addresses import Addresses
from genonaut.content.images.schemas import StoredImageBody
from genonaut.content.items.domain import MAX_PROMPT, MAX_TAGS, MAX_TITLE
from genonaut.content.tags.schemas import TagWord
from genonaut.contracts.content import ContentType, ItemCreated, ItemRetagged, ItemTagsImplied, SourceType
from genonaut.contracts.images import SHOWN_SIZE, Sha256, StoredImage, ThumbnailSize
from genonaut.platform.projections import Recorded

ShownSource = Literal["regular", "auto"]
"""What the API calls the sources `items` and `auto`."""

_SHOWN_SOURCES: Mapping[SourceType, ShownSource] = {"items": "regular", "auto": "auto"}


class NewItem(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "title": "A lighthouse",
                    "content_type": "image",
                    "prompt": "a lighthouse at dusk, oil painting",
                    "creator_id": "7d0c1c6e-1f7a-4c55-9b0e-2f4f5c1f8a01",
                    "tags": ["night-sky", "oil-painting"],
                    "image": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                }
            ]
        }
    )

    title: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_TITLE)]
    content_type: ContentType
    content_data: str | None = Field(
        default=None, description="The text of an item that is text. Never opened as a path."
    )
    prompt: str = Field(min_length=1, max_length=MAX_PROMPT, description="Never changes afterwards.")
    creator_id: UUID
    item_metadata: dict[str, Any] = Field(default_factory=dict)
    tags: list[TagWord] = Field(
        default_factory=list, max_length=MAX_TAGS, description="Ids or slugs. A slug that is unknown becomes a tag."
    )
    quality_score: float = Field(default=0.5, ge=0, le=1)
    is_private: bool | None = Field(default=None, description="For the creator's eyes only. Default false.")
    is_public: bool | None = Field(default=None, description="The opposite of is_private.")
    image: Sha256 | None = Field(default=None, description="Of an image that was uploaded before.")

    @model_validator(mode="after")
    def _one_privacy(self) -> Self:
        if self.is_private is not None and self.is_private == self.is_public:
            raise ValueError("is_private and is_public contradict each other")
        return self

    @property
    def private(self) -> bool:
        return self.is_private if self.is_private is not None else self.is_public is False


class Item(BaseModel):
    id: int
    title: str
    content_type: ContentType
    content_data: str | None
    prompt: str
    source_type: ShownSource
    creator_id: UUID
    creator_username: str | None
    item_metadata: dict[str, Any]
    tags: list[str] = Field(description="Slugs.")
    quality_score: float
    is_public: bool
    is_private: bool
    image: StoredImageBody | None
    path_thumb: str | None = Field(description=f"The thumbnail of {SHOWN_SIZE:d} pixels.")
    path_thumbs_alt_res: dict[str, str] = Field(description="The other thumbnails by size.", examples=[{"150": "…"}])
    job_id: int | None = Field(description="The generation job that made it.")
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, row: Mapping[str, Any], addresses: Addresses) -> Self:
        """From a row of `queries.whole` with its tags."""
        viewer = row["creator_id"] if row["is_private"] else None
        sha256 = row["image_sha256"]
        image = StoredImage(sha256=sha256, **{name: row[name] for name in _IMAGE_FACTS}) if sha256 else None
        return cls(
            **{name: row[name] for name in _AS_STORED},
            source_type=shown_source(row["source_type"]),
            is_public=not row["is_private"],
            image=StoredImageBody.of(image, addresses, viewer=viewer) if image else None,
            path_thumb=shown_thumb(row, addresses),
            path_thumbs_alt_res={
                f"{size:d}": addresses.of(sha256, size=size, viewer=viewer)
                for size in ThumbnailSize
                if sha256 and size != SHOWN_SIZE
            },
        )


class ItemChanges(BaseModel):
    """What is not given stays."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"title": "A lighthouse at dusk", "tags": ["night-sky", "sea"]}]},
    )

    title: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_TITLE)] | None = None
    content_data: str | None = None
    item_metadata: dict[str, Any] | None = None
    tags: list[TagWord] | None = Field(default=None, max_length=MAX_TAGS, description="In the place of all it has.")
    is_private: bool | None = None
    is_public: bool | None = Field(default=None, description="The opposite of is_private.")

    @model_validator(mode="after")
    def _one_privacy(self) -> Self:
        if self.is_private is not None and self.is_private == self.is_public:
            raise ValueError("is_private and is_public contradict each other")
        return self

    @property
    def private(self) -> bool | None:
        if self.is_private is not None or self.is_public is None:
            return self.is_private
        return not self.is_public

    @property
    def changes(self) -> dict[str, Any]:
        """New values by name. Only the content can be taken away: an explicit null of anything else changes nothing."""
        given = {name: getattr(self, name) for name in ("title", "content_data", "item_metadata")}
        return {
            name: value
            for name, value in given.items()
            if name in self.model_fields_set and (value is not None or name == "content_data")
        }


class NewQuality(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [{"quality_score": 0.75}]})

    quality_score: float = Field(ge=0, le=1)


class OldVersion(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [{"version": 1}]})

    version: int = Field(ge=1, description="As the history counts them.")


class HistoryEntry(BaseModel):
    version: int = Field(description="From 1.")
    event: str = Field(examples=["content.item.retagged"])
    at: datetime
    data: dict[str, Any] = Field(description="What the event says, in the words of items: tags by their slugs.")

    @classmethod
    def of(cls, recorded: Recorded, slugs: Mapping[UUID, str]) -> Self:
        """`slugs` has those of all tags that the event speaks of."""
        event = recorded.event
        data = event.model_dump(mode="json", exclude={"item_id", "tag_ids", "implied"})
        if isinstance(event, ItemCreated):
            data["source_type"] = shown_source(event.source_type)
        if isinstance(event, ItemCreated | ItemRetagged):
            data["tags"] = [slugs[tag_id] for tag_id in event.tag_ids]
        if isinstance(event, ItemTagsImplied):
            data["implied"] = [
                {"tag": slugs[each.tag_id], "because_of": slugs[each.because_of]} for each in event.implied
            ]
        return cls(version=recorded.envelope.sequence, event=event.type, at=recorded.envelope.time, data=data)


_IMAGE_FACTS = ("media_type", "width", "height", "size_bytes")
_AS_STORED = (
    *("id", "title", "content_type", "content_data", "prompt", "creator_id", "creator_username", "item_metadata"),
    *("tags", "quality_score", "is_private", "job_id", "created_at", "updated_at"),
)


def shown_source(source_type: SourceType) -> ShownSource:
    return _SHOWN_SOURCES[source_type]


def shown_thumb(row: Mapping[str, Any], addresses: Addresses) -> str | None:
    """The address of the thumbnail; a private item's is for its creator."""
    path: str | None = row["path_thumb"]
    if path is None or not row["is_private"]:
        return path
    return addresses.of(row["image_sha256"], size=SHOWN_SIZE, viewer=row["creator_id"])
