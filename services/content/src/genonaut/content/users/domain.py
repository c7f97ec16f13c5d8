"""Users: registered once, renamed, active or not, with preferences that are merged key by key."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from genonaut.contracts import Event
from genonaut.contracts.content import (
    UserActivated,
    UserDeactivated,
    UserPasswordChanged,
    UserPreferencesChanged,
    UserProfileChanged,
    UserRegistered,
)
from genonaut.platform.aggregate import Aggregate, same_json


class UnknownUserError(Exception):
    """Nobody has this id."""


@dataclass(frozen=True)
class User:
    user_id: UUID | None = None
    username: str = ""
    email: str = ""
    is_active: bool = True
    preferences: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Register:
    user_id: UUID
    number: int
    username: str
    email: str
    preferences: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Change:
    """None is what stays as it is."""

    username: str | None = None
    email: str | None = None
    is_active: bool | None = None


@dataclass(frozen=True)
class ChangePreferences:
    changes: Mapping[str, Any]
    """Values by key; keys that are not named keep theirs."""


@dataclass(frozen=True)
class ChangePassword:
    """What to is kept elsewhere, see `content.credentials`."""


Command = Register | Change | ChangePreferences | ChangePassword


def decide(command: Command, user: User) -> Sequence[Event]:
    """Registering twice and changing nothing state nothing. Raises UnknownUserError."""
    if isinstance(command, Register):
        return [] if user.user_id else [_registered(command)]
    if user.user_id is None:
        raise UnknownUserError
    match command:
        case Change():
            return [*_profile(command, user, user.user_id), *_activity(command, user, user.user_id)]
        case ChangePreferences():
            changes = {
                key: value
                for key, value in command.changes.items()
                if key not in user.preferences or not same_json(user.preferences[key], value)
            }
            return [UserPreferencesChanged(user_id=user.user_id, changes=changes)] if changes else []
        case ChangePassword():  # whether it is the old one again, nobody can tell from here
            return [UserPasswordChanged(user_id=user.user_id)]


def _registered(command: Register) -> UserRegistered:
    return UserRegistered(
        user_id=command.user_id,
        number=command.number,
        username=command.username,
        email=command.email.lower(),
        preferences=dict(command.preferences),
    )


def _profile(command: Change, user: User, user_id: UUID) -> Sequence[Event]:
    username = command.username if command.username != user.username else None
    email = command.email.lower() if command.email else None
    email = email if email != user.email else None
    if username is None and email is None:
        return []
    return [UserProfileChanged(user_id=user_id, username=username, email=email)]


def _activity(command: Change, user: User, user_id: UUID) -> Sequence[Event]:
    if command.is_active in {None, user.is_active}:
        return []
    return [UserActivated(user_id=user_id) if command.is_active else UserDeactivated(user_id=user_id)]


def evolve(user: User, event: Event) -> User:
    match event:
        case UserRegistered():
            return User(event.user_id, event.username, event.email, preferences=event.preferences)
        case UserProfileChanged():
            return replace(user, username=event.username or user.username, email=event.email or user.email)
        case UserActivated() | UserDeactivated():
            return replace(user, is_active=isinstance(event, UserActivated))
        case UserPreferencesChanged():
            return replace(user, preferences={**user.preferences, **event.changes})
    return user


USER: Aggregate[User, Command] = Aggregate("user", User(), decide, evolve)
