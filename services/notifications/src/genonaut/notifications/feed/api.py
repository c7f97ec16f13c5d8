"""The notification routes. Another person's notification does not exist."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path, Query

from genonaut.contracts.notifications import NotificationType
from genonaut.notifications.feed import queries
from genonaut.notifications.feed.commands import read_all
from genonaut.notifications.feed.domain import NOTIFICATION, MarkRead
from genonaut.notifications.feed.schemas import Notification, ReadAll, UnreadCount
from genonaut.notifications.feed.tables import notifications
from genonaut.platform.http.errors import NotFoundError
from genonaut.platform.http.lists import MAX_BIGINT, ListBody, ListQuery, fetch_list, list_query
from genonaut.platform.http.routing import Router
from genonaut.platform.service import RuntimeDep

router = Router(prefix="/api/v1/notifications", tags=["notifications"])

UserId = Annotated[UUID, Query(description="Whose notifications.")]
NotificationId = Annotated[int, Path(ge=1, le=MAX_BIGINT)]
Listed = Annotated[
    ListQuery,
    Depends(list_query({"created_at": notifications.c.created_at}, key=notifications.c.id)),
]


@router.get("")
async def list_notifications(
    query: Listed,
    runtime: RuntimeDep,
    user_id: UserId,
    *,
    unread_only: bool = False,
    notification_types: Annotated[Sequence[NotificationType], Query(description="Any of these; all without it.")] = (),
) -> ListBody[Notification]:
    """Newest first."""
    statement = queries.of_user(user_id, unread_only=unread_only, types=notification_types)
    async with runtime.database.reading() as connection:
        return await fetch_list(connection, statement, query, Notification.model_validate)


@router.get("/unread/count")
async def unread_count(user_id: UserId, runtime: RuntimeDep) -> UnreadCount:
    async with runtime.database.reading() as connection:
        return UnreadCount(unread_count=await queries.unread_count(connection, user_id))


@router.put("/read-all")
async def mark_all_read(user_id: UserId, runtime: RuntimeDep) -> ReadAll:
    """May be repeated: what is read stays read since when it was."""
    count = await read_all(runtime.store, user_id)
    return ReadAll(message=f"Marked {count} notifications as read", updated_count=count)


@router.get("/{id}")
async def get_notification(id: NotificationId, user_id: UserId, runtime: RuntimeDep) -> Notification:  # noqa: A002 - the path's word
    async with runtime.database.reading() as connection:
        row = await queries.by_id(connection, id, user_id)
    if row is None:
        raise _unknown(id)
    return Notification.model_validate(row)


@router.put("/{id}/read")
async def mark_read(id: NotificationId, user_id: UserId, runtime: RuntimeDep) -> Notification:  # noqa: A002 - the path's word
    """May be repeated: `read_at` is the first time."""
    async with runtime.database.reading() as connection:
        row = await queries.by_id(connection, id, user_id)
    if row is None:
        raise _unknown(id)
    await runtime.store.execute(NOTIFICATION, row.cause, MarkRead(user_id))
    return await get_notification(id, user_id, runtime)


def _unknown(notification_id: int) -> NotFoundError:
    return NotFoundError(f"There is no notification {notification_id}")
