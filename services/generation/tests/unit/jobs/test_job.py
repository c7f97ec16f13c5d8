"""The life of a job: given what happened, when somebody asks for something, then this is stated."""

from collections.abc import Sequence
from uuid import UUID, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genonaut.contracts import Event
from genonaut.contracts.generation import (
    JobCancelled,
    JobCompleted,
    JobFailed,
    JobPublished,
    JobRequested,
    JobRequeued,
    JobStarted,
    Lora,
    SamplerParams,
)
from genonaut.contracts.images import StoredImage
from genonaut.generation.jobs.domain import (
    AbandonJob,
    CancelJob,
    Command,
    CompleteAttempt,
    FailAttempt,
    GiveUpAttempt,
    JobEndedError,
    PublishJob,
    RequestJob,
    StartAttempt,
    decide,
    evolve,
    job_of,
)

USER = UUID(int=7)
IMAGES = [StoredImage(sha256=f"{n:064x}", media_type="image/png", width=64, height=64, size_bytes=9) for n in (1, 2)]

REQUESTED = JobRequested(
    job_id=1,
    user_id=USER,
    job_type="image_generation",
    prompt="a lighthouse at dusk",
    negative_prompt="blurry",
    checkpoint_model="base.safetensors",
    lora_models=[Lora(name="ink.safetensors")],
    width=64,
    height=64,
    batch_size=2,
    sampler_params=SamplerParams(seed=5),
    params={"own": "thing"},
    tags=["night-sky"],
    is_private=True,
)


def prompt_id(attempt: int) -> UUID:
    return uuid5(USER, str(attempt))


def started(attempt: int = 1) -> JobStarted:
    return JobStarted(
        job_id=1,
        user_id=USER,
        attempt=attempt,
        worker="gpu-1",
        comfyui_prompt_id=prompt_id(attempt),
        queue_wait_ms=20,
    )


def requeued(attempt: int = 1) -> JobRequeued:
    return JobRequeued(job_id=1, user_id=USER, attempt=attempt, reason="worker_lost")


def failed(attempt: int = 1, error_type: str = "node_error", message: str = "no", ms: int = 9) -> JobFailed:
    return JobFailed(
        job_id=1,
        user_id=USER,
        attempt=attempt,
        error_type=error_type,
        error_message=message,
        generation_ms=ms,
        checkpoint_model="base.safetensors",
    )


def cancelled(attempt: int = 0, reason: str = "") -> JobCancelled:
    return JobCancelled(job_id=1, user_id=USER, attempt=attempt, reason=reason, checkpoint_model="base.safetensors")


def when(command: Command, *history: Event) -> Sequence[Event]:
    return decide(command, job_of(history))


def completed(attempt: int = 1) -> JobCompleted:
    (event,) = when(CompleteAttempt(attempt, IMAGES, 100), REQUESTED, started(attempt))
    assert isinstance(event, JobCompleted)
    return event


PUBLISHED = JobPublished(job_id=1, user_id=USER, content_ids=[42, 43])
START = StartAttempt("gpu-1", prompt_id(1), 20)
ENDS = (completed(), failed(), cancelled(1))


def test_a_request_is_stated_as_it_is() -> None:
    assert when(RequestJob(REQUESTED)) == [REQUESTED]


def test_a_request_for_a_number_that_is_taken_changes_nothing() -> None:
    assert when(RequestJob(REQUESTED), REQUESTED) == []


def test_what_nobody_can_generate_fails_at_once() -> None:
    wanted = REQUESTED.model_copy(update={"job_type": "video_generation"})
    assert when(RequestJob(wanted)) == [
        wanted,
        failed(0, "unsupported_job_type", "No worker generates video yet.", ms=0),
    ]


def test_a_waiting_job_is_started() -> None:
    assert when(START, REQUESTED) == [started()]


def test_a_requeued_job_is_started_as_the_next_attempt() -> None:
    command = StartAttempt("gpu-1", prompt_id(2), 20)
    assert when(command, REQUESTED, started(), requeued()) == [started(2)]


@pytest.mark.parametrize("history", [[started()], *([started(), end] for end in ENDS), [cancelled()]])
def test_nothing_else_is_started(history) -> None:
    assert when(START, REQUESTED, *history) == []


def test_a_result_completes_the_job_with_all_that_the_gallery_needs() -> None:
    (event,) = when(CompleteAttempt(1, IMAGES, 100), REQUESTED, started())

    assert event == JobCompleted(
        job_id=1,
        user_id=USER,
        attempt=1,
        images=IMAGES,
        generation_ms=100,
        title="a lighthouse at dusk",
        prompt="a lighthouse at dusk",
        tags=["night-sky"],
        is_private=True,
        checkpoint_model="base.safetensors",
        item_metadata={
            "negative_prompt": "blurry",
            "checkpoint_model": "base.safetensors",
            "lora_models": [{"name": "ink.safetensors", "strength_model": 0.8, "strength_clip": 0.8}],
            "width": 64,
            "height": 64,
            "batch_size": 2,
            "sampler_params": {
                "seed": 5,
                "steps": 28,
                "cfg": 5.5,
                "sampler_name": "euler",
                "scheduler": "normal",
                "denoise": 1.0,
            },
        },
    )


@pytest.mark.parametrize(
    ("title", "prompt", "shown"),
    [("Dusk", "a lighthouse", "Dusk"), (None, "  " + "x" * 300, "x" * 255)],
)
def test_the_title_is_the_given_one_or_the_beginning_of_the_prompt(title, prompt, shown) -> None:
    wanted = REQUESTED.model_copy(update={"title": title, "prompt": prompt})
    (event,) = when(CompleteAttempt(1, IMAGES, 100), wanted, started())
    assert isinstance(event, JobCompleted)
    assert event.title == shown


def test_a_failure_fails_the_job() -> None:
    assert when(FailAttempt(1, "node_error", "no", 9), REQUESTED, started()) == [failed()]


def test_a_lost_attempt_is_queued_again() -> None:
    assert when(GiveUpAttempt(1, "worker_lost", "gone", 9, max_attempts=3), REQUESTED, started()) == [requeued()]


def test_the_last_lost_attempt_fails_the_job() -> None:
    history = [REQUESTED, started(), requeued(), started(2), requeued(2), started(3)]
    assert when(GiveUpAttempt(3, "worker_lost", "gone", 9, max_attempts=3), *history) == [
        failed(3, "worker_lost", "gone")
    ]


SPOKEN_FOR_ATTEMPT_1 = (
    CompleteAttempt(1, IMAGES, 100),
    FailAttempt(1, "node_error", "no", 9),
    GiveUpAttempt(1, "worker_lost", "gone", 9, max_attempts=3),
)


@pytest.mark.parametrize("command", SPOKEN_FOR_ATTEMPT_1)
@pytest.mark.parametrize(
    "history",
    [
        [],
        [started(), requeued()],
        [started(), requeued(), started(2)],
        *([started(), end] for end in ENDS),
    ],
)
def test_what_comes_late_changes_nothing(command, history) -> None:
    assert when(command, REQUESTED, *history) == []


@pytest.mark.parametrize(("history", "attempt"), [([], 0), ([started()], 1), ([started(), requeued()], 1)])
def test_a_job_that_has_not_ended_can_be_cancelled(history, attempt) -> None:
    assert when(CancelJob("changed my mind"), REQUESTED, *history) == [cancelled(attempt, "changed my mind")]


def test_cancelling_again_changes_nothing() -> None:
    assert when(CancelJob("again"), REQUESTED, cancelled()) == []


@pytest.mark.parametrize("end", [completed(), failed()])
def test_a_job_that_ended_another_way_cannot_be_cancelled(end) -> None:
    with pytest.raises(JobEndedError) as refusal:
        when(CancelJob(""), REQUESTED, started(), end)
    assert refusal.value.status == ("completed" if isinstance(end, JobCompleted) else "failed")


@pytest.mark.parametrize(("history", "attempt"), [([], 0), ([started()], 1)])
def test_an_abandoned_job_fails(history, attempt) -> None:
    assert when(AbandonJob("undeliverable", "sorry"), REQUESTED, *history) == [
        failed(attempt, "undeliverable", "sorry", ms=0)
    ]


@pytest.mark.parametrize("end", ENDS)
def test_what_has_ended_cannot_be_abandoned(end) -> None:
    assert when(AbandonJob("undeliverable", "sorry"), REQUESTED, started(), end) == []


def test_a_completed_job_is_published_once() -> None:
    history = [REQUESTED, started(), completed()]
    assert when(PublishJob([42, 43]), *history) == [PUBLISHED]
    assert when(PublishJob([42, 43]), *history, PUBLISHED) == []


@pytest.mark.parametrize("history", [[], [started()], [started(), failed()], [cancelled()]])
def test_nothing_else_is_published(history) -> None:
    assert when(PublishJob([42]), REQUESTED, *history) == []


attempts = st.integers(min_value=0, max_value=4)
commands = st.one_of(
    st.just(RequestJob(REQUESTED)),
    st.just(RequestJob(REQUESTED.model_copy(update={"job_type": "audio_generation"}))),
    st.builds(StartAttempt, st.sampled_from(["gpu-1", "gpu-2"]), st.uuids(), st.integers(0, 9)),
    st.builds(CompleteAttempt, attempts, st.just(IMAGES), st.integers(0, 9)),
    st.builds(FailAttempt, attempts, st.just("node_error"), st.just("no"), st.integers(0, 9)),
    st.builds(GiveUpAttempt, attempts, st.just("worker_lost"), st.just("gone"), st.integers(0, 9), st.integers(1, 3)),
    st.just(AbandonJob("undeliverable", "sorry")),
    st.just(CancelJob("")),
    st.just(PublishJob([1, 2])),
)

GRAMMAR = {
    None: {JobRequested},
    JobRequested: {JobStarted, JobFailed, JobCancelled},
    JobStarted: {JobRequeued, JobCompleted, JobFailed, JobCancelled},
    JobRequeued: {JobStarted, JobFailed, JobCancelled},
    JobCompleted: {JobPublished},
    JobFailed: set(),
    JobCancelled: set(),
    JobPublished: set(),
}


@given(st.lists(commands, max_size=40))
def test_whatever_is_asked_in_whatever_order_the_log_is_the_life_of_a_job(asked) -> None:
    log: list[Event] = []
    job = job_of(log)
    for command in asked:
        try:
            events = decide(command, job)
        except JobEndedError:
            events = []
        for event in events:
            job = evolve(job, event)
            log.append(event)

    for before, after in zip([None, *map(type, log)], log, strict=False):
        assert type(after) in GRAMMAR[before], log
    ends = [event for event in log if isinstance(event, JobCompleted | JobFailed | JobCancelled)]
    assert len(ends) <= 1
    assert bool(ends) == (bool(log) and not job.active)
    starts = [event.attempt for event in log if isinstance(event, JobStarted)]
    assert starts == list(range(1, len(starts) + 1))
    assert job == job_of(log)
