"""Users over HTTP."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

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
