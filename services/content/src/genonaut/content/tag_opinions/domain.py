"""What one person thinks of one tag: a rating from 1 to 5 in half steps, and whether it is a favorite."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from genonaut.contracts import Event
from genonaut.contracts.content import TagFavorited, TagRated, TagRatingRemoved, TagUnfavorited
from genonaut.platform.aggregate import Aggregate


class NotRatedError(Exception):
    """There is no rating to take back."""


@dataclass(frozen=True)
class Opinion:
    half_stars: int | None = None
    is_favorite: bool = False


@dataclass(frozen=True)
class Rate:
    tag_id: UUID
    user_id: UUID
    half_stars: int


@dataclass(frozen=True)
class RemoveRating:
    tag_id: UUID
    user_id: UUID


@dataclass(frozen=True)
class Favor:
    tag_id: UUID
    user_id: UUID
    is_favorite: bool


Command = Rate | RemoveRating | Favor


def decide(command: Command, opinion: Opinion) -> Sequence[Event]:
    """What is so already is not stated again. Raises NotRatedError."""
    tag_id, user_id = command.tag_id, command.user_id
    if isinstance(command, Rate):
        if command.half_stars == opinion.half_stars:
            return []
        return [TagRated(tag_id=tag_id, user_id=user_id, half_stars=command.half_stars)]
    if isinstance(command, RemoveRating):
        if opinion.half_stars is None:
            raise NotRatedError
        return [TagRatingRemoved(tag_id=tag_id, user_id=user_id)]
    if command.is_favorite == opinion.is_favorite:
        return []
    stated = TagFavorited if command.is_favorite else TagUnfavorited
    return [stated(tag_id=tag_id, user_id=user_id)]


def evolve(opinion: Opinion, event: Event) -> Opinion:
    if isinstance(event, TagRated):
        return replace(opinion, half_stars=event.half_stars)
    if isinstance(event, TagRatingRemoved):
        return replace(opinion, half_stars=None)
    if isinstance(event, TagFavorited | TagUnfavorited):
        return replace(opinion, is_favorite=isinstance(event, TagFavorited))
    return opinion


TAG_OPINION: Aggregate[Opinion, Command] = Aggregate("tag_opinion", Opinion(), decide, evolve)


def opinion_id(tag_id: UUID, user_id: UUID) -> str:
    """The stream of one person's opinion of one tag: as long as they change their mind, however many others do."""
    return f"{tag_id}:{user_id}"


def average(half_stars: int, count: int) -> float | None:
    """The mean of ratings that sum up to so many half stars, to two decimals, halves upwards; None without any."""
    return (100 * half_stars + count) // (2 * count) / 100 if count else None
