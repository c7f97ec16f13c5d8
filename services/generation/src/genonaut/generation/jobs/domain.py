"""The life of a job. Pure.

    JobRequested → (JobStarted → JobRequeued)* → JobStarted? → exactly one of JobCompleted, JobFailed, JobCancelled
    and after JobCompleted, once, JobPublished

Whoever runs a job speaks for one attempt. What is said for an attempt that is no longer the running one, or after the
end, changes nothing: a driver that was thought dead may come back with a result.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Literal
from uuid import UUID

from genonaut.contracts import Event
from genonaut.contracts.generation import (
    JobCancelled,
    JobCompleted,
    JobFailed,
    JobPublished,
    JobRequested,
    JobRequeued,
    JobStarted,
)
from genonaut.contracts.images import StoredImage
from genonaut.platform.aggregate import Aggregate

Status = Literal["pending", "running", "completed", "failed", "cancelled"]

ACTIVE: tuple[Status, ...] = ("pending", "running")
TITLE_LENGTH = 255


class JobEndedError(Exception):
    """The job has ended another way than was asked for."""

    def __init__(self, status: Status) -> None:
        super().__init__(f"The job is {status}")
        self.status = status


@dataclass(frozen=True)
class Job:
    """What deciding needs to know. Without a `request` there is no such job."""

    request: JobRequested | None = None
    status: Status = "pending"
    attempt: int = 0
    """The running one, or else the last; 0 before the first."""
    worker: str | None = None
    """Where the attempt runs, and as which prompt; None when none runs any more."""
    prompt_id: UUID | None = None
    published: bool = False

    @property
    def active(self) -> bool:
        return self.request is not None and self.status in ACTIVE


@dataclass(frozen=True)
class RequestJob:
    job: JobRequested


@dataclass(frozen=True)
class StartAttempt:
    """The next one, if the job waits for one."""

    worker: str
    prompt_id: UUID
    queue_wait_ms: int


@dataclass(frozen=True)
class CompleteAttempt:
    attempt: int
    images: Sequence[StoredImage]
    generation_ms: int


@dataclass(frozen=True)
class FailAttempt:
    """The attempt's end is the job's: another one would end the same way."""

    attempt: int
    error_type: str
    error_message: str
    generation_ms: int


@dataclass(frozen=True)
class GiveUpAttempt:
    """The attempt was lost and the job is not to blame: it is queued again unless that was the last one."""

    attempt: int
    error_type: str
    error_message: str
    generation_ms: int
    max_attempts: int


@dataclass(frozen=True)
class AbandonJob:
    """Nobody will run it any more, whatever its attempt."""

    error_type: str
    error_message: str


@dataclass(frozen=True)
class CancelJob:
    reason: str


@dataclass(frozen=True)
class PublishJob:
    content_ids: Sequence[int]


Command = (
    RequestJob
    | StartAttempt
    | CompleteAttempt
    | FailAttempt
    | GiveUpAttempt
    | AbandonJob
    | CancelJob
    | PublishJob
)  # fmt: skip


def decide(command: Command, job: Job) -> Sequence[Event]:  # noqa: PLR0911 - one for each command
    """What the command leads to. Raises JobEndedError for a cancel that comes too late."""
    if isinstance(command, RequestJob):
        return [] if job.request else _request(command.job)
    if job.request is None:
        return []
    match command:
        case StartAttempt():
            return _start(command, job, job.request)
        case CompleteAttempt() | FailAttempt() | GiveUpAttempt():
            return _end_attempt(command, job, job.request)
        case AbandonJob():
            return [_failed(job, job.request, command.error_type, command.error_message)] if job.active else []
        case CancelJob():
            return _cancel(command, job, job.request)
        case PublishJob():
            return _publish(command, job, job.request)


def _request(job: JobRequested) -> Sequence[Event]:
    if job.job_type == "image_generation":
        return [job]
    kind = job.job_type.removesuffix("_generation")
    return [job, _failed(Job(job), job, "unsupported_job_type", f"No worker generates {kind} yet.")]


def _start(command: StartAttempt, job: Job, request: JobRequested) -> Sequence[Event]:
    if job.status != "pending":
        return []
    return [
        JobStarted(
            job_id=request.job_id,
            user_id=request.user_id,
            attempt=job.attempt + 1,
            worker=command.worker,
            comfyui_prompt_id=command.prompt_id,
            queue_wait_ms=command.queue_wait_ms,
        )
    ]


def _end_attempt(
    command: CompleteAttempt | FailAttempt | GiveUpAttempt, job: Job, request: JobRequested
) -> Sequence[Event]:
    if job.status != "running" or job.attempt != command.attempt:
        return []
    if isinstance(command, CompleteAttempt):
        return [_completed(command, request)]
    if isinstance(command, GiveUpAttempt) and command.attempt < command.max_attempts:
        return [
            JobRequeued(
                job_id=request.job_id, user_id=request.user_id, attempt=command.attempt, reason=command.error_type
            )
        ]
    return [_failed(job, request, command.error_type, command.error_message, command.generation_ms)]


def _completed(command: CompleteAttempt, request: JobRequested) -> JobCompleted:
    return JobCompleted(
        job_id=request.job_id,
        user_id=request.user_id,
        attempt=command.attempt,
        images=list(command.images),
        generation_ms=command.generation_ms,
        title=request.title or request.prompt.strip()[:TITLE_LENGTH],
        prompt=request.prompt,
        tags=request.tags,
        is_private=request.is_private,
        checkpoint_model=request.checkpoint_model,
        item_metadata=request.model_dump(
            mode="json",
            include={
                "negative_prompt",
                "checkpoint_model",
                "lora_models",
                "width",
                "height",
                "batch_size",
                "sampler_params",
            },
        ),
    )


def _failed(job: Job, request: JobRequested, error_type: str, error_message: str, generation_ms: int = 0) -> JobFailed:
    return JobFailed(
        job_id=request.job_id,
        user_id=request.user_id,
        attempt=job.attempt,
        error_type=error_type,
        error_message=error_message,
        generation_ms=generation_ms,
        checkpoint_model=request.checkpoint_model,
    )


def _cancel(command: CancelJob, job: Job, request: JobRequested) -> Sequence[Event]:
    """The job ends at once; its driver hears of it and stops the server."""
    if job.status == "cancelled":
        return []
    if not job.active:
        raise JobEndedError(job.status)
    return [
        JobCancelled(
            job_id=request.job_id,
            user_id=request.user_id,
            attempt=job.attempt,
            reason=command.reason,
            checkpoint_model=request.checkpoint_model,
        )
    ]


def _publish(command: PublishJob, job: Job, request: JobRequested) -> Sequence[Event]:
    if job.status != "completed" or job.published:
        return []
    return [JobPublished(job_id=request.job_id, user_id=request.user_id, content_ids=list(command.content_ids))]


def evolve(job: Job, event: Event) -> Job:  # noqa: PLR0911 - one for each event
    match event:
        case JobRequested():
            return Job(event)
        case JobStarted():
            return replace(
                job,
                status="running",
                attempt=event.attempt,
                worker=event.worker,
                prompt_id=event.comfyui_prompt_id,
            )
        case JobRequeued():
            return replace(job, status="pending", worker=None, prompt_id=None)
        case JobCompleted():
            return replace(job, status="completed", worker=None, prompt_id=None)
        case JobFailed():
            return replace(job, status="failed")
        case JobCancelled():
            # What runs at the server is not over yet: whoever takes the job up stops it.
            return replace(job, status="cancelled")
        case JobPublished():
            return replace(job, published=True)
    return job


JOB: Aggregate[Job, Command] = Aggregate("job", Job(), decide, evolve)


def job_of(events: Iterable[Event]) -> Job:
    """The job that has this history."""
    return reduce(evolve, events, JOB.initial)
