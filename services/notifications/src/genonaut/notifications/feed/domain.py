"""A notification: created once for its cause, read once. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from genonaut.contracts import Event
from genonaut.contracts.generation import JobCancelled, JobFailed, JobPublished
from genonaut.contracts.notifications import NotificationCreated, NotificationRead
from genonaut.platform.aggregate import Aggregate

TerminalEvent = JobPublished | JobFailed | JobCancelled
"""A completed job is worth telling once the gallery has its images, which is what JobPublished says."""


class NotTheirsError(Exception):
    """There is no such notification for this person."""


@dataclass(frozen=True)
class Notification:
    notification_id: int | None = None
    user_id: UUID | None = None
    read: bool = False


@dataclass(frozen=True)
class Notify:
    notification: NotificationCreated


@dataclass(frozen=True)
class MarkRead:
    user_id: UUID


Command = Notify | MarkRead


def decide(command: Command, state: Notification) -> Sequence[Event]:
    """Raises NotTheirsError when somebody reads what is not theirs, or not there."""
    if isinstance(command, Notify):
        return [command.notification] if state.notification_id is None else []
    if state.notification_id is None or state.user_id != command.user_id:
        raise NotTheirsError
    return [] if state.read else [NotificationRead(notification_id=state.notification_id, user_id=command.user_id)]


def evolve(state: Notification, event: Event) -> Notification:
    if isinstance(event, NotificationCreated):
        return Notification(event.notification_id, event.user_id)
    return replace(state, read=True) if isinstance(event, NotificationRead) else state


NOTIFICATION: Aggregate[Notification, Command] = Aggregate("notification", Notification(), decide, evolve)
"""Its id is its cause, so that a cause has one notification however often it is told."""


def cause_of(event: TerminalEvent) -> str:
    """The same for every terminal event of a job: whichever is told first, no other is told after it."""
    return f"job{event.job_id}"


def notification_about(event: TerminalEvent, notification_id: int) -> NotificationCreated:
    """What the job's owner is told."""
    if isinstance(event, JobPublished):
        return NotificationCreated(
            notification_id=notification_id,
            user_id=event.user_id,
            title="Generation Complete",
            message="Your image generation has completed successfully!",
            notification_type="job_completed",
            related_job_id=event.job_id,
            related_content_id=event.content_ids[0],
        )
    if isinstance(event, JobFailed):
        return NotificationCreated(
            notification_id=notification_id,
            user_id=event.user_id,
            title="Generation Failed",
            message=f"Your image generation failed: {event.error_message}",
            notification_type="job_failed",
            related_job_id=event.job_id,
        )
    return NotificationCreated(
        notification_id=notification_id,
        user_id=event.user_id,
        title="Generation Cancelled",
        message="Your image generation was cancelled.",
        notification_type="job_cancelled",
        related_job_id=event.job_id,
    )
