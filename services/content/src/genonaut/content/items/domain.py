"""Items: what somebody wants in the gallery, and what it takes to be there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from genonaut.contracts import Event
from genonaut.contracts.content import ContentType, ItemCreated, SourceType
from genonaut.contracts.images import StoredImage
from genonaut.platform.aggregate import Aggregate

MAX_TITLE = 255
MAX_PROMPT = 20_000
MAX_TAGS = 100


class InactiveCreatorError(Exception):
    """A user who is not active creates nothing."""


@dataclass(frozen=True)
class JobImage:
    """Which picture of a generation job an item is, counted from 0."""

    job_id: int
    index: int
    count: int


@dataclass(frozen=True, kw_only=True)
class Draft:
    """The facts of an item to be."""

    creator_id: UUID
    title: str
    prompt: str
    content_type: ContentType
    source_type: SourceType = "items"
    content_data: str | None = None
    item_metadata: Mapping[str, Any] = field(default_factory=dict)
    quality_score: float = 0.5
    is_private: bool = False
    image: StoredImage | None = None
    job: JobImage | None = None


@dataclass(frozen=True)
class Create:
    item_id: int
    draft: Draft
    tag_ids: Sequence[UUID]
    creator_is_active: bool


@dataclass(frozen=True)
class Item:
    exists: bool = False


def decide(command: Create, item: Item) -> Sequence[Event]:
    """An item is created once. Raises InactiveCreatorError, except for a job that was accepted before."""
    if item.exists:
        return []
    draft, job = command.draft, command.draft.job
    if not (command.creator_is_active or job):
        raise InactiveCreatorError
    return [
        ItemCreated(
            item_id=command.item_id,
            source_type=draft.source_type,
            title=draft.title,
            content_type=draft.content_type,
            content_data=draft.content_data,
            prompt=draft.prompt,
            creator_id=draft.creator_id,
            tag_ids=list(command.tag_ids),
            item_metadata=dict(draft.item_metadata),
            quality_score=draft.quality_score,
            is_private=draft.is_private,
            image=draft.image,
            job_id=job.job_id if job else None,
            image_index=job.index if job else 0,
            image_count=job.count if job else 1,
        )
    ]


def evolve(item: Item, event: Event) -> Item:
    return Item(exists=True) if isinstance(event, ItemCreated) else item


ITEM: Aggregate[Item, Create] = Aggregate("item", Item(), decide, evolve)


def searchable(*texts: str) -> str:
    """The texts in the one form that search terms are looked for in: no case, single spaces."""
    # In Python: what a database calls upper and lower case depends on its locale.
    return "\n".join(" ".join(text.casefold().split()) for text in texts)
