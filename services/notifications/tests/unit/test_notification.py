"""Given events, when a command comes, then these events: the notification's decisions."""

from uuid import UUID

import pytest

from genonaut.contracts.generation import JobCancelled, JobFailed, JobPublished
from genonaut.contracts.notifications import NotificationRead
from genonaut.notifications.feed.domain import (
    NOTIFICATION,
    MarkRead,
    Notify,
    NotTheirsError,
    cause_of,
    notification_about,
)

ADA, BOB = UUID(int=1), UUID(int=2)
PUBLISHED = JobPublished(job_id=7, user_id=ADA, content_ids=[42, 43])
FAILED = JobFailed(
    job_id=7,
    user_id=ADA,
    attempt=1,
    error_type="out_of_memory",
    error_message="The GPU ran out of memory.",
    generation_ms=900,
    checkpoint_model="model",
)
CANCELLED = JobCancelled(job_id=7, user_id=ADA, attempt=0, reason="asked by the user", checkpoint_model="model")
CREATED = notification_about(PUBLISHED, 3)
READ = NotificationRead(notification_id=3, user_id=ADA)


def decided(given, command):
    state = NOTIFICATION.initial
    for event in given:
        state = NOTIFICATION.evolve(state, event)
    return list(NOTIFICATION.decide(command, state))


def test_a_cause_makes_a_notification() -> None:
    assert decided([], Notify(CREATED)) == [CREATED]


def test_a_cause_told_again_makes_no_second_one() -> None:
    assert decided([CREATED], Notify(notification_about(FAILED, 4))) == []
    assert decided([CREATED, READ], Notify(CREATED)) == []


def test_reading_is_remembered_once() -> None:
    assert decided([CREATED], MarkRead(ADA)) == [READ]
    assert decided([CREATED, READ], MarkRead(ADA)) == []


def test_an_event_of_another_kind_is_no_reading() -> None:
    assert decided([CREATED, FAILED], MarkRead(ADA)) == [READ]


@pytest.mark.parametrize("given", [[], [CREATED], [CREATED, READ]])
def test_nobody_reads_what_is_not_theirs_or_not_there(given) -> None:
    with pytest.raises(NotTheirsError):
        decided(given, MarkRead(BOB))


def test_all_ends_of_a_job_are_one_cause() -> None:
    assert {cause_of(PUBLISHED), cause_of(FAILED), cause_of(CANCELLED)} == {"job7"}


def test_a_completed_job_is_told_with_its_first_image() -> None:
    told = notification_about(PUBLISHED, 3)

    assert (told.title, told.message) == (
        "Generation Complete",
        "Your image generation has completed successfully!",
    )
    assert (told.notification_type, told.related_job_id, told.related_content_id) == ("job_completed", 7, 42)


def test_a_failed_job_is_told_with_its_reason() -> None:
    told = notification_about(FAILED, 3)

    assert told.title == "Generation Failed"
    assert told.message.endswith("The GPU ran out of memory.")
    assert (told.notification_type, told.related_job_id, told.related_content_id) == ("job_failed", 7, None)


def test_a_cancelled_job_is_told_as_such() -> None:
    told = notification_about(CANCELLED, 3)

    assert told.title == "Generation Cancelled"
    assert (told.notification_type, told.related_job_id, told.related_content_id) == ("job_cancelled", 7, None)
