"""Tags: the words items are found by, what is above what, and what people think of them."""

from collections.abc import Mapping
from typing import ClassVar
from uuid import UUID

from genonaut.contracts.content.numbers import numbered
from genonaut.contracts.event import Event, Upcaster


class TagCreated(Event, type="content.tag.created", version=2):
    upcasters: ClassVar[Mapping[int, Upcaster]] = {1: numbered("tag_id")}

    tag_id: UUID
    number: int
    """Stands for the tag where a small number is wanted: in the search of items that have it."""
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


class TagParentRemoved(Event, type="content.tag.parent_removed"):
    tag_id: UUID
    parent_id: UUID


class TagAliasAdded(Event, type="content.tag.alias_added"):
    """Another word for the tag: who uses it means this one."""

    tag_id: UUID
    alias: str
    """A slug."""


class TagAliasRemoved(Event, type="content.tag.alias_removed"):
    tag_id: UUID
    alias: str


class TagImplicationAdded(Event, type="content.tag.implication_added"):
    """What has this tag is given the implied one, too."""

    tag_id: UUID
    implied_id: UUID


class TagImplicationRemoved(Event, type="content.tag.implication_removed"):
    """Items keep what they were given while it held."""

    tag_id: UUID
    implied_id: UUID


class TagRated(Event, type="content.tag.rated"):
    """In the place of what the same person thought before."""

    tag_id: UUID
    user_id: UUID
    half_stars: int
    """From 2 to 10: the rating from 1.0 to 5.0, doubled, so that sums are exact."""


class TagRatingRemoved(Event, type="content.tag.rating_removed"):
    tag_id: UUID
    user_id: UUID


class TagFavorited(Event, type="content.tag.favorited"):
    tag_id: UUID
    user_id: UUID


class TagUnfavorited(Event, type="content.tag.unfavorited"):
    tag_id: UUID
    user_id: UUID
