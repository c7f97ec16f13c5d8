"""A worker sees one job at a time through at its server: from a message of the work queue to the job's end.

Whatever happens, the message is done with only when the job has ended; until then it comes back, to this worker or to
another one. Nothing here ends as a dead letter but a message that cannot be read or names no job.
"""

import asyncio
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from time import monotonic
from typing import cast
from uuid import UUID, uuid4

import structlog
from prometheus_client import Counter
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.contracts.generation import JobRequested
from genonaut.contracts.images import StoredImage
from genonaut.contracts.live import JobProgress, job_progress_subject
from genonaut.generation.comfyui.failures import AttemptError, WithdrawnError
from genonaut.generation.comfyui.run import Limits, run_prompt
from genonaut.generation.jobs import queries
from genonaut.generation.jobs.domain import Command, CompleteAttempt, FailAttempt, GiveUpAttempt, Job
from genonaut.generation.settings import DriverSettings
from genonaut.generation.workers import leases
from genonaut.generation.workers.assignments import Assignment, Rules, conclude, milliseconds, take_up
from genonaut.generation.workers.cancellations import Cancellations
from genonaut.generation.workers.servers import Server
from genonaut.platform import telemetry
from genonaut.platform.consumers import PostponeError, cause_of
from genonaut.platform.context import caused_by
from genonaut.platform.images import ImageError, store_image
from genonaut.platform.metrics import REGISTRY
from genonaut.platform.projections import Recorded
from genonaut.platform.service import Runtime
from genonaut.platform.trouble import is_outage, is_timeout

log = structlog.get_logger()

ATTEMPTS = Counter(
    "generation_attempts_total",
    "Attempts by how they ended: completed, withdrawn, or the type of the error.",
    ["worker", "outcome"],
    registry=REGISTRY,
)

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

WATCH_SECONDS = 1.0
"""Between two looks at the log for whether the attempt is still wanted. A cancelled job is usually heard of sooner."""
FIT_SECONDS = 0.25
"""For how long a server that was found fit counts as fit."""
LAST_SECONDS = 5.0
"""For an attempt that is taken up after its time: enough to see whether it is finished."""
TROUBLE_SECONDS = (5.0, 300.0)
"""Before a job is taken up again that met trouble of ours: from, doubled each time up to."""


class _LeaseLostError(Exception):
    """Another driver took the job up because this one gave no sign of life."""


class Worker:
    """Give `run` to a ConsumerLoop that fetches one message at a time, with `is_ready` as its gate."""

    def __init__(
        self,
        runtime: Runtime[DriverSettings],
        home: Server,
        fleet: dict[str, Server],
        cancellations: Cancellations,
    ) -> None:
        """`fleet` is every server of this process by name, `home` among them: see `assignments.take_up`."""
        self._runtime = runtime
        self._home = home
        self._fleet = fleet
        self._cancellations = cancellations
        self._holder = uuid4()
        self._fit_until = 0.0
        settings = runtime.settings
        self._rules = Rules(
            lease_seconds=settings.lease_seconds, max_attempts=settings.max_attempts, max_takes=settings.max_takes
        )
        self._limits = Limits(
            soft=settings.soft_limit_seconds,
            hard=settings.hard_limit_seconds,
            unreachable=settings.unreachable_seconds,
            zombie=settings.zombie_seconds,
        )

    async def is_ready(self) -> bool:
        """Whether a job should come; asked before one is fetched, and again when it was long in coming."""

        async def are_unattended(prompts: Sequence[str]) -> bool:
            ids = [UUID(prompt) for prompt in prompts if _UUID.fullmatch(prompt)]
            async with self._runtime.database.reading() as connection:
                return await leases.any_unattended(connection, ids)

        asked_at = monotonic()
        try:
            fit = await self._home.is_fit(are_unattended)
        except Exception as error:
            if not (is_outage(error) or is_timeout(error)):
                raise
            return False
        self._fit_until = asked_at + FIT_SECONDS if fit else 0.0
        return fit

    async def run(self, messages: Sequence[Recorded]) -> None:
        """Returns when the job has ended. Raises PostponeError when it has not, or the trouble that prevented it."""
        (message,) = messages
        job_id = cast("JobRequested", message.event).job_id
        with caused_by(cause_of(message)):
            if monotonic() > self._fit_until and not await self.is_ready():
                raise PostponeError(self._runtime.settings.retry_seconds, "the worker's server is no longer fit")
            assignment = await self._take_up(job_id)
            if assignment is None:
                return
            job = await self._see_through(assignment)
            if job.active:
                again = self._runtime.settings.retry_seconds * 2 ** (job.attempt - 1)
                raise PostponeError(again, "the job is to be tried again")

    async def _see_through(self, assignment: Assignment) -> Job:
        """The job after the attempt."""
        try:
            return await self._conclude(assignment, await self._attempt_while_held(assignment))
        except _LeaseLostError:
            raise PostponeError(self._rules.lease_seconds, "another driver has taken the job up") from None
        except asyncio.CancelledError:
            await self._let_go(assignment)
            raise
        except Exception as error:
            await self._let_go(assignment)
            if is_outage(error):
                raise
            log.exception("driver.trouble", job_id=assignment.job.job_id, attempt=assignment.attempt)
            shortest, longest = TROUBLE_SECONDS
            delay = min(shortest * 2 ** (assignment.takes - 1), longest)
            raise PostponeError(delay, "the driver met trouble of its own") from error

    async def _take_up(self, job_id: int) -> Assignment | None:
        async def work(connection: AsyncConnection) -> Assignment | None:
            return await take_up(
                self._runtime.store,
                connection,
                job_id,
                holder=self._holder,
                home=self._home.name,
                fleet=self._fleet,
                rules=self._rules,
            )

        try:
            return await self._runtime.database.transact(work)
        except leases.HeldError as error:
            raise PostponeError(max(error.seconds, WATCH_SECONDS), str(error)) from None

    async def _conclude(self, assignment: Assignment, command: Command | None) -> Job:
        async def work(connection: AsyncConnection) -> Job:
            return await conclude(self._runtime.store, connection, assignment.job.job_id, command, holder=self._holder)

        return await self._runtime.database.transact(work)

    async def _let_go(self, assignment: Assignment) -> None:
        """So that the next one need not wait for the lease to run out; if this fails it will."""
        with suppress(Exception):
            async with asyncio.timeout(WATCH_SECONDS), self._runtime.database.transaction() as connection:
                await leases.release(connection, assignment.job.job_id, self._holder)

    async def _attempt_while_held(self, assignment: Assignment) -> Command | None:
        """What the attempt came to. Raises _LeaseLostError as soon as it is somebody else's."""
        stop = asyncio.Event()
        if assignment.over:
            stop.set()
        attempt = asyncio.create_task(self._attempt(assignment, stop))
        watch = asyncio.create_task(self._watch(assignment, stop))
        try:
            await asyncio.wait((attempt, watch), return_when=asyncio.FIRST_COMPLETED)
            if attempt.done():
                return attempt.result()
            watch.result()
            raise _LeaseLostError
        finally:
            attempt.cancel()
            watch.cancel()
            await asyncio.wait((attempt, watch))

    async def _watch(self, assignment: Assignment, stop: asyncio.Event) -> None:
        """Keeps the lease, and sets `stop` when the attempt is no longer wanted. Returns when the lease is lost."""
        job_id = assignment.job.job_id
        with self._cancellations.of(job_id) as nudge:
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(WATCH_SECONDS):
                        await nudge.wait()
                nudge.clear()
                try:
                    held, wanted = await self._renew(assignment)
                except Exception as error:
                    if not (is_outage(error) or is_timeout(error)):
                        raise
                    log.warning("driver.log_unreachable", job_id=job_id, error=type(error).__name__)
                    continue
                if not held:
                    log.warning("driver.lease_lost", job_id=job_id, attempt=assignment.attempt)
                    return
                if not wanted:
                    stop.set()

    async def _renew(self, assignment: Assignment) -> tuple[bool, bool]:
        """Whether the lease is still ours, and whether the log still wants the attempt."""
        job_id, seconds = assignment.job.job_id, self._rules.lease_seconds
        async with asyncio.timeout(seconds), self._runtime.database.transaction() as connection:
            held = await leases.renew(connection, job_id, self._holder, seconds=seconds)
            return held, await queries.is_running(connection, job_id, attempt=assignment.attempt)

    async def _attempt(self, assignment: Assignment, stop: asyncio.Event) -> Command | None:
        """None when it was stopped because nobody wants it any more."""
        server = self._fleet[assignment.worker]
        try:
            images = await self._images(server, assignment, stop)
        except WithdrawnError as error:
            outcome, command = error.error_type, None
        except AttemptError as error:
            outcome, command = error.error_type, self._failed(assignment, error)
            if error.retryable:
                server.doubt()
            log.info("driver.attempt_failed", job_id=assignment.job.job_id, worker=server.name, error=str(error))
        except ImageError as error:
            outcome = "node_error"
            command = FailAttempt(
                assignment.attempt, outcome, f"The worker's picture is unusable: {error}.", self._took(assignment)
            )
        else:
            outcome = "completed"
            command = CompleteAttempt(assignment.attempt, images, self._took(assignment))
        ATTEMPTS.labels(worker=server.name, outcome=outcome).inc()
        return command

    async def _images(self, server: Server, assignment: Assignment, stop: asyncio.Event) -> list[StoredImage]:
        elapsed = milliseconds(self._runtime.clock() - assignment.started_at) / 1000
        soft = max(self._limits.soft - elapsed, min(self._limits.soft, LAST_SECONDS))
        with telemetry.span("run prompt", worker=server.name):
            outputs = await run_prompt(
                server.comfyui,
                assignment.job,
                prompt_id=assignment.prompt_id,
                attempt=assignment.attempt,
                adopt=not assignment.begun,
                on_progress=self._tell,
                cancel=stop,
                limits=replace(self._limits, soft=soft, hard=soft + self._limits.hard - self._limits.soft),
            )
        with telemetry.span("fetch and store images", images=len(outputs)):
            # One after the other: a decoded picture takes tens of megabytes.
            return [
                await store_image(self._runtime.objects, self._runtime.pictures, await server.comfyui.download(output))
                for output in outputs
            ]

    async def _tell(self, progress: JobProgress) -> None:
        payload = progress.model_dump_json(exclude_none=True).encode()
        await self._runtime.bus.publish_live(job_progress_subject(progress.job_id), payload)

    def _failed(self, assignment: Assignment, error: AttemptError) -> Command:
        if not error.retryable:
            return FailAttempt(assignment.attempt, error.error_type, str(error), self._took(assignment))
        return GiveUpAttempt(
            assignment.attempt, error.error_type, str(error), self._took(assignment), self._rules.max_attempts
        )

    def _took(self, assignment: Assignment) -> int:
        return milliseconds(self._runtime.clock() - assignment.started_at)
