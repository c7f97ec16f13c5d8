"""People: who they are, and what they prefer."""

from collections.abc import Mapping
from typing import Any, ClassVar
from uuid import UUID

from pydantic import Field

from genonaut.contracts.content.numbers import numbered
from genonaut.contracts.event import Event, Upcaster


class UserRegistered(Event, type="content.user.registered", version=2):
    upcasters: ClassVar[Mapping[int, Upcaster]] = {1: numbered("user_id")}

    user_id: UUID
    number: int
    """Stands for the user where a small number is wanted: in the search of their items."""
    username: str
    email: str
    preferences: dict[str, Any] = Field(default_factory=dict)


class UserProfileChanged(Event, type="content.user.profile_changed"):
    """None is what stays as it was."""

    user_id: UUID
    username: str | None = None
    email: str | None = None


class UserPreferencesChanged(Event, type="content.user.preferences_changed"):
    user_id: UUID
    changes: dict[str, Any]
    """Merged into the preferences key by key, not deeply."""


class UserActivated(Event, type="content.user.activated"):
    user_id: UUID


class UserDeactivated(Event, type="content.user.deactivated"):
    """They create nothing any more. What they have made stays."""

    user_id: UUID


class UserPasswordChanged(Event, type="content.user.password_changed"):
    """That it did, and no word of what to: neither a log nor a bus is a place for a password's hash."""

    user_id: UUID
