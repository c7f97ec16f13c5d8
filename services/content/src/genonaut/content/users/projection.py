"""User events into the table `users`.

Its unique indexes refuse a user name or an e-mail address that is taken, and the event with it.
"""

from sqlalchemy import cast
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.users.tables import users
from genonaut.contracts import Envelope
from genonaut.contracts.content import UserPreferencesChanged, UserRegistered
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
