"""A recommendation: made once, shown once, judged by whose it is, changed or taken back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from genonaut.contracts import Event
from genonaut.contracts.content import (
    Feedback,
    Reason,
    RecommendationChanged,
    RecommendationDeleted,
    RecommendationJudged,
    RecommendationMade,
    RecommendationServed,
)
from genonaut.platform.aggregate import Aggregate, same_json

UNWANTED: tuple[Feedback, ...] = ("dislike", "not_interested")
"""After one of these the item is never recommended to the user again."""


class UnknownRecommendationError(Exception):
    """There is none, or not for this person."""


@dataclass(frozen=True)
class Facts:
    """What is said about the item. `score` is from 0 to 1."""

    score: float
    algorithm_version: str
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Draft:
    """What somebody is to be recommended."""

    user_id: UUID
    content_item_id: int
    facts: Facts
    reasons: Sequence[Reason] = ()
    generated: bool = False


@dataclass(frozen=True)
class Make:
    recommendation_id: int
    draft: Draft


@dataclass(frozen=True)
class Change:
    actor: UUID | None
    """Who wants it; None when nobody says, and then whose it is."""
    changes: Mapping[str, Any]
    """Of the fields of Facts, by name. Those that are not named stay."""


@dataclass(frozen=True)
class Serve:
    actor: UUID | None


@dataclass(frozen=True)
class Judge:
    actor: UUID | None
    feedback: Feedback
    comment: str | None = None


@dataclass(frozen=True)
class Delete:
    actor: UUID | None


Command = Make | Change | Serve | Judge | Delete


@dataclass(frozen=True)
class Recommendation:
    recommendation_id: int
    user_id: UUID
    content_item_id: int
    facts: Facts
    served: bool = False
    judgement: tuple[Feedback, str | None] | None = None


def decide(command: Command, recommendation: Recommendation | None) -> Sequence[Event]:
    """What changes nothing states nothing. Raises UnknownRecommendationError."""
    if isinstance(command, Make):
        return [] if recommendation else [_made(command)]
    if recommendation is None or command.actor not in {None, recommendation.user_id}:
        raise UnknownRecommendationError
    who_and_what = {
        "recommendation_id": recommendation.recommendation_id,
        "user_id": recommendation.user_id,
        "content_item_id": recommendation.content_item_id,
    }
    if isinstance(command, Delete):
        return [RecommendationDeleted(**who_and_what)]
    if isinstance(command, Serve):
        return [] if recommendation.served else [RecommendationServed(**who_and_what)]
    if isinstance(command, Judge):
        if recommendation.judgement == (command.feedback, command.comment):
            return []
        return [RecommendationJudged(**who_and_what, feedback=command.feedback, comment=command.comment)]
    before = _fields(recommendation.facts)
    after = {**before, **command.changes}
    return [] if same_json(before, after) else [RecommendationChanged(**who_and_what, **after)]


def evolve(recommendation: Recommendation | None, event: Event) -> Recommendation | None:
    if isinstance(event, RecommendationMade):
        return Recommendation(event.recommendation_id, event.user_id, event.content_item_id, Facts(**_fields(event)))
    if recommendation is None or isinstance(event, RecommendationDeleted):
        return None
    if isinstance(event, RecommendationChanged):
        return replace(recommendation, facts=Facts(**_fields(event)))
    if isinstance(event, RecommendationServed):
        return replace(recommendation, served=True)
    if isinstance(event, RecommendationJudged):
        return replace(recommendation, judgement=(event.feedback, event.comment))
    return recommendation


RECOMMENDATION: Aggregate[Recommendation | None, Command] = Aggregate("recommendation", None, decide, evolve)


def _made(command: Make) -> RecommendationMade:
    draft = command.draft
    return RecommendationMade(
        recommendation_id=command.recommendation_id,
        user_id=draft.user_id,
        content_item_id=draft.content_item_id,
        reasons=list(draft.reasons),
        generated=draft.generated,
        **_fields(draft.facts),
    )


def _fields(of: Facts | RecommendationMade | RecommendationChanged) -> dict[str, Any]:
    return {"score": of.score, "algorithm_version": of.algorithm_version, "metadata": dict(of.metadata)}
