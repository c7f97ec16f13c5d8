"""User events into the table `users`.

Its unique indexes refuse a user name or an e-mail address that is taken, and the event with it. What a password is
changed to is not in the event, and nowhere in here.
"""

from uuid import UUID

from sqlalchemy import cast
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.users.tables import users
from genonaut.contracts import Envelope
from genonaut.contracts.content import (
    UserActivated,
    UserDeactivated,
    UserPreferencesChanged,
    UserProfileChanged,
    UserRegistered,
)
from genonaut.platform.projections import Projection

users_projection = Projection("users", users)


@users_projection.on(UserRegistered)
async def _registered(connection: AsyncConnection, event: UserRegistered, envelope: Envelope) -> None:
    await connection.execute(
        users.insert().values(
            id=event.user_id,
            username=event.username,
            email=event.email,
            is_active=True,
            preferences=event.preferences,
            created_at=envelope.time,
            updated_at=envelope.time,
        )
    )


@users_projection.on(UserProfileChanged)
async def _profile_changed(connection: AsyncConnection, event: UserProfileChanged, envelope: Envelope) -> None:
    changed = event.model_dump(include={"username", "email"}, exclude_none=True)
    await connection.execute(
        users.update().where(users.c.id == event.user_id).values(**changed, updated_at=envelope.time)
    )


@users_projection.on(UserActivated)
async def _activated(connection: AsyncConnection, event: UserActivated, envelope: Envelope) -> None:
    await _set_active(connection, event.user_id, envelope, active=True)


@users_projection.on(UserDeactivated)
async def _deactivated(connection: AsyncConnection, event: UserDeactivated, envelope: Envelope) -> None:
    await _set_active(connection, event.user_id, envelope, active=False)


async def _set_active(connection: AsyncConnection, user_id: UUID, envelope: Envelope, *, active: bool) -> None:
    await connection.execute(
        users.update().where(users.c.id == user_id).values(is_active=active, updated_at=envelope.time)
    )


@users_projection.on(UserPreferencesChanged)
async def _preferences_changed(connection: AsyncConnection, event: UserPreferencesChanged, envelope: Envelope) -> None:
    await connection.execute(
        users.update()
        .where(users.c.id == event.user_id)
        .values(
            preferences=users.c.preferences.op("||")(cast(event.changes, JSONB)),
            updated_at=envelope.time,
        )
    )
