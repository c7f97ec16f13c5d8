"""One attempt at one server, from the submission to the files it wrote, or one of `failures`.

The server's queue and history are the truth and are polled; the socket only tells progress and when to look. A prompt
that the server knows already is adopted, so an attempt survives its driver: cancel the task and the prompt runs on,
call again with the same `prompt_id` and it is not run twice.
"""

import asyncio
from dataclasses import dataclass
from uuid import UUID

import structlog

from genonaut.contracts.generation import JobRequested
from genonaut.generation.comfyui.client import ComfyUI
from genonaut.generation.comfyui.failures import (
    AmbiguousSubmitError,
    DeadlineError,
    RejectedError,
    UnreachableError,
    WithdrawnError,
    ZombieError,
)
from genonaut.generation.comfyui.feed import Feed, OnProgress
from genonaut.generation.comfyui.progress import Progress
from genonaut.generation.comfyui.verdict import (
    ABSENCES,
    Absent,
    Failed,
    Output,
    Pending,
    Queue,
    Running,
    Succeeded,
    Verdict,
    judge,
)
from genonaut.generation.comfyui.workflow import Graph, filename_prefix, prompt_graph
from genonaut.platform.clock import Clock, utc_now

log = structlog.get_logger()

SUBMITS = 3
POSTING_SECONDS = 2.0
"""For a submission that is under way when its driver has to go."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """All in seconds."""

    soft: float
    """An attempt that takes longer is stopped at the server."""
    hard: float
    """An attempt that could not be stopped is given up."""
    unreachable: float
    """How long a server may not answer; a restart takes some 6."""
    zombie: float
    """How long a server may hold a prompt and show no sign of working on it."""
    stop: float = 120
    """How long a cancelled prompt may take to stop: it is heard between two steps, not while a model loads."""
    recheck: float = 1.5
    """Between two looks that must both find nothing."""
    poll_from: float = 0.1
    poll_to: float = 3.0


async def run_prompt(
    server: ComfyUI,
    job: JobRequested,
    *,
    prompt_id: UUID,
    attempt: int,
    adopt: bool = True,
    on_progress: OnProgress,
    cancel: asyncio.Event,
    limits: Limits,
    now: Clock = utc_now,
) -> tuple[Output, ...]:
    """The files of the job's pictures, in their order; fetch each with `server.download`.

    Raises an AttemptError: see `failures` for which are worth another attempt. Set `cancel` to stop the prompt at the
    server; WithdrawnError then says that it is gone. `prompt_id` is `workflow.attempt_id(…)`. Without `adopt` the
    caller knows that nobody has submitted it yet.
    """
    graph = prompt_graph(job, prefix=filename_prefix(prompt_id, now().date()))
    progress = Progress(prompt_id, graph)
    feed = Feed(
        server,
        progress,
        job_id=job.job_id,
        attempt=attempt,
        prompt_id=prompt_id,
        on_progress=on_progress,
        now=now,
    )
    async with feed:
        run = _Run(
            server=server, graph=graph, prompt_id=prompt_id, progress=progress, feed=feed, limits=limits, adopt=adopt
        )
        try:
            return await run.outcome(cancel)
        finally:
            await run.end_posting(within=POSTING_SECONDS)


@dataclass(kw_only=True)
class _Run:
    server: ComfyUI
    graph: Graph
    prompt_id: UUID
    progress: Progress
    feed: Feed
    limits: Limits
    adopt: bool
    submitted: bool = False
    """By us, while our feed listened; otherwise it was adopted."""
    started: bool = False
    posting: asyncio.Task[None] | None = None
    """The submission under way. Cut off, it could arrive after everybody has looked for its prompt in vain."""

    async def outcome(self, cancel: asyncio.Event) -> tuple[Output, ...]:
        if not cancel.is_set():
            work = asyncio.create_task(self._outputs())
            stop = asyncio.create_task(cancel.wait())
            try:
                await asyncio.wait((work, stop), timeout=self.limits.soft, return_when=asyncio.FIRST_COMPLETED)
                if work.done():
                    return work.result()
            finally:
                work.cancel()
                stop.cancel()
                await asyncio.wait((work, stop))
        if not cancel.is_set():
            return await self._overdue()
        await self._withdraw(self.limits.stop)
        raise WithdrawnError

    async def _overdue(self) -> tuple[Output, ...]:
        stopped = await self._withdraw(self.limits.hard - self.limits.soft)
        if not self.started:
            raise ZombieError("The worker did not get to the job in time.")
        if not stopped:
            raise ZombieError("The worker does not react any more.")
        match await self._look_patiently():
            case Succeeded(outputs):  # it was faster than our asking it to stop
                return outputs
        raise DeadlineError(self.limits.soft)

    async def _outputs(self) -> tuple[Output, ...]:
        if not self.adopt or isinstance(await self._look_patiently(), Absent):
            await self._submit()
            await self._pause(self.limits.poll_from)
        return await self._watch()

    async def _submit(self) -> None:
        for _ in range(SUBMITS):
            submission = self.server.submit(self.graph, prompt_id=self.prompt_id, client_id=self.feed.client_id)
            self.posting = asyncio.create_task(submission)
            try:
                await asyncio.shield(self.posting)
            except AmbiguousSubmitError as error:
                log.warning("comfyui.submit_ambiguous", server=self.server.name, prompt_id=str(self.prompt_id))
                failure = error
                if await self._arrived():
                    self.submitted = True
                    return
            except RejectedError:
                # The sound part of a graph is in the queue by now.
                await self._withdraw(self.limits.stop)
                raise
            else:
                self.submitted = True
                return
        raise UnreachableError("The worker does not take jobs.") from failure

    async def end_posting(self, *, within: float) -> None:
        """The submission has come to its end, or after that many seconds to nothing."""
        if self.posting is not None:
            await asyncio.wait([self.posting], timeout=within)
            self.posting.cancel()
            await asyncio.gather(self.posting, return_exceptions=True)

    async def _arrived(self) -> bool:
        """Whether the server knows the prompt; no only when it did not twice, as the first look may be too early."""
        if not isinstance(await self._look_patiently(), Absent):
            return True
        await asyncio.sleep(self.limits.recheck)
        return not isinstance(await self._look_patiently(), Absent)

    async def _watch(self) -> tuple[Output, ...]:
        """Poll until there is a last word: often at first and when the feed says so, then more and more seldom."""
        clock = asyncio.get_running_loop().time
        interval = self.limits.poll_from
        absences = 0
        stuck_since: float | None = None
        while True:
            verdict = await self._look_patiently(absences)
            absences = absences + 1 if isinstance(verdict, Absent) else 0
            match verdict:
                case Succeeded(outputs):
                    return outputs
                case Failed(error):
                    raise error
                case Absent():
                    await asyncio.sleep(self.limits.recheck)
                    continue
                case Running():
                    self.started = True
            if not self._looks_stuck(verdict):
                stuck_since = None
            elif stuck_since is None:
                stuck_since = clock()
            elif clock() - stuck_since > self.limits.zombie:
                await self._withdraw(self.limits.recheck)
                raise ZombieError("The worker accepts jobs but does not run them.")
            nudged = await self._pause(interval)
            interval = self.limits.poll_from if nudged else min(interval * 1.5, self.limits.poll_to)

    def _looks_stuck(self, verdict: Verdict) -> bool:
        """Whether the server should be doing something about the prompt, and we would know if it did.

        The socket is good evidence here only if it has listened since before the submission.
        """
        match verdict:
            case Pending(nothing_runs=True):
                return True
            case Running():
                unheard = self.submitted and self.feed.unbroken and not self.progress.begun
                return unheard or self.progress.over
        return False

    async def _look_patiently(self, absences: int = 0) -> Verdict:
        """What became of the prompt, asked until the server answers. Raises UnreachableError when it does not."""
        clock = asyncio.get_running_loop().time
        until = clock() + self.limits.unreachable
        while True:
            try:
                return await self._look(absences)
            except UnreachableError:
                if clock() > until:
                    raise
                await self._pause(min(self.limits.recheck, self.limits.unreachable / 4))

    async def _look(self, absences: int = 0) -> Verdict:
        if self.progress.over and (history := await self.server.history(self.prompt_id)):
            return judge(self.prompt_id, self.graph, queue=Queue((), ()), history=history)
        queue = await self.server.queue()
        known = str(self.prompt_id) in queue.running + queue.pending
        history = None if known else await self.server.history(self.prompt_id)
        return judge(self.prompt_id, self.graph, queue=queue, history=history, absences=absences)

    async def _withdraw(self, seconds: float) -> bool:
        """Stop the prompt wherever it is, and say whether it is gone: asking once may be too early to be heard."""
        clock = asyncio.get_running_loop().time
        until = clock() + seconds
        await self.end_posting(within=seconds)
        heard, absences = clock(), 0
        until = max(until, heard)  # it is asked once, however long that took
        while absences < ABSENCES:
            if clock() > min(until, heard + self.limits.unreachable):
                log.warning("comfyui.not_stopped", server=self.server.name, prompt_id=str(self.prompt_id))
                return False
            try:
                absences = absences + 1 if await self._ask_to_stop() else 0
                heard = clock()
            except UnreachableError as error:
                log.info("comfyui.stop_unheard", server=self.server.name, error=str(error))
            await asyncio.sleep(min(self.limits.recheck, 2 * self.limits.poll_from))
        return True

    async def _ask_to_stop(self) -> bool:
        """Whether the prompt is gone. An interrupt goes only to a server that runs it: see `ComfyUI.interrupt`."""
        queue = await self.server.queue()
        if str(self.prompt_id) in queue.pending:
            await self.server.delete(self.prompt_id)
        elif str(self.prompt_id) in queue.running:
            await self.server.interrupt(self.prompt_id)
        else:
            return True
        return False

    async def _pause(self, seconds: float) -> bool:
        """Wait, less when the feed has news; say whether it had."""
        try:
            async with asyncio.timeout(seconds):
                await self.feed.nudge.wait()
        except TimeoutError:
            return False
        self.feed.nudge.clear()
        return True
