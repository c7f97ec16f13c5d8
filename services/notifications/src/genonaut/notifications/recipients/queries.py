"""Questions about recipients."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.notifications.recipients.tables import recipients_table


async def wants_notifications(connection: AsyncConnection, user_id: UUID) -> bool | None:
    """None when nothing is known of this user yet."""
    wants: bool | None = await connection.scalar(
        select(recipients_table.c.notifications_enabled).where(recipients_table.c.user_id == user_id)
    )
    return wants
