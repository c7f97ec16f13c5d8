"""The items of the gallery: made, changed, taken away."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from genonaut.contracts.event import Event
from genonaut.contracts.images import Sha256, StoredImage

SourceType = Literal["items", "auto"]
ContentType = Literal["text", "image", "video", "audio"]

Score = Annotated[float, AfterValidator(lambda score: score + 0.0)]
"""Never the negative zero: a log in jsonb does not keep it, so a rebuilt row would differ from the live one."""


class ItemCreated(Event, type="content.item.created"):
    item_id: int
    source_type: SourceType = "items"
    title: str
    content_type: ContentType
    content_data: str | None = None
    prompt: str
    creator_id: UUID
    tag_ids: list[UUID] = Field(default_factory=list)
    item_metadata: dict[str, Any] = Field(default_factory=dict)
    quality_score: Score = 0.5
    is_private: bool = False
    image: StoredImage | None = None
    job_id: int | None = None
    """The generation job that made it, with `image_index` counting that job's images from 0 up to `image_count` - 1."""
    image_index: int = 0
    image_count: int = 1


class ItemEdited(Event, type="content.item.edited"):
    item_id: int
    changes: dict[str, Any]
    """New values by name, of `title`, `content_data` and `item_metadata`. Never the prompt: it does not change."""


class ItemRetagged(Event, type="content.item.retagged"):
    """It has these tags now, and those that they imply."""

    item_id: int
    tag_ids: list[UUID]


class ImpliedTag(BaseModel):
    """A tag that an item is given because it has another one."""

    model_config = ConfigDict(frozen=True)

    tag_id: UUID
    because_of: UUID


class ItemTagsImplied(Event, type="content.item.tags_implied"):
    """The tags it has because of others, all of them: none that was implied before stays for that."""

    item_id: int
    implied: list[ImpliedTag]


class ItemMadePrivate(Event, type="content.item.made_private"):
    item_id: int


class ItemMadePublic(Event, type="content.item.made_public"):
    item_id: int


class ItemQualityChanged(Event, type="content.item.quality_changed"):
    item_id: int
    quality_score: Score


class ItemDeleted(Event, type="content.item.deleted"):
    """Its row is gone. What it was made of stays in the log."""

    item_id: int
    creator_id: UUID
    image_sha256: Sha256 | None = None
    """The image that it shows no longer."""
