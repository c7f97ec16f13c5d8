"""Reading everything at once."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.notifications.feed.domain import NOTIFICATION, MarkRead
from genonaut.notifications.feed.queries import unread_causes
from genonaut.platform.events import EventStore

AT_ONCE = 100
"""Notifications in one transaction, so that a long neglected feed holds no long one."""


async def read_all(store: EventStore, user_id: UUID) -> int:
    """How many this call made read; all are read when it returns."""

    async def read_some(connection: AsyncConnection) -> tuple[int, int]:
        causes = await unread_causes(connection, user_id, limit=AT_ONCE)
        outcomes = [await store.execute_in(connection, NOTIFICATION, cause, MarkRead(user_id)) for cause in causes]
        return len(causes), sum(len(outcome.appended) for outcome in outcomes)

    count = 0
    found = AT_ONCE
    while found == AT_ONCE:
        found, read = await store.database.transact(read_some)
        count += read
    return count
