"""User events into recipients. Any order of the same events, and any repeats, give the same rows.

A preference belongs to the newest event that names it, so an older one that comes late leaves it alone.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.contracts import Envelope
from genonaut.contracts.content import UserPreferencesChanged, UserRegistered
from genonaut.contracts.streams import NOTIFICATIONS_RECIPIENTS
from genonaut.notifications.recipients.tables import recipients
from genonaut.platform.projections import Projection

PREFERENCE = "notifications_enabled"

recipients_projection = Projection("recipients", recipients, source=NOTIFICATIONS_RECIPIENTS, keyed=True)


@recipients_projection.on(UserRegistered)
async def _registered(connection: AsyncConnection, event: UserRegistered, envelope: Envelope) -> None:
    await _remember(connection, event.user_id, event.username, event.preferences, envelope.sequence)


@recipients_projection.on(UserPreferencesChanged)
async def _preferences_changed(connection: AsyncConnection, event: UserPreferencesChanged, envelope: Envelope) -> None:
    if PREFERENCE in event.changes:
        await _remember(connection, event.user_id, None, event.changes, envelope.sequence)


async def _remember(
    connection: AsyncConnection, user_id: UUID, username: str | None, preferences: Mapping[str, Any], sequence: int
) -> None:
    await connection.execute(
        text("""
            INSERT INTO recipients (user_id, username, notifications_enabled, decided_by)
            VALUES (:user_id, :username, :enabled, :sequence)
            ON CONFLICT (user_id) DO UPDATE SET
                username = coalesce(excluded.username, recipients.username),
                notifications_enabled = CASE WHEN excluded.decided_by > recipients.decided_by
                    THEN excluded.notifications_enabled ELSE recipients.notifications_enabled END,
                decided_by = greatest(excluded.decided_by, recipients.decided_by)
        """),
        {
            "user_id": user_id,
            "username": username,
            # Preferences are free JSON: only a clear yes is a yes.
            "enabled": preferences.get(PREFERENCE) is True,
            "sequence": sequence,
        },
    )
