"""An interaction: recorded once, changed or taken back by whose it is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from genonaut.contracts import Event
from genonaut.contracts.content import InteractionChanged, InteractionDeleted, InteractionRecorded, InteractionType
from genonaut.platform.aggregate import Aggregate

RATINGS = range(1, 6)


class RatingNeededError(ValueError):
    """A `rate` without a rating says nothing."""


class UnknownInteractionError(Exception):
    """There is none, or not for this person."""


@dataclass(frozen=True)
class Facts:
    """What was done. `rating` is one of RATINGS, `duration` in seconds."""

    interaction_type: InteractionType
    rating: int | None = None
    duration: int | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.interaction_type == "rate" and self.rating is None:
            raise RatingNeededError("a rate needs a rating")


@dataclass(frozen=True)
class Draft:
    """What somebody wants recorded. `client_id` is their name for it: repeats of it mean the same one."""

    user_id: UUID
    content_item_id: int
    facts: Facts
    client_id: str | None = None

    def is_repeated_by(self, event: InteractionRecorded) -> bool:
        """Whether the event is this draft, recorded."""
        return self.content_item_id == event.content_item_id and _same(_fields(self.facts), _fields(event))


@dataclass(frozen=True)
class Record:
    interaction_id: int
    draft: Draft


@dataclass(frozen=True)
class Change:
    actor: UUID | None
    """Who wants it; None when nobody says, and then whose it is."""
    changes: Mapping[str, Any]
    """Of the fields of Facts, by name. Those that are not named stay."""


@dataclass(frozen=True)
class Delete:
    actor: UUID | None


Command = Record | Change | Delete


@dataclass(frozen=True)
class Interaction:
    interaction_id: int
    user_id: UUID
    content_item_id: int
    facts: Facts


def decide(command: Command, interaction: Interaction | None) -> Sequence[Event]:
    """What changes nothing states nothing. Raises UnknownInteractionError and RatingNeededError."""
    if isinstance(command, Record):
        if interaction:
            return []
        draft = command.draft
        recorded = InteractionRecorded(
            interaction_id=command.interaction_id,
            user_id=draft.user_id,
            content_item_id=draft.content_item_id,
            client_id=draft.client_id,
            **_fields(draft.facts),
        )
        return [recorded]
    if interaction is None or command.actor not in {None, interaction.user_id}:
        raise UnknownInteractionError
    who_and_what = {
        "interaction_id": interaction.interaction_id,
        "user_id": interaction.user_id,
        "content_item_id": interaction.content_item_id,
    }
    if isinstance(command, Delete):
        return [InteractionDeleted(**who_and_what)]
    before = _fields(interaction.facts)
    after = _fields(Facts(**{**before, **command.changes}))
    return [] if _same(before, after) else [InteractionChanged(**who_and_what, **after)]


def evolve(interaction: Interaction | None, event: Event) -> Interaction | None:
    if isinstance(event, InteractionRecorded | InteractionChanged):
        facts = Facts(**_fields(event))
        return Interaction(event.interaction_id, event.user_id, event.content_item_id, facts)
    return None if isinstance(event, InteractionDeleted) else interaction


INTERACTION: Aggregate[Interaction | None, Command] = Aggregate("interaction", None, decide, evolve)


def _fields(of: Facts | InteractionRecorded | InteractionChanged) -> dict[str, Any]:
    return {
        "interaction_type": of.interaction_type,
        "rating": of.rating,
        "duration": of.duration,
        "metadata": dict(of.metadata),
    }


def _same(one: Any, other: Any) -> bool:
    """As JSON: true is not 1, but 1.0 is, and so is what a log made of a large number."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_same(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)
