"""Questions about recipients."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.notifications.recipients.tables import recipients


async def wants_notifications(connection: AsyncConnection, user_id: UUID) -> bool | None:
    """None when nothing is known of this user yet."""
    wants: bool | None = await connection.scalar(
        select(recipients.c.notifications_enabled).where(recipients.c.user_id == user_id)
    )
    return wants
