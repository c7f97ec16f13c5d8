"""Users over HTTP."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from genonaut.content.jobs.domain import Status

Username = Annotated[str, StringConstraints(min_length=3, max_length=50, pattern=r"^[A-Za-z0-9_-]+$")]
Email = Annotated[
    str,
    StringConstraints(strip_whitespace=True, to_lower=True, max_length=254, pattern=r"^[^@\s]+@[^@\s.]+(\.[^@\s.]+)+$"),
]


class NewUser(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "username": "lovelace",
                    "email": "lovelace@example.org",
                    "preferences": {"theme": "dark", "notifications_enabled": True},
                }
            ]
        }
    )

    username: Username = Field(description="Unique, whatever its case.")
    email: Email = Field(description="Unique; stored in lower case.")
    preferences: dict[str, Any] = Field(
        default_factory=dict, description="Anything. Known: theme, language, notifications_enabled (default false)."
    )


class UserChange(BaseModel):
    """What is missing or null stays as it is."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"email": "ada@example.org"}]})

    username: Username | None = Field(default=None, description="Unique, whatever its case.")
    email: Email | None = Field(default=None, description="Unique; stored in lower case.")
    is_active: bool | None = None


class NewStatus(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [{"is_active": True}]})

    is_active: bool


class NewPreferences(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [{"preferences": {"notifications_enabled": True}}]})

    preferences: dict[str, Any] = Field(description="Merged into the present ones, key by key and not deeper.")


class User(BaseModel):
    id: UUID
    username: str
    email: str
    is_active: bool = Field(description="An inactive user can create nothing.")
    preferences: dict[str, Any]
    created_at: datetime
    updated_at: datetime


class ContentCounts(BaseModel):
    """How many items there are of a user, as far as the viewer may see them."""

    regular: int
    auto: int
    total: int

    @classmethod
    def of(cls, regular: int, auto: int) -> Self:
        return cls(regular=regular, auto=auto, total=regular + auto)


class JobCounts(BaseModel):
    """How many generation jobs there are of a user, as far as the viewer may see them, by what became of them."""

    pending: int
    running: int
    completed: int
    failed: int
    cancelled: int
    total: int

    @classmethod
    def of(cls, counts: Mapping[Status, int]) -> Self:
        return cls.model_validate({**counts, "total": sum(counts.values())})


class UserStats(BaseModel):
    user_id: UUID
    content: ContentCounts
    interactions: int = Field(description="What they did with items.")
    ratings: int = Field(description="How many of these have a rating.")
    generation_jobs: JobCounts = Field(description="As far as the news of the jobs has come: a moment late.")
