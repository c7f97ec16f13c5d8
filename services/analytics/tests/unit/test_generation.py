"""Events of jobs are counted in the hours in which they happened, alike in any order."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from genonaut.analytics.generation.domain import Happened, Tally, roll_up
from genonaut.analytics.rollups.histogram import bucket_of
from genonaut.contracts.generation import (
    JobCancelled,
    JobFailed,
    JobStarted,
)
from genonaut.testkit.envelopes import enveloped
from genonaut.testkit.jobs import IMAGE, job_completed, job_requested

HOUR = datetime(2026, 1, 2, 3, tzinfo=UTC)
ADA = UUID(int=1)
JOB = {"job_id": 7, "user_id": ADA}

REQUESTED = job_requested(**JOB)
STARTED = JobStarted(**JOB, attempt=1, worker="gpu", comfyui_prompt_id=UUID(int=9), queue_wait_ms=120)
COMPLETED = job_completed(**JOB, images=[IMAGE, IMAGE], generation_ms=5321)
FAILED = JobFailed(
    **JOB,
    attempt=1,
    error_type="out_of_memory",
    error_message="The GPU ran out of memory.",
    generation_ms=900,
    checkpoint_model="model",
)
CANCELLED = JobCancelled(**JOB, attempt=0, reason="asked", checkpoint_model="model")
EVENTS = [REQUESTED, STARTED, COMPLETED, FAILED, CANCELLED]


def happened(event, *, number=1, time=HOUR) -> Happened:
    return Happened.of(event, enveloped(event, 7, id=UUID(int=number), time=time))


def test_a_job_is_counted_where_each_of_its_events_happened() -> None:
    next_hour = HOUR + timedelta(hours=1)

    rollup = roll_up(
        [
            happened(REQUESTED, time=HOUR + timedelta(minutes=59)),
            happened(STARTED, time=HOUR + timedelta(minutes=59, seconds=30)),
            happened(COMPLETED, time=next_hour + timedelta(minutes=1)),
        ]
    )

    assert rollup.tallies == {
        HOUR: Tally(
            HOUR + timedelta(minutes=59, seconds=30), total_requests=1, started_attempts=1, queue_wait_ms_sum=120
        ),
        next_hour: Tally(
            next_hour + timedelta(minutes=1),
            successful_generations=1,
            total_images_generated=2,
            duration_ms_sum=5321,
        ),
    }
    assert rollup.durations == {(next_hour, bucket_of(5321)): 1}
    assert rollup.users == {(HOUR, ADA)}


def test_failures_and_cancellations_are_counted_and_have_no_part_in_the_durations() -> None:
    rollup = roll_up([happened(FAILED), happened(CANCELLED)])

    assert rollup.tallies == {HOUR: Tally(HOUR, failed_generations=1, cancelled_generations=1)}
    assert not rollup.durations
    assert not rollup.users


HISTORIES = st.lists(st.tuples(st.sampled_from(EVENTS), st.integers(0, 3 * 3600 * 10**6)), max_size=40).map(
    lambda events: [
        happened(event, number=number, time=HOUR + timedelta(microseconds=offset))
        for number, (event, offset) in enumerate(events)
    ]
)


@given(HISTORIES, st.randoms(use_true_random=False))
def test_no_order_changes_a_rollup(history, random) -> None:
    assert roll_up(random.sample(history, len(history))) == roll_up(history)


@given(HISTORIES)
def test_every_event_is_counted_once(history) -> None:
    tallies = roll_up(history).tallies.values()

    counts = ("total_requests", "started_attempts", "successful_generations", "failed_generations")
    counted = sum(getattr(tally, name) for tally in tallies for name in (*counts, "cancelled_generations"))
    assert counted == len(history)
