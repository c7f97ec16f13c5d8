"""All followed jobs of the process, kept up to date by one subscription to the bus.

The bus wakes; the generation service's log is the truth. Whatever the bus tells out of order, twice or not at all,
followers get the log in order. A slow poll keeps them going when the bus tells nothing.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

import nats.errors
import nats.js.errors
import structlog
from nats.aio.msg import Msg
from prometheus_client import Gauge
from pydantic import ValidationError

from genonaut.contracts import Envelope, InvalidEventError
from genonaut.contracts.live import JobProgress, job_progress_subject
from genonaut.contracts.streams import GENERATION, LIVE
from genonaut.gateway.live.channel import Channel, Told
from genonaut.gateway.live.joblog import JobLog
from genonaut.gateway.live.messages import Message
from genonaut.platform import metrics
from genonaut.platform.bus import Bus
from genonaut.platform.http.problems import BadRequestError, NotFoundError, UnavailableError

log = structlog.get_logger()

EVENT_SUBJECTS = f"{GENERATION.prefix}.*.*"
PROGRESS_SUBJECTS = job_progress_subject(0).replace("0", "*")
PENDING_BYTES = 16 * 1024 * 1024
"""What may wait for us to be read from the bus. More is thrown away: the logs fill the gap."""
READS_AT_ONCE = 16
TURN_SECONDS = 2.0
"""How long somebody who waits for an answer waits for a read to begin. Others read again and again, and can wait."""
REREAD_SECONDS = 0.2
"""The shortest time between two reads of one log."""
LATEST_SECONDS = 1.0

CLIENTS = Gauge("gateway_live_clients", "Live streams and sockets.", registry=metrics.REGISTRY)


class Logs(Protocol):
    """Where logs are read: `genonaut.gateway.live.joblog.JobLogs`."""

    async def after(self, job_id: int, position: int) -> JobLog: ...


class Following:
    """One client's place in a job's log."""

    def __init__(self, feed: "Feed", channel: Channel, position: int) -> None:
        self._feed = feed
        self._channel = channel
        self._position = position
        self._progress = 0

    @property
    def ended(self) -> bool:
        """Nothing more will come: the job is over and all of it was given, or the process ends."""
        over = self._channel.ended and self._position >= len(self._channel.log)
        return over or self._feed.stopping

    def snapshot(self) -> Message:
        """The present state of the job. What led to it is not given any more."""
        self._position = len(self._channel.log)
        self._progress = self._channel.progress_count
        running = self._channel.progress.message if self._channel.progress else {}
        return {**self._channel.state, **running, "type": "snapshot"}

    async def next(self, *, within: float) -> list[Told]:
        """What happened since the last call. Waits for it, at most `within` seconds; then the list is empty."""
        try:
            async with asyncio.timeout(within):
                while not (news := self._news()) and not self.ended:
                    await self._channel.changed.wait()
        except TimeoutError:
            return []
        return news

    def _news(self) -> list[Told]:
        channel = self._channel
        news = [told for told in channel.log[self._position :] if told is not None]
        self._position = max(self._position, len(channel.log))
        if channel.progress is not None and channel.progress_count != self._progress:
            self._progress = channel.progress_count
            news.append(channel.progress)
        return news


class Feed:
    def __init__(self, logs: Logs, *, limit: int, poll_seconds: float, outage_poll_seconds: float) -> None:
        self.stopping = False
        self._logs = logs
        self._limit = limit
        self._poll_seconds = poll_seconds
        self._outage_poll_seconds = outage_poll_seconds
        self._channels: dict[int, _Followed] = {}
        self._clients = 0
        self._reads = asyncio.Semaphore(READS_AT_ONCE)
        self._bus: Bus | None = None

    @asynccontextmanager
    async def follow(
        self, job_id: int, *, after: int | None = None, viewer: str | None = None
    ) -> AsyncIterator[Following]:
        """A place after position `after` of the job's log, or at its beginning.

        `viewer` is the id of the user who looks. Raises NotFoundError for an unknown job and for a private one of
        somebody else, BadRequestError for a position behind the end of the log, UnavailableError when the log cannot be
        read or too many follow already.
        """
        if self.stopping or self._clients >= self._limit:
            raise UnavailableError("No more live streams can be opened at the moment. Try again soon.")
        self._clients += 1
        CLIENTS.inc()
        followed = self._channels.get(job_id) or self._open(job_id)
        followed.followers += 1
        try:
            await asyncio.shield(followed.loaded)
            if followed.channel.private_to not in {None, viewer}:
                raise NotFoundError(f"There is no generation job {job_id}")
            if after and after > followed.channel.known:
                # Another process may have told what is not heard of here yet.
                await self._read(followed.channel, within=TURN_SECONDS)
            if after and after > followed.channel.known:
                raise BadRequestError(
                    f"The log of job {job_id} ends at {followed.channel.known}.",
                    error_code="INVALID_LAST_EVENT_ID",
                )
            yield Following(self, followed.channel, after or 0)
        finally:
            self._clients -= 1
            CLIENTS.dec()
            followed.followers -= 1
            if not followed.followers:
                self._close(followed)

    async def listen(self, bus: Bus) -> None:
        """Hears the bus, for ever."""
        self._bus = bus
        for subject, hear in ((EVENT_SUBJECTS, self._hear_event), (PROGRESS_SUBJECTS, self._hear_progress)):
            await bus.client.subscribe(subject, cb=hear, pending_bytes_limit=PENDING_BYTES)
        reconnects = 0
        while True:
            await asyncio.sleep(1)
            if bus.client.stats["reconnects"] != reconnects:
                reconnects = bus.client.stats["reconnects"]
                for followed in self._channels.values():
                    followed.channel.behind.set()  # nobody knows what was said meanwhile

    def stop(self) -> None:
        """Ends every stream; clients come back to another process, or to the next one, with their position."""
        self.stopping = True
        for followed in self._channels.values():
            followed.channel.wake()

    def _open(self, job_id: int) -> "_Followed":
        followed = self._channels[job_id] = _Followed(job_id)
        followed.tending = asyncio.create_task(self._tend(followed), name=f"live-{job_id}")
        return followed

    def _close(self, followed: "_Followed") -> None:
        if self._channels.get(followed.channel.job_id) is followed:
            del self._channels[followed.channel.job_id]
        if followed.tending is not None:
            followed.tending.cancel()

    async def _tend(self, followed: "_Followed") -> None:
        """Loads the log and keeps it up to date until the job has ended or nobody follows it."""
        channel = followed.channel
        try:
            await self._read(channel, within=TURN_SECONDS)
            await self._read_progress(channel)
        except Exception as error:  # noqa: BLE001 - handed to the followers, who answer for it
            self._channels.pop(channel.job_id, None)
            followed.loaded.set_exception(error)
            return
        followed.loaded.set_result(None)
        while not channel.ended:
            await asyncio.sleep(REREAD_SECONDS)
            try:
                async with asyncio.timeout(self._patience()):
                    await channel.behind.wait()
            except TimeoutError:
                log.debug("live.poll", job_id=channel.job_id)
            lacking = channel.behind.is_set()
            try:
                await self._read(channel)
            except Exception as error:  # noqa: BLE001 - followers would wait for ever if nobody read any more
                log.warning("live.read_failed", job_id=channel.job_id, error=f"{type(error).__name__}: {error}")
                if lacking:
                    channel.behind.set()  # it still is
                    await asyncio.sleep(_spread(self._outage_poll_seconds))

    async def _read(self, channel: Channel, *, within: float | None = None) -> None:
        """Raises UnavailableError when no read can begin `within` seconds, and what `Logs.after` raises."""
        try:
            async with asyncio.timeout(within):
                await self._reads.acquire()
        except TimeoutError:
            raise UnavailableError("The job's log cannot be read at the moment. Try again soon.") from None
        try:
            channel.behind.clear()  # before: what is heard meanwhile may not be in the answer
            known = await self._logs.after(channel.job_id, channel.known)
        finally:
            self._reads.release()
        channel.add(known.events)

    async def _read_progress(self, channel: Channel) -> None:
        """The latest progress, for who comes late. Without a bus there is none, and no harm."""
        if channel.ended or self._bus is None or not self._bus.client.is_connected:
            return
        try:
            async with asyncio.timeout(LATEST_SECONDS):
                latest = await self._bus.jetstream.get_last_msg(
                    LIVE.name, job_progress_subject(channel.job_id), direct=True
                )
            channel.hear_progress(JobProgress.model_validate_json(latest.data or b""))
        except nats.js.errors.NotFoundError:
            return
        except (TimeoutError, nats.errors.Error, ValidationError) as error:
            log.warning("live.no_progress", job_id=channel.job_id, error=type(error).__name__)

    def _patience(self) -> float:
        """Seconds until the next poll."""
        listening = self._bus is not None and self._bus.client.is_connected
        return _spread(self._poll_seconds if listening else self._outage_poll_seconds)

    async def _hear_event(self, message: Msg) -> None:
        if (followed := self._addressed(message)) is None:
            return
        try:
            followed.channel.hear(Envelope.from_json(message.data))
        except InvalidEventError as error:
            log.warning("live.unreadable_event", subject=message.subject, error=str(error))

    async def _hear_progress(self, message: Msg) -> None:
        if (followed := self._addressed(message)) is None:
            return
        try:
            followed.channel.hear_progress(JobProgress.model_validate_json(message.data))
        except ValidationError as error:
            log.warning("live.unreadable_progress", subject=message.subject, error=str(error))

    def _addressed(self, message: Msg) -> "_Followed | None":
        job_id = message.subject.rpartition(".")[2]
        return self._channels.get(int(job_id)) if job_id.isdecimal() else None


class _Followed:
    """A channel with who keeps it."""

    def __init__(self, job_id: int) -> None:
        self.channel = Channel(job_id)
        self.loaded: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.followers = 0
        self.tending: asyncio.Task[None] | None = None


def _spread(seconds: float) -> float:
    """About as many, so that many jobs are not asked for at once."""
    return seconds * random.uniform(0.75, 1.25)  # noqa: S311 - no secret
