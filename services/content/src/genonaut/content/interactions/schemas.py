"""Interactions over HTTP."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any, Self
from uuid import UUID

from fastapi import Query
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    StringConstraints,
    ValidationError,
    model_validator,
)

from genonaut.content.images.addresses import Addresses
from genonaut.content.interactions.commands import Kept
from genonaut.content.interactions.counting import TYPES
from genonaut.content.interactions.domain import RATINGS, Draft, Facts
from genonaut.content.interactions.queries import Behavior, ContentNumbers, Counts, DayCount
from genonaut.content.items.schemas import ShownSource, shown_source, shown_thumb
from genonaut.contracts.content import InteractionType
from genonaut.platform.http.errors import FieldError
from genonaut.platform.http.lists import MAX_BIGINT

MAX_BULK = 1000
MAX_SECONDS = 2**31 - 1

Rating = Annotated[int, Field(ge=RATINGS[0], le=RATINGS[-1], strict=True)]
Seconds = Annotated[int, Field(ge=0, le=MAX_SECONDS, strict=True)]
ClientId = Annotated[str, StringConstraints(min_length=1, max_length=200)]


Days = Annotated[int, Query(ge=1, le=365, description="How many days back, today included, in UTC.")]


class NewInteraction(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "user_id": "7d0c1c6e-1f7a-4c55-9b0e-2f4f5c1f8a01",
                    "content_item_id": 41,
                    "interaction_type": "rate",
                    "rating": 4,
                    "duration": 90,
                    "metadata": {"device_type": "smartphone"},
                    "client_id": "tab-3-click-12",
                }
            ]
        }
    )

    user_id: UUID
    content_item_id: int = Field(ge=1, le=MAX_BIGINT, strict=True, description="Of either source.")
    interaction_type: InteractionType
    rating: Rating | None = Field(default=None, description="A `rate` needs one, any other may have one.")
    duration: Seconds | None = Field(default=None, description="Seconds.")
    metadata: dict[str, Any] = Field(default_factory=dict)
    client_id: ClientId | None = Field(
        default=None, description="Your name for it: said again by the same user, it is recorded once."
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        self.facts  # noqa: B018 - raises what is wrong
        return self

    @property
    def facts(self) -> Facts:
        return Facts(self.interaction_type, self.rating, self.duration, self.metadata)

    def draft(self, client_id: str | None = None) -> Draft:
        """With its own client id before the one that is given."""
        return Draft(self.user_id, self.content_item_id, self.facts, self.client_id or client_id)


@dataclass(frozen=True)
class Misshapen:
    """What is wrong with an element of a list, which is no interaction."""

    errors: Sequence[FieldError]


def _by_itself(value: Any) -> NewInteraction | Misshapen:
    try:
        return NewInteraction.model_validate(value)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        return Misshapen([FieldError(loc=list(each["loc"]), msg=each["msg"], type=each["type"]) for each in found])


# So that one that is none does not keep the others of a partial list from being recorded.
BulkElement = Annotated[NewInteraction | Misshapen, PlainValidator(_by_itself, json_schema_input_type=NewInteraction)]
Bulk = Annotated[list[BulkElement], Field(min_length=1, max_length=MAX_BULK)]


class InteractionChanges(BaseModel):
    """What is not named stays as it is."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"rating": 5}]})

    interaction_type: InteractionType = Field(default_factory=lambda: "view", description="The default is never used.")
    rating: Rating | None = None
    duration: Seconds | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)

    @property
    def named(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.model_fields_set}


class Content(BaseModel):
    id: int
    title: str
    source_type: ShownSource
    path_thumb: str | None

    @classmethod
    def of(cls, row: Mapping[str, Any], addresses: Addresses) -> Self | None:
        """From the columns `content_…` of a row."""
        item = {name.removeprefix("content_"): value for name, value in row.items() if name.startswith("content_")}
        if item.get("id") is None:
            return None
        return cls(
            id=item["id"],
            title=item["title"],
            source_type=shown_source(item["source_type"]),
            path_thumb=shown_thumb(item, addresses),
        )


class Interaction(BaseModel):
    id: int
    user_id: UUID
    content_item_id: int
    content: Content | None = Field(description="Null when it is deleted, or not for this viewer.")
    interaction_type: InteractionType
    rating: int | None
    duration: int | None = Field(description="Seconds.")
    metadata: dict[str, Any]
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, row: Mapping[str, Any], addresses: Addresses) -> Self:
        """From a row of a query with its content."""
        stored = {name: row[name] for name in cls.model_fields if name != "content"}
        return cls(**stored, content=Content.of(row, addresses))

    @classmethod
    def as_recorded(cls, kept: Kept, content: Mapping[str, Any], addresses: Addresses) -> Self:
        """What was answered, or is, to who recorded it."""
        event = kept.event
        return cls(
            id=event.interaction_id,
            user_id=event.user_id,
            content_item_id=event.content_item_id,
            content=Content.of(content, addresses),
            interaction_type=event.interaction_type,
            rating=event.rating,
            duration=event.duration,
            metadata=event.metadata,
            created_at=kept.recorded_at,
            updated_at=kept.recorded_at,
        )


class BulkResult(BaseModel):
    index: int = Field(description="Place in the list, from 0.")
    status: int = Field(description="201 recorded, 200 it was before, 409 the client id is another one's, 422 refused.")
    id: int | None = None
    error: str | None = None

    @classmethod
    def misshapen(cls, place: int, misshapen: Misshapen) -> Self:
        """Of an element that is not what the list is of."""
        said = (
            f"{'.'.join(map(str, error.loc))}: {error.msg}" if error.loc else error.msg for error in misshapen.errors
        )
        return cls(index=place, status=422, error="; ".join(said))


class BulkAnswer(BaseModel):
    success: bool = Field(description="Whether none was refused.")
    recorded: int
    repeated: int
    refused: int
    results: list[BulkResult]

    @classmethod
    def of(cls, results: Sequence[BulkResult]) -> Self:
        statuses = [each.status for each in results]
        recorded, repeated = statuses.count(201), statuses.count(200)
        refused = len(statuses) - recorded - repeated
        return cls(success=not refused, recorded=recorded, repeated=repeated, refused=refused, results=list(results))


class Ratings(BaseModel):
    count: int
    average: float | None = Field(description="To two decimals; null without ratings.")
    histogram: dict[str, int] = Field(examples=[{"1": 0, "2": 0, "3": 1, "4": 0, "5": 2}])

    @classmethod
    def of(cls, counts: Counts) -> Self:
        ratings = counts.get("rating", {})
        histogram = {str(rating): ratings.get(str(rating), 0) for rating in RATINGS}
        count = sum(histogram.values())
        stars = sum(int(rating) * each for rating, each in histogram.items())
        return cls(count=count, average=round(stars / count, 2) if count else None, histogram=histogram)


class Durations(BaseModel):
    count: int = Field(description="Interactions that have one.")
    total_seconds: int
    average_seconds: float | None

    @classmethod
    def of(cls, counts: Counts) -> Self:
        durations = counts.get("duration", {})
        count, seconds = durations.get("count", 0), durations.get("seconds", 0)
        return cls(count=count, total_seconds=seconds, average_seconds=round(seconds / count, 2) if count else None)


class Day(BaseModel):
    date: date
    interactions: int

    @classmethod
    def of(cls, days: Sequence[DayCount]) -> list[Self]:
        return [cls(date=each.day, interactions=each.count) for each in days]


class TopItem(BaseModel):
    content_item_id: int
    content: Content | None
    interactions: int


class TopCreator(BaseModel):
    creator_id: UUID
    creator_username: str | None
    interactions: int


class UserBehavior(BaseModel):
    user_id: UUID
    total_interactions: int
    by_type: dict[InteractionType, int]
    by_content_type: dict[str, int]
    by_source: dict[ShownSource, int]
    by_hour: list[int] = Field(description="From midnight, in UTC.", min_length=24, max_length=24)
    by_weekday: list[int] = Field(description="From Monday, in UTC.", min_length=7, max_length=7)
    ratings: Ratings
    duration: Durations
    first_interaction_at: datetime | None
    last_interaction_at: datetime | None
    active_days: int
    top_items: list[TopItem]
    top_creators: list[TopCreator]

    @classmethod
    def of(cls, behavior: Behavior, addresses: Addresses) -> Self:
        counts = behavior.counts
        by_source: dict[ShownSource, int] = {"regular": 0, "auto": 0}
        by_content_type: dict[str, int] = {}
        for kind, count in counts.get("kind", {}).items():
            source, _, content_type = kind.partition("/")
            by_source["auto" if source == "auto" else "regular"] += count
            by_content_type[content_type] = by_content_type.get(content_type, 0) + count
        hours, weekdays = counts.get("hour", {}), counts.get("weekday", {})
        return cls(
            user_id=behavior.user_id,
            total_interactions=total(counts),
            by_type=by_type(counts),
            by_content_type=by_content_type,
            by_source=by_source,
            by_hour=[hours.get(str(hour), 0) for hour in range(24)],
            by_weekday=[weekdays.get(str(day), 0) for day in range(7)],
            ratings=Ratings.of(counts),
            duration=Durations.of(counts),
            first_interaction_at=behavior.first_at,
            last_interaction_at=behavior.last_at,
            active_days=behavior.active_days,
            top_items=[
                TopItem(
                    content_item_id=row["content_item_id"],
                    content=Content.of(row, addresses),
                    interactions=row["total"],
                )
                for row in behavior.top_items
            ],
            top_creators=[
                TopCreator(
                    creator_id=row["creator_id"], creator_username=row["creator_username"], interactions=row["total"]
                )
                for row in behavior.top_creators
            ],
        )


class ContentAnalytics(BaseModel):
    content_item_id: int
    content: Content | None = Field(description="Null when it is deleted.")
    total_interactions: int
    unique_users: int
    by_type: dict[InteractionType, int]
    ratings: Ratings
    duration: Durations
    by_day: list[Day] = Field(description="Days of the last `days`, in UTC, on which there was something.")

    @classmethod
    def of(cls, numbers: ContentNumbers, addresses: Addresses) -> Self:
        counts = numbers.counts
        return cls(
            content_item_id=numbers.item_id,
            content=Content.of(numbers.content, addresses),
            total_interactions=total(counts),
            unique_users=counts.get("users", {}).get("", 0),
            by_type=by_type(counts),
            ratings=Ratings.of(counts),
            duration=Durations.of(counts),
            by_day=Day.of(numbers.days),
        )


class GlobalAnalytics(BaseModel):
    """Of public items, whoever asks."""

    total_interactions: int
    users: int = Field(description="Who did something with a public item.")
    items: int = Field(description="Public items with which somebody did something, deleted ones included.")
    by_type: dict[InteractionType, int]
    ratings: Ratings
    by_day: list[Day] = Field(description="Days of the last `days`, in UTC, on which there was something.")

    @classmethod
    def of(cls, counts: Counts, days: Sequence[DayCount]) -> Self:
        types = by_type(counts)
        return cls(
            total_interactions=sum(types.values()),
            users=counts.get("users", {}).get("", 0),
            items=counts.get("items", {}).get("", 0),
            by_type=types,
            ratings=Ratings.of(counts),
            by_day=Day.of(days),
        )


def total(counts: Counts) -> int:
    return counts.get("all", {}).get("", 0)


def by_type(counts: Counts) -> dict[InteractionType, int]:
    """Every type, 0 included."""
    types = counts.get("type", {})
    return {each: types.get(each, 0) for each in TYPES}
