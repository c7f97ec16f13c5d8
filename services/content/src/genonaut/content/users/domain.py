"""Users: registered once, with preferences that are merged key by key."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from genonaut.contracts import Event
from genonaut.contracts.content import UserPreferencesChanged, UserRegistered
from genonaut.platform.aggregate import Aggregate


class UnknownUserError(Exception):
    """Nobody has this id."""


@dataclass(frozen=True)
class User:
    user_id: UUID | None = None
    preferences: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Register:
    user_id: UUID
    number: int
    username: str
    email: str
    preferences: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ChangePreferences:
    changes: Mapping[str, Any]
    """Values by key; keys that are not named keep theirs."""


def decide(command: Register | ChangePreferences, user: User) -> Sequence[Event]:
    """Registering twice and changing nothing state nothing. Raises UnknownUserError."""
    if isinstance(command, Register):
        if user.user_id:
            return []
        return [
            UserRegistered(
                user_id=command.user_id,
                number=command.number,
                username=command.username,
                email=command.email.lower(),
                preferences=dict(command.preferences),
            )
        ]
    if user.user_id is None:
        raise UnknownUserError
    changes = {
        key: value
        for key, value in command.changes.items()
        if key not in user.preferences or not _same(user.preferences[key], value)
    }
    return [UserPreferencesChanged(user_id=user.user_id, changes=changes)] if changes else []


def evolve(user: User, event: Event) -> User:
    if isinstance(event, UserRegistered):
        return User(event.user_id, event.preferences)
    if isinstance(event, UserPreferencesChanged):
        return User(user.user_id, {**user.preferences, **event.changes})
    return user


def _same(one: Any, other: Any) -> bool:
    # As JSON: for Python, true is 1.
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


USER: Aggregate[User, Register | ChangePreferences] = Aggregate("user", User(), decide, evolve)
