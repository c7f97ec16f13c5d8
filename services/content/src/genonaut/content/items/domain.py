"""Items: what somebody wants in the gallery, what it takes to be there, and what may become of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from genonaut.contracts import Event
from genonaut.contracts.content import (
    ContentType,
    ImpliedTag,
    ItemCreated,
    ItemDeleted,
    ItemEdited,
    ItemMadePrivate,
    ItemMadePublic,
    ItemQualityChanged,
    ItemRetagged,
    ItemTagsImplied,
    SourceType,
)
from genonaut.contracts.images import StoredImage
from genonaut.platform.aggregate import Aggregate, same_json

MAX_TITLE = 255
MAX_PROMPT = 20_000
MAX_TAGS = 100


class InactiveCreatorError(Exception):
    """A user who is not active creates nothing."""


class UnknownItemError(Exception):
    """There is no such item, or not for who asks."""


class NotTheirsError(Exception):
    """Only its creator changes an item."""


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
class Tagging:
    """The tags that somebody gives an item, and those that they imply."""

    tag_ids: Sequence[UUID] = ()
    implied: Sequence[ImpliedTag] = ()


@dataclass(frozen=True)
class Create:
    item_id: int
    draft: Draft
    tagging: Tagging
    creator_is_active: bool


@dataclass(frozen=True, kw_only=True)
class Edit:
    """What is None, or no key of `changes`, stays."""

    changes: Mapping[str, Any] = field(default_factory=dict)
    """Of `title`, `content_data` and `item_metadata`."""
    tagging: Tagging | None = None
    is_private: bool | None = None
    actor: UUID | None = None
    """Who does it; None when nobody says."""


@dataclass(frozen=True)
class ChangeQuality:
    quality_score: float
    actor: UUID | None = None


@dataclass(frozen=True)
class ImplyTags:
    """Gives it tags that others which it has imply."""

    implied: Sequence[ImpliedTag]


@dataclass(frozen=True)
class Delete:
    actor: UUID | None = None


Command = Create | Edit | ChangeQuality | ImplyTags | Delete


@dataclass(frozen=True)
class Item:
    item_id: int = 0
    exists: bool = False
    creator_id: UUID | None = None
    content: Mapping[str, Any] = field(default_factory=dict)
    """Title, content_data and item_metadata."""
    tag_ids: Sequence[UUID] = ()
    """As somebody gave them."""
    implied: frozenset[UUID] = frozenset()
    is_private: bool = False
    quality_score: float = 0.5
    image_sha256: str | None = None


def decide(command: Command, item: Item) -> Sequence[Event]:
    """What changes nothing states nothing. An item is created once.

    Raises InactiveCreatorError, except for a job that was accepted before, UnknownItemError and NotTheirsError.
    """
    if isinstance(command, Create):
        return [] if item.exists else _created(command)
    if isinstance(command, ImplyTags):  # nobody asks for it: a tag came to imply another
        return _implied(item, command.implied) if item.exists else []
    if not item.exists or (item.is_private and command.actor != item.creator_id):
        raise UnknownItemError
    if isinstance(command, ChangeQuality):  # whoever sees it may judge it
        if command.quality_score == item.quality_score:
            return []
        return [ItemQualityChanged(item_id=item.item_id, quality_score=command.quality_score)]
    if command.actor not in {None, item.creator_id}:
        raise NotTheirsError
    if isinstance(command, Edit):
        return _edited(command, item)
    creator_id = item.creator_id
    assert creator_id is not None, "an item that exists has a creator"  # noqa: S101 - for the type checker
    return [ItemDeleted(item_id=item.item_id, creator_id=creator_id, image_sha256=item.image_sha256)]


def evolve(item: Item, event: Event) -> Item:  # noqa: PLR0911 - one for each kind of event
    match event:
        case ItemCreated():
            return Item(
                item_id=event.item_id,
                exists=True,
                creator_id=event.creator_id,
                content={name: getattr(event, name) for name in ("title", "content_data", "item_metadata")},
                tag_ids=event.tag_ids,
                is_private=event.is_private,
                quality_score=event.quality_score,
                image_sha256=event.image.sha256 if event.image else None,
            )
        case ItemEdited():
            return replace(item, content={**item.content, **event.changes})
        case ItemRetagged():
            return replace(item, tag_ids=event.tag_ids, implied=frozenset())
        case ItemTagsImplied():
            return replace(item, implied=item.implied | {each.tag_id for each in event.implied})
        case ItemMadePrivate() | ItemMadePublic():
            return replace(item, is_private=isinstance(event, ItemMadePrivate))
        case ItemQualityChanged():
            return replace(item, quality_score=event.quality_score)
        case ItemDeleted():
            return replace(item, exists=False)
    return item


def spoken_of(event: Event) -> set[UUID]:
    """The tags that an event of an item names."""
    if isinstance(event, ItemCreated | ItemRetagged):
        return set(event.tag_ids)
    if isinstance(event, ItemTagsImplied):
        return {id_ for each in event.implied for id_ in (each.tag_id, each.because_of)}
    return set()


def visible_from(history: Sequence[Event]) -> int:
    """The first version that others than the creator may know of: before it, the item was private."""
    shown = [version for version, event in enumerate(history, start=1) if isinstance(event, ItemMadePublic)]
    return max(shown, default=1)


def _created(command: Create) -> list[Event]:
    draft, job, tagging = command.draft, command.draft.job, command.tagging
    if not (command.creator_is_active or job):
        raise InactiveCreatorError
    created = ItemCreated(
        item_id=command.item_id,
        source_type=draft.source_type,
        title=draft.title,
        content_type=draft.content_type,
        content_data=draft.content_data,
        prompt=draft.prompt,
        creator_id=draft.creator_id,
        tag_ids=list(tagging.tag_ids),
        item_metadata=dict(draft.item_metadata),
        quality_score=draft.quality_score,
        is_private=draft.is_private,
        image=draft.image,
        job_id=job.job_id if job else None,
        image_index=job.index if job else 0,
        image_count=job.count if job else 1,
    )
    return [created, *_implied(evolve(Item(), created), tagging.implied)]


def _edited(command: Edit, item: Item) -> list[Event]:
    events: list[Event] = []
    changes = {name: value for name, value in command.changes.items() if not same_json(item.content.get(name), value)}
    if changes:
        events.append(ItemEdited(item_id=item.item_id, changes=changes))
    if command.tagging and list(command.tagging.tag_ids) != list(item.tag_ids):
        retagged = ItemRetagged(item_id=item.item_id, tag_ids=list(command.tagging.tag_ids))
        events += [retagged, *_implied(evolve(item, retagged), command.tagging.implied)]
    if command.is_private is not None and command.is_private != item.is_private:
        kind = ItemMadePrivate if command.is_private else ItemMadePublic
        events.append(kind(item_id=item.item_id))
    return events


def _implied(item: Item, implied: Sequence[ImpliedTag]) -> list[Event]:
    has = {*item.tag_ids, *item.implied}
    new = [each for each in implied if each.tag_id not in has]
    return [ItemTagsImplied(item_id=item.item_id, implied=new)] if new else []


ITEM: Aggregate[Item, Command] = Aggregate("item", Item(), decide, evolve)


def searchable(*texts: str) -> str:
    """The texts in the one form that search terms are looked for in: no case, single spaces."""
    # In Python: what a database calls upper and lower case depends on its locale.
    return "\n".join(" ".join(text.casefold().split()) for text in texts)
