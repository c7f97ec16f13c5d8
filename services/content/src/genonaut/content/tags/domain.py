"""Tags: named by a slug, which also gives the id; with any number of parents and no way round in a circle."""

import re
import unicodedata
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from uuid import NAMESPACE_DNS, UUID, uuid5

from genonaut.contracts import Event
from genonaut.contracts.content import TagCreated, TagParentAdded, TagPublished
from genonaut.platform.aggregate import Aggregate

MAX_SLUG = 100

_MARKS = frozenset("_-.:'()&+!")
"""What the tags of this field are written with beside words of any script: `c++`, `saber_(fate)`, `1:1`."""

_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class BadSlugError(ValueError):
    """This text names no tag."""


class TagCycleError(Exception):
    """The parent is the tag itself or below it."""


def slug_of(text: str) -> str:
    """The slug that `text` means: `Night Sky` is `night-sky`. Raises BadSlugError."""
    slug = "-".join(_plain(_plain(text).lower()).split())
    if len(slug) > MAX_SLUG:
        raise BadSlugError(f"a tag has at most {MAX_SLUG} characters")
    if not any(map(str.isalnum, slug)) or not all(map(_is_of_slug, slug)):
        raise BadSlugError("a tag is made of letters, digits, spaces and _ - . : ' ( ) & + !")
    if _ID.fullmatch(slug):
        raise BadSlugError("a tag cannot be called like an id")
    return slug


def name_of(slug: str) -> str:
    """The name of a tag that was given none: `night-sky` is `Night Sky`."""
    words = re.split(r"[-_]+", slug)
    return " ".join(word[:1].upper() + word[1:] for word in words if word) or slug


def id_of(slug: str) -> UUID:
    """The id of the tag with this slug, whether or not it exists."""
    return uuid5(NAMESPACE_DNS, slug)


def _plain(text: str) -> str:
    """One spelling for what looks the same."""
    return unicodedata.normalize("NFKC", text)


def _is_of_slug(character: str) -> bool:
    return character.isalnum() or character in _MARKS or unicodedata.category(character).startswith("M")


@dataclass(frozen=True)
class TagReference:
    """A tag as a client names it. With a slug it can be created, with an id alone it must exist."""

    tag_id: UUID
    slug: str | None = None
    name: str | None = None

    @classmethod
    def of(cls, text: str) -> "TagReference":
        """From an id or a slug. Raises BadSlugError."""
        return cls(UUID(text)) if _ID.fullmatch(text) else cls.to(slug_of(text))

    @classmethod
    def to(cls, slug: str, name: str | None = None) -> "TagReference":
        return cls(id_of(slug), slug, name or name_of(slug))


def sought(text: str) -> UUID:
    """The id that a filter by `text`, an id or a slug, looks for; of no tag when it can name none."""
    try:
        return TagReference.of(text).tag_id
    except BadSlugError:
        return id_of(text)


@dataclass(frozen=True)
class Tag:
    tag_id: UUID | None = None
    is_private: bool = False
    parents: AbstractSet[UUID] = field(default_factory=frozenset)


@dataclass(frozen=True)
class Create:
    """So that it exists, and unless this is private everybody sees it, as one that is new to them."""

    slug: str
    name: str
    number: int
    is_private: bool = False


@dataclass(frozen=True)
class Publish:
    name: str


@dataclass(frozen=True)
class AddParent:
    tag_id: UUID
    parent_id: UUID
    above_parent: AbstractSet[UUID]
    """Every ancestor of the parent, as long as nobody else changes the hierarchy."""


Command = Create | Publish | AddParent


def decide(command: Command, tag: Tag) -> Sequence[Event]:
    """What is there already is not stated again. Raises TagCycleError."""
    if isinstance(command, Create):
        if tag.tag_id:
            shown = tag.is_private and not command.is_private
            return [TagPublished(tag_id=tag.tag_id, name=command.name)] if shown else []
        created = TagCreated(
            tag_id=id_of(command.slug),
            number=command.number,
            slug=command.slug,
            name=command.name,
            is_private=command.is_private,
        )
        return [created]
    if isinstance(command, Publish):
        return [TagPublished(tag_id=tag.tag_id, name=command.name)] if tag.tag_id and tag.is_private else []
    if command.tag_id in {command.parent_id, *command.above_parent}:
        raise TagCycleError
    if command.parent_id in tag.parents:
        return []
    return [TagParentAdded(tag_id=command.tag_id, parent_id=command.parent_id)]


def evolve(tag: Tag, event: Event) -> Tag:
    if isinstance(event, TagCreated):
        return Tag(event.tag_id, event.is_private)
    if isinstance(event, TagPublished):
        return replace(tag, is_private=False)
    if isinstance(event, TagParentAdded):
        return replace(tag, parents=tag.parents | {event.parent_id})
    return tag


TAG: Aggregate[Tag, Command] = Aggregate("tag", Tag(), decide, evolve)
