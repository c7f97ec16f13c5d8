"""What the content service states: users, tags, images and items."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, Field

from genonaut.contracts.event import Event
from genonaut.contracts.images import StoredImage

SourceType = Literal["items", "auto"]
ContentType = Literal["text", "image", "video", "audio"]

Score = Annotated[float, AfterValidator(lambda score: score + 0.0)]
"""Never the negative zero: a log in jsonb does not keep it, so a rebuilt row would differ from the live one."""


class UserRegistered(Event, type="content.user.registered"):
    user_id: UUID
    username: str
    email: str
    preferences: dict[str, Any] = Field(default_factory=dict)


class UserPreferencesChanged(Event, type="content.user.preferences_changed"):
    user_id: UUID
    changes: dict[str, Any]
    """Merged into the preferences key by key, not deeply."""


class TagCreated(Event, type="content.tag.created"):
    tag_id: UUID
    slug: str
    name: str
    is_private: bool = False
    """Only private items have it so far: to everybody else there is no such tag."""


class TagPublished(Event, type="content.tag.published"):
    """A tag of private items is everybody's now: somebody declared it, or put it on a public item."""

    tag_id: UUID
    name: str
    """As who showed it calls it. The one it had would tell that it was there."""


class TagParentAdded(Event, type="content.tag.parent_added"):
    tag_id: UUID
    parent_id: UUID


class ImageUploaded(Event, type="content.image.uploaded"):
    """Somebody gave the platform an image that it can show. It need not be in any item yet."""

    image: StoredImage
    user_id: UUID | None = None
    """Who says that it is theirs; None when nobody did."""


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
