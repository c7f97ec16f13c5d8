"""Notification events into the feed."""

from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.contracts import Envelope
from genonaut.contracts.notifications import NotificationCreated, NotificationRead
from genonaut.notifications.feed.tables import notifications
from genonaut.platform.projections import Projection

feed_projection = Projection("feed", notifications)


@feed_projection.on(NotificationCreated)
async def _created(connection: AsyncConnection, event: NotificationCreated, envelope: Envelope) -> None:
    await connection.execute(
        notifications.insert().values(
            id=event.notification_id,
            user_id=event.user_id,
            cause=envelope.subject,
            title=event.title,
            message=event.message,
            notification_type=event.notification_type,
            read_status=False,
            related_job_id=event.related_job_id,
            related_content_id=event.related_content_id,
            created_at=envelope.time,
        )
    )


@feed_projection.on(NotificationRead)
async def _read(connection: AsyncConnection, event: NotificationRead, envelope: Envelope) -> None:
    await connection.execute(
        notifications.update()
        .where(notifications.c.id == event.notification_id)
        .values(read_status=True, read_at=envelope.time)
    )
