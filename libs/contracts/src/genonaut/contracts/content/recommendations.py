"""What is recommended to whom, why, and what they make of it."""

from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from genonaut.contracts.content.interactions import InteractionType
from genonaut.contracts.content.items import Score
from genonaut.contracts.event import Event

Feedback = Literal["like", "dislike", "not_interested", "clicked"]


class Reason(BaseModel):
    """Why an item is recommended, as data; whoever shows it has the words."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["did", "tags", "creator", "popular"]
    interaction_type: InteractionType | None = None
    """With `did`: what the user did with `content_item_id`, which people like them did something with, too."""
    content_item_id: int | None = None
    tags: list[str] = Field(default_factory=list)
    """With `tags`: slugs of those that the user likes and the item has."""


class RecommendationMade(Event, type="content.recommendation.made"):
    recommendation_id: int
    user_id: UUID
    content_item_id: int
    """Of either source."""
    score: Score
    """From 0 to 1."""
    algorithm_version: str
    """`name@version` of one of ours, anything of those of others."""
    metadata: dict[str, Any] = Field(default_factory=dict)
    reasons: list[Reason] = Field(default_factory=list)
    generated: bool = False
    """By the service itself, which replaces it as long as nobody has seen it."""


class RecommendationChanged(Event, type="content.recommendation.changed"):
    """It is so now, in all of these."""

    recommendation_id: int
    user_id: UUID
    content_item_id: int
    score: Score
    algorithm_version: str
    metadata: dict[str, Any] = Field(default_factory=dict)


class RecommendationServed(Event, type="content.recommendation.served"):
    """It was shown to its user, for the first time."""

    recommendation_id: int
    user_id: UUID
    content_item_id: int


class RecommendationJudged(Event, type="content.recommendation.judged"):
    """What its user makes of it now."""

    recommendation_id: int
    user_id: UUID
    content_item_id: int
    feedback: Feedback
    comment: str | None = None


class RecommendationDeleted(Event, type="content.recommendation.deleted"):
    recommendation_id: int
    user_id: UUID
    content_item_id: int
