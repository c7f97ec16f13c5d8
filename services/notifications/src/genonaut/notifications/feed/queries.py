"""Questions about notifications. A notification exists only for the person it is for."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.notifications.feed.tables import notifications


def of_user(user_id: UUID, *, unread_only: bool = False, types: Sequence[str] = ()) -> Select[Any]:
    """Their notifications; of these types when any are named."""
    statement = select(notifications).where(notifications.c.user_id == user_id)
    if unread_only:
        statement = statement.where(notifications.c.read_status.is_(False))
    if types:
        statement = statement.where(notifications.c.notification_type.in_(types))
    return statement


async def by_id(connection: AsyncConnection, notification_id: int, user_id: UUID) -> Row[Any] | None:
    """None for another person's, too."""
    statement = of_user(user_id).where(notifications.c.id == notification_id)
    row: Row[Any] | None = (await connection.execute(statement)).one_or_none()
    return row


async def unread_count(connection: AsyncConnection, user_id: UUID) -> int:
    unread = of_user(user_id, unread_only=True)
    return await connection.scalar(unread.with_only_columns(func.count())) or 0


async def unread_causes(connection: AsyncConnection, user_id: UUID, *, limit: int) -> Sequence[str]:
    """The causes of some unread notifications, oldest first."""
    unread = of_user(user_id, unread_only=True).order_by(notifications.c.id).limit(limit)
    return (await connection.scalars(unread.with_only_columns(notifications.c.cause))).all()


async def next_id(connection: AsyncConnection) -> int:
    """An id that no notification has. It may stay unused."""
    return int(await connection.scalar(text("SELECT nextval('user_notifications_id_seq')")))
