"""What the notifications service states."""

from typing import Literal
from uuid import UUID

from genonaut.contracts.event import Event

NotificationType = Literal["job_completed", "job_failed", "job_cancelled", "system", "recommendation"]


class NotificationCreated(Event, type="notifications.notification.created"):
    notification_id: int
    user_id: UUID
    title: str
    message: str
    notification_type: NotificationType
    related_job_id: int | None = None
    related_content_id: int | None = None


class NotificationRead(Event, type="notifications.notification.read"):
    notification_id: int
    user_id: UUID
