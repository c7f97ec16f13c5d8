"""What people do with items: look, like, share, rate."""

from typing import Any, Literal
from uuid import UUID

from pydantic import Field

from genonaut.contracts.event import Event

InteractionType = Literal["view", "like", "share", "comment", "download", "bookmark", "rate"]


class InteractionRecorded(Event, type="content.interaction.recorded"):
    interaction_id: int
    user_id: UUID
    content_item_id: int
    """Of either source."""
    interaction_type: InteractionType
    rating: int | None = None
    """From 1 to 5. A `rate` has one, any other may."""
    duration: int | None = None
    """Seconds."""
    metadata: dict[str, Any] = Field(default_factory=dict)
    client_id: str | None = None
    """What its user calls it. They record one of that name, however often they say so."""


class InteractionChanged(Event, type="content.interaction.changed"):
    """It is so now, in all of these."""

    interaction_id: int
    user_id: UUID
    content_item_id: int
    interaction_type: InteractionType
    rating: int | None = None
    duration: int | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)


class InteractionDeleted(Event, type="content.interaction.deleted"):
    """It is taken back, and counts no more."""

    interaction_id: int
    user_id: UUID
    content_item_id: int
