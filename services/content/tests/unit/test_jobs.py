"""What is known of jobs: the same, in whatever order and however often their events are heard."""

from collections import Counter
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genonaut.content.jobs.domain import Job, heard, moved
from genonaut.contracts import Event
from genonaut.contracts.generation import (
    JobCancelled,
    JobCompleted,
    JobFailed,
    JobPublished,
    JobRequested,
    JobRequeued,
    JobStarted,
    SamplerParams,
)
from genonaut.contracts.images import StoredImage

ADA = UUID(int=1)


def requested(job_id: int = 7, *, is_private: bool = False) -> JobRequested:
    return JobRequested(
        job_id=job_id,
        user_id=ADA,
        job_type="image_generation",
        prompt="a lighthouse",
        checkpoint_model="model",
        width=64,
        height=64,
        batch_size=1,
        sampler_params=SamplerParams(seed=1),
        is_private=is_private,
    )


OF_JOB = {"job_id": 7, "user_id": ADA}
STARTED = JobStarted(**OF_JOB, attempt=1, worker="gpu-1", comfyui_prompt_id=uuid4(), queue_wait_ms=5)
REQUEUED = JobRequeued(**OF_JOB, attempt=1, reason="worker_lost")
COMPLETED = JobCompleted(
    **OF_JOB,
    attempt=1,
    images=[StoredImage(sha256="a" * 64, media_type="image/png", width=64, height=64, size_bytes=9)],
    generation_ms=5,
    title="A lighthouse",
    prompt="a lighthouse",
    is_private=True,
    checkpoint_model="model",
)
FAILED = JobFailed(**OF_JOB, attempt=1, error_type="x", error_message="x", generation_ms=5, checkpoint_model="model")
CANCELLED = JobCancelled(**OF_JOB, attempt=0, reason="", checkpoint_model="model")


@pytest.mark.parametrize(
    ("event", "status"),
    [
        (requested(), "pending"),
        (STARTED, "running"),
        (REQUEUED, "pending"),
        (COMPLETED, "completed"),
        (FAILED, "failed"),
        (CANCELLED, "cancelled"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_job_is_in_the_state_that_its_latest_event_says(event: Event, status: str) -> None:
    assert heard([(event, 4)])[7].status == status


def test_what_is_no_change_of_state_says_nothing() -> None:
    assert heard([(JobPublished(**OF_JOB, content_ids=[1]), 4)]) == {}


@pytest.mark.parametrize("event", [requested(is_private=True), COMPLETED], ids=lambda event: type(event).__name__)
def test_a_job_is_private_when_somebody_says_so_and_not_counted_before(event: Event) -> None:
    quiet = heard([(STARTED, 2)])[7]
    known = quiet.with_news(heard([(event, 1)])[7])

    assert (quiet.is_private, known.is_private) == (None, True)
    assert moved([(None, quiet)]) == {}
    assert moved([(quiet, known)]) == {(ADA, True): Counter(running=1)}


STORY = [requested(is_private=True), STARTED, REQUEUED, STARTED, COMPLETED]


@given(
    order=st.lists(st.integers(0, 4), min_size=0, max_size=12).flatmap(
        lambda repeats: st.permutations([*range(5), *repeats])
    )
)
def test_order_and_repeats_change_nothing(order: list[int]) -> None:
    numbered = [(STORY[place], place + 1) for place in order]
    job: Job | None = None
    total: Counter[str] = Counter()
    for event, sequence in numbered:
        news = heard([(event, sequence)])[7]
        after = job.with_news(news) if job else news
        total.update(moved([(job, after)]).get((ADA, True), {}))
        job = after

    assert heard(numbered) == {7: job}
    assert job == Job(7, ADA, "completed", 5, is_private=True)
    assert {status: count for status, count in total.items() if count} == {"completed": 1}
