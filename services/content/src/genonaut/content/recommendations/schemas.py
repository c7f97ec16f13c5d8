"""Recommendations over HTTP."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, StringConstraints, ValidationError

from genonaut.content.images.addresses import Addresses
from genonaut.content.interactions.queries import Counts
from genonaut.content.interactions.schemas import BulkResult, Content, Misshapen
from genonaut.content.recommendations.commands import Served
from genonaut.content.recommendations.counting import PARTS
from genonaut.content.recommendations.domain import Draft, Facts
from genonaut.contracts.content import Feedback, InteractionType, Reason
from genonaut.platform.http.errors import FieldError
from genonaut.platform.http.lists import MAX_BIGINT

MAX_BULK = 1000
MAX_GENERATED = 100

RecommendationScore = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False, strict=True, examples=[0.85])]
AlgorithmVersion = Annotated[str, StringConstraints(min_length=1, max_length=100)]

DONE: Mapping[InteractionType, str] = {
    "view": "looked at",
    "like": "liked",
    "share": "shared",
    "comment": "commented on",
    "download": "downloaded",
    "bookmark": "bookmarked",
    "rate": "rated",
}


class NewRecommendation(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "user_id": "7d0c1c6e-1f7a-4c55-9b0e-2f4f5c1f8a01",
                    "content_item_id": 41,
                    "recommendation_score": 0.85,
                    "algorithm_version": "editors@3",
                    "metadata": {"reasons": ["picked by hand"]},
                }
            ]
        }
    )

    user_id: UUID
    content_item_id: int = Field(ge=1, le=MAX_BIGINT, strict=True, description="Of either source.")
    recommendation_score: RecommendationScore
    algorithm_version: AlgorithmVersion
    metadata: dict[str, Any] = Field(default_factory=dict)

    @property
    def draft(self) -> Draft:
        return Draft(
            self.user_id,
            self.content_item_id,
            Facts(self.recommendation_score + 0.0, self.algorithm_version, self.metadata),
        )


def _by_itself(value: Any) -> NewRecommendation | Misshapen:
    try:
        return NewRecommendation.model_validate(value)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        return Misshapen([FieldError(loc=list(each["loc"]), msg=each["msg"], type=each["type"]) for each in found])


# So that one that is none does not keep the others of a partial list from being made.
BulkElement = Annotated[
    NewRecommendation | Misshapen, PlainValidator(_by_itself, json_schema_input_type=NewRecommendation)
]
Bulk = Annotated[list[BulkElement], Field(min_length=1, max_length=MAX_BULK)]


class RecommendationChanges(BaseModel):
    """What is not named stays as it is."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"recommendation_score": 0.5}]})

    recommendation_score: RecommendationScore = Field(default=0, description="The default is never used.")
    algorithm_version: AlgorithmVersion = Field(default="-", description="The default is never used.")
    metadata: dict[str, Any] = Field(default_factory=dict)

    @property
    def named(self) -> dict[str, Any]:
        """As the domain names it."""
        words = {"recommendation_score": "score"}
        return {words.get(name, name): getattr(self, name) for name in self.model_fields_set}


class Wish(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"user_id": "7d0c1c6e-1f7a-4c55-9b0e-2f4f5c1f8a01", "limit": 20}]}
    )

    user_id: UUID
    algorithm_version: AlgorithmVersion | None = Field(
        default=None, description="`name@version` or a name, whose latest version it is then.", examples=["blend@1"]
    )
    limit: int = Field(default=20, ge=1, le=MAX_GENERATED, strict=True)


class ServedIds(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [{"recommendation_ids": [1, 2]}]})

    recommendation_ids: list[Annotated[int, Field(ge=1, le=MAX_BIGINT, strict=True)]] = Field(
        min_length=1, max_length=MAX_BULK
    )


class Judgement(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [{"feedback": "like"}]})

    feedback: Feedback = Field(
        description="After dislike and not_interested the item is never recommended to the user again."
    )
    comment: Annotated[str, StringConstraints(max_length=1000)] | None = None


class Because(BaseModel):
    """Why, in words and as data."""

    text: str = Field(examples=["because you liked #41"])
    kind: Literal["did", "tags", "creator", "popular"]
    interaction_type: InteractionType | None = None
    content_item_id: int | None = None
    tags: list[str] = Field(default_factory=list)

    @classmethod
    def of(cls, reason: Reason) -> Self:
        return cls(text=_text(reason), **reason.model_dump())


def _text(reason: Reason) -> str:
    if reason.kind == "did" and reason.interaction_type:
        return f"because you {DONE[reason.interaction_type]} #{reason.content_item_id}"
    if reason.kind == "tags":
        return f"tags you like: {', '.join(reason.tags)}"
    return "by a creator you like" if reason.kind == "creator" else "popular now"


class Recommendation(BaseModel):
    id: int
    user_id: UUID
    content_item_id: int
    content: Content | None = Field(description="Null when it is deleted, or not for this viewer.")
    recommendation_score: float
    algorithm_version: str
    metadata: dict[str, Any] = Field(description="Of a generated one with the words of its reasons.")
    reasons: list[Because]
    generated: bool
    is_served: bool
    served_at: datetime | None
    feedback: Feedback | None
    comment: str | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, row: Mapping[str, Any], visible: Collection[int], addresses: Addresses) -> Self:
        """From a row of a query with its content; `visible` are the items that may be named to who asks."""
        content = Content.of(row, addresses)
        said = [Reason.model_validate(reason) for reason in row["reasons"]] if content else []
        reasons = [Because.of(each) for each in said if each.content_item_id is None or each.content_item_id in visible]
        own = {"content", "metadata", "reasons", "is_served"}
        return cls(
            **{name: row[name] for name in cls.model_fields if name not in own},
            content=content,
            metadata=row["metadata"] | ({"reasons": [each.text for each in reasons]} if row["generated"] else {}),
            reasons=reasons,
            is_served=row["served_at"] is not None,
        )


def cited(rows: Sequence[Mapping[str, Any]]) -> set[int]:
    """The items that the reasons of rows name."""
    named = (reason["content_item_id"] for row in rows for reason in row["reasons"])
    return {item_id for item_id in named if item_id is not None}


class GeneratedList(BaseModel):
    items: list[Recommendation]
    total: int
    algorithm_version: str
    computation_time_ms: int


class BulkAnswer(BaseModel):
    success: bool = Field(description="Whether none was refused.")
    created: int
    refused: int
    results: list[BulkResult]
    items: list[Recommendation] = Field(description="What was made, in the order of the list.")


class ServedAnswer(BaseModel):
    success: Literal[True] = True
    count: int = Field(description="Marked now.")
    already_served: int
    unknown: list[int] = Field(description="There are none of these, or not for this person: perhaps replaced since.")

    @classmethod
    def of(cls, served: Served) -> Self:
        return cls(count=len(served.served), already_served=len(served.before), unknown=list(served.unknown))


class OfAlgorithm(BaseModel):
    algorithm_version: str
    total: int
    served: int
    feedback: dict[Feedback, int]


class Numbers(BaseModel):
    total_recommendations: int
    served: int
    unserved: int
    average_score: float | None = Field(description="To four decimals.")
    feedback: dict[Feedback, int]
    by_algorithm: list[OfAlgorithm]

    @classmethod
    def fields_of(cls, counts: Counts) -> dict[str, Any]:
        total, served = _one(counts, "all"), _one(counts, "served")
        score = counts.get("score", {}).get("millionths", 0)
        return {
            "total_recommendations": total,
            "served": served,
            "unserved": total - served,
            "average_score": round(score / PARTS / total, 4) if total else None,
            "feedback": {kind: counts.get("feedback", {}).get(kind, 0) for kind in FEEDBACK},
            "by_algorithm": [
                OfAlgorithm(
                    algorithm_version=name,
                    total=count,
                    served=counts.get("served_by", {}).get(name, 0),
                    feedback={kind: counts.get(f"{kind}_by", {}).get(name, 0) for kind in FEEDBACK},
                )
                for name, count in sorted(counts.get("algorithm", {}).items())
            ],
        }


class UserNumbers(Numbers):
    user_id: UUID

    @classmethod
    def of(cls, user_id: UUID, counts: Counts) -> Self:
        return cls(user_id=user_id, **cls.fields_of(counts))


class GlobalNumbers(Numbers):
    """Of public items, whoever asks."""

    users: int = Field(description="Who is recommended something.")

    @classmethod
    def of(cls, counts: Counts) -> Self:
        return cls(users=_one(counts, "users"), **cls.fields_of(counts))


FEEDBACK: tuple[Feedback, ...] = ("like", "dislike", "not_interested", "clicked")


def _one(counts: Counts, facet: str) -> int:
    return counts.get(facet, {}).get("", 0)
