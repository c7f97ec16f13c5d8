"""Ends of jobs into notifications: one for each job, for those who want them."""

from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.contracts import Envelope
from genonaut.notifications.feed.domain import NOTIFICATION, Notify, TerminalEvent, cause_of, notification_about
from genonaut.notifications.feed.queries import next_id
from genonaut.notifications.recipients.queries import wants_notifications
from genonaut.platform.consumers import PostponeError
from genonaut.platform.events import EventStore

USERS_MAY_BE_LATE_BY = timedelta(minutes=10)


class UnknownRecipientError(LookupError):
    """Nobody has heard of the job's owner for so long that something is wrong."""


async def notify(store: EventStore, connection: AsyncConnection, event: TerminalEvent, envelope: Envelope) -> None:
    """Waits while the job's owner is not known: users come on a stream of their own, which may be behind."""
    wanted = await wants_notifications(connection, event.user_id)
    if wanted is None:
        if store.clock() - envelope.time > USERS_MAY_BE_LATE_BY:
            raise UnknownRecipientError(f"user {event.user_id} is not known")
        raise PostponeError(1.0, f"user {event.user_id} is not known yet")
    if wanted:
        notification = notification_about(event, await next_id(connection))
        await store.execute_in(connection, NOTIFICATION, cause_of(event), Notify(notification))
