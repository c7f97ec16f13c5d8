"""Bodies of the notification routes."""

from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from genonaut.contracts.notifications import NotificationType
from genonaut.platform.http.actions import Done


class Notification(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: int
    user_id: UUID
    title: str
    message: str
    notification_type: NotificationType
    read_status: bool
    related_job_id: int | None = Field(description="The job it is about. It may have been deleted since.")
    related_content_id: int | None = Field(description="The job's first image in the gallery, as long as it is there.")
    created_at: AwareDatetime
    read_at: AwareDatetime | None


class UnreadCount(BaseModel):
    unread_count: int


class ReadAll(Done):
    updated_count: int = Field(description="How many were unread before.")
