"""What a driver does about a message of the work queue: start an attempt, go on with one, stop one, or nothing.

The message only says that a job may want a worker; the job's own log says what is the case. Taking a job up and saying
how it went are one transaction each, with the lease.
"""

from collections.abc import Container
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.contracts.generation import JobRequested, JobRequeued, JobStarted
from genonaut.generation.comfyui.workflow import attempt_id
from genonaut.generation.jobs.domain import JOB, AbandonJob, Command, GiveUpAttempt, Job, StartAttempt, job_of
from genonaut.generation.workers import leases
from genonaut.platform.events import EventStore
from genonaut.platform.projections import Recorded


class UnknownJobError(Exception):
    """The message names a job that the log does not know: it comes from another database."""


@dataclass(frozen=True, kw_only=True)
class Rules:
    """See `genonaut.generation.settings`."""

    lease_seconds: float
    max_attempts: int
    max_takes: int


@dataclass(frozen=True)
class Assignment:
    """One attempt at one server, for whoever holds the job's lease."""

    job: JobRequested
    attempt: int
    prompt_id: UUID
    worker: str
    started_at: datetime
    takes: int
    """How often drivers have taken the job up, this time included."""
    begun: bool
    """The attempt has just been made, so that its server cannot know of it yet."""
    over: bool
    """The job has ended without its attempt, which may still run at the server and is to be stopped."""


async def take_up(
    store: EventStore,
    connection: AsyncConnection,
    job_id: int,
    *,
    holder: UUID,
    home: str,
    fleet: Container[str],
    rules: Rules,
) -> Assignment | None:
    """What to do for the job, which nobody else does meanwhile; None when there is nothing left to do.

    An attempt stays at the server it was started on, whoever drives it, because its prompt runs on there without a
    driver. It is given up when its server is not in `fleet`; a new attempt is made at `home`.
    Raises leases.HeldError and UnknownJobError, after which the transaction must be rolled back.
    """
    takes = await leases.take(connection, job_id, holder, seconds=rules.lease_seconds)
    history = await store.load(connection, JOB.name, str(job_id))
    if not history:
        raise UnknownJobError(f"there is no job {job_id}")

    async def state(command: Command) -> Job:
        outcome = await store.execute_in(connection, JOB, job_id, command, history=history)
        history.extend(outcome.appended)
        return outcome.state

    job = job_of(recorded.event for recorded in history)
    if job.active and takes > rules.max_takes:
        job = await state(AbandonJob("worker_lost", f"The job was begun {rules.max_takes} times and never ended."))
    if job.status == "running" and job.worker not in fleet:
        job = await state(_lost(job, rules))
    begun = job.status == "pending"
    if begun:
        wait = store.clock() - _last(history, JobRequested, JobRequeued)
        prompt_id = attempt_id(history[0].envelope.id, job.attempt + 1)
        job = await state(StartAttempt(home, prompt_id, queue_wait_ms=milliseconds(wait)))
    left_running = takes > 1 and job.worker in fleet
    if job.request is None or job.worker is None or job.prompt_id is None or not (job.active or left_running):
        await leases.end(connection, job_id, holder)
        return None
    return Assignment(
        job.request,
        job.attempt,
        job.prompt_id,
        job.worker,
        started_at=_last(history, JobStarted),
        takes=takes,
        begun=begun,
        over=not job.active,
    )


async def conclude(
    store: EventStore, connection: AsyncConnection, job_id: int, command: Command | None, *, holder: UUID
) -> Job:
    """The job after the end of an attempt, whose command this is, and without the holder's lease."""
    if command:
        job = (await store.execute_in(connection, JOB, job_id, command)).state
    else:
        job = job_of(recorded.event for recorded in await store.load(connection, JOB.name, str(job_id)))
    if job.active:
        await leases.release(connection, job_id, holder)
    else:
        await leases.end(connection, job_id, holder)
    return job


def milliseconds(duration: timedelta) -> int:
    """Whole ones. Clocks of two machines may make a duration negative; then it is none."""
    return max(0, round(duration / timedelta(milliseconds=1)))


def _lost(job: Job, rules: Rules) -> GiveUpAttempt:
    return GiveUpAttempt(
        job.attempt,
        "worker_lost",
        "The worker is no longer there.",
        generation_ms=0,
        max_attempts=rules.max_attempts,
    )


def _last(history: list[Recorded], *kinds: type) -> datetime:
    return next(recorded.envelope.time for recorded in reversed(history) if isinstance(recorded.event, kinds))
