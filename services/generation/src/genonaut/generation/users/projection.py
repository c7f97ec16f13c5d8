"""User events into the table of known users. Any order of the same events, and any repeats, give the same rows."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.contracts import Envelope
from genonaut.contracts.content import UserActivated, UserDeactivated, UserRegistered
from genonaut.contracts.streams import GENERATION_USERS
from genonaut.generation.users.tables import known_users
from genonaut.platform.projections import Projection

users_projection = Projection("known-users", known_users, source=GENERATION_USERS, keyed=True)


@users_projection.on(UserRegistered)
async def _registered(connection: AsyncConnection, event: UserRegistered, envelope: Envelope) -> None:
    await _remember(connection, event.user_id, envelope.sequence, active=True, registered_at=envelope.time)


@users_projection.on(UserActivated)
async def _activated(connection: AsyncConnection, event: UserActivated, envelope: Envelope) -> None:
    await _remember(connection, event.user_id, envelope.sequence, active=True)


@users_projection.on(UserDeactivated)
async def _deactivated(connection: AsyncConnection, event: UserDeactivated, envelope: Envelope) -> None:
    await _remember(connection, event.user_id, envelope.sequence, active=False)


async def _remember(
    connection: AsyncConnection, user_id: UUID, sequence: int, *, active: bool, registered_at: datetime | None = None
) -> None:
    await connection.execute(
        text("""
            INSERT INTO known_users (user_id, registered_at, is_active, decided_by)
            VALUES (:user_id, :registered_at, :active, :sequence)
            ON CONFLICT (user_id) DO UPDATE SET
                registered_at = coalesce(known_users.registered_at, excluded.registered_at),
                is_active = CASE WHEN excluded.decided_by > known_users.decided_by
                    THEN excluded.is_active ELSE known_users.is_active END,
                decided_by = greatest(excluded.decided_by, known_users.decided_by)
        """),
        {"user_id": user_id, "registered_at": registered_at, "active": active, "sequence": sequence},
    )
