"""A stream as the source of a replay, read up to where the durable is that live follows it with."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from time import monotonic

import nats.errors
import nats.js.errors
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, ConsumerInfo, DeliverPolicy

from genonaut.contracts import Envelope, UndecodableError
from genonaut.contracts.streams import Durable
from genonaut.platform.bus import Bus
from genonaut.platform.event_sources import Beginning, Read, Take
from genonaut.platform.projections import Recorded
from genonaut.platform.pull import Pull, PullError

FETCH_SECONDS = 5.0
TRIES = 5
"""Reads in a row that may fail."""
RETRY_SECONDS = 0.5
CLOCK_SLACK = timedelta(minutes=5)
"""An event is stored on the bus a little after the time it carries; more than this apart would be a broken clock."""
PAUSE = timedelta(seconds=60)
"""Longer than a pause ever has to be. The server ends it, should we not live to do so."""
SETTLE_SECONDS = 2.0
REST_SECONDS = 1.0
RESTS = 8
"""How often, and for how long, live is asked to finish what it has in hand. In between it works: a retry must go on."""


class _GapError(Exception):
    """Something was lost on the way."""


_TROUBLE = (_GapError, PullError, TimeoutError, nats.errors.Error, nats.js.errors.Error)


class BusSource:
    """The durable of the live tables is held still for a moment to fix an end, and never moved."""

    def __init__(self, bus: Bus, durable: Durable, *, since: datetime | None) -> None:
        self.behind = 0
        self.in_hand = 0
        self._bus = bus
        self._jetstream = bus.jetstream
        self._durable = durable
        self._stream = durable.stream.name
        self._since = since
        self._position = 0
        self._end = 0
        self._reader: _Reader | None = None

    @classmethod
    @asynccontextmanager
    async def open(cls, bus: Bus, durable: Durable, *, since: datetime | None) -> AsyncIterator["BusSource"]:
        """`since` leaves out what is older, but not to the minute."""
        source = cls(bus, durable, since=since)
        try:
            yield source
        finally:
            await source._close()

    async def total(self) -> int:
        reader = await self._open()
        await reader.close()
        return reader.pending

    async def begins(self) -> Beginning:
        state = (await self._jetstream.stream_info(self._stream)).state
        lost = state.first_seq > 1
        if not state.messages:
            return Beginning(lost, datetime.now(UTC) if lost else None)
        first = await self._jetstream.get_msg(self._stream, seq=state.first_seq)
        try:
            return Beginning(lost, Envelope.from_json(first.data or b"").time)
        except UndecodableError:
            return Beginning(lost, first.time)

    async def advance(self) -> None:
        live = await self._live()
        self._end = live.ack_floor.stream_seq if live.ack_floor else 0

    async def fix(self, take: Take) -> None:
        for more_tries in reversed(range(RESTS)):
            async with self._paused():
                before = await self._settled()
                if not before.num_ack_pending or not more_tries:
                    await take()
                    self._stand(before, await self._live())
                    return
            await asyncio.sleep(REST_SECONDS)

    def _stand(self, before: ConsumerInfo, now: ConsumerInfo) -> None:
        assert before.delivered  # noqa: S101 - the server always says
        assert now.delivered  # noqa: S101 - the server always says
        moved = now.delivered.consumer_seq - before.delivered.consumer_seq  # none, unless somebody ended our pause
        self.in_hand = (now.num_ack_pending or 0) + moved
        self.behind = (now.num_pending or 0) + self.in_hand
        self._end = now.delivered.stream_seq

    @asynccontextmanager
    async def _paused(self) -> AsyncIterator[None]:
        """Inside, the durable delivers nothing. Those who fetch from it just wait."""
        until = (datetime.now(UTC) + PAUSE).isoformat()
        await self._jetstream.pause_consumer(self._stream, self._durable.name, until)
        try:
            yield
        finally:
            await self._jetstream.resume_consumer(self._stream, self._durable.name)

    async def _settled(self) -> ConsumerInfo:
        """The paused durable as soon as all it delivered is acked, which is after it is committed, or after a while."""
        deadline = monotonic() + SETTLE_SECONDS
        while (info := await self._live()).num_ack_pending and monotonic() < deadline:  # noqa: ASYNC110 - it is remote
            await asyncio.sleep(0.01)
        return info

    async def _live(self) -> ConsumerInfo:
        info: ConsumerInfo = await self._jetstream.consumer_info(self._stream, self._durable.name)
        return info

    async def batches(self, size: int) -> AsyncIterator[Sequence[Read]]:
        failures = 0
        while self._position < self._end:
            try:
                reader = self._reader = self._reader or await self._open()
                messages = await reader.fetch(min(size, reader.pending)) if reader.pending else []
            except _TROUBLE:
                failures += 1
                if failures == TRIES:
                    raise
                await self._close()
                await asyncio.sleep(RETRY_SECONDS)
                continue
            failures = 0
            wanted = [message for message in messages if message.metadata.sequence.stream <= self._end]
            at_the_end = not messages or len(wanted) < len(messages)
            self._position = self._end if at_the_end else wanted[-1].metadata.sequence.stream
            if at_the_end or not reader.pending:
                await self._close()  # the next one says whether there is really no more
            if wanted:
                yield [_read(message) for message in wanted]

    async def _open(self) -> "_Reader":
        """A reader from the position on."""
        by_time = self._since if self._position == 0 else None
        config = ConsumerConfig(
            filter_subjects=list(self._durable.filter_subjects()),
            deliver_policy=DeliverPolicy.BY_START_TIME if by_time else DeliverPolicy.BY_START_SEQUENCE,
            opt_start_time=(by_time - CLOCK_SLACK).astimezone(UTC) if by_time else None,
            opt_start_seq=None if by_time else self._position + 1,
            ack_policy=AckPolicy.NONE,
            inactive_threshold=300,
            mem_storage=True,
        )
        return await _Reader.open(self._bus, self._stream, config)

    async def _close(self) -> None:
        reader, self._reader = self._reader, None
        if reader:
            await reader.close()


class _Reader:
    """A short-lived consumer that notices when it misses something.

    Nothing is delivered to it twice, so then it is of no more use.
    """

    def __init__(self, jetstream: JetStreamContext, info: ConsumerInfo, pull: Pull) -> None:
        self.pending = info.num_pending or 0
        """Messages to come after those fetched."""
        self._jetstream = jetstream
        self._info = info
        self._pull = pull
        self._fetched = 0

    @classmethod
    async def open(cls, bus: Bus, stream: str, config: ConsumerConfig) -> "_Reader":
        info = await bus.jetstream.add_consumer(stream, config)
        return cls(bus.jetstream, info, await Pull.open(bus.client, stream=stream, consumer=info.name))

    async def fetch(self, size: int) -> list[Msg]:
        """The next ones, at least one, none missing between them. Raises _GapError or PullError."""
        messages = await self._pull.fetch(size, seconds=FETCH_SECONDS)
        numbered = enumerate(messages, self._fetched + 1)
        whole = [message for number, message in numbered if message.metadata.sequence.consumer == number]
        if not whole:
            raise _GapError(f"{self._info.stream_name}: nothing after the {self._fetched} messages so far")
        self._fetched += len(whole)
        self.pending = whole[-1].metadata.num_pending or 0
        return whole

    async def close(self) -> None:
        with suppress(*_TROUBLE):  # the server forgets it by itself, a little later
            await self._pull.close()
            await self._jetstream.delete_consumer(self._info.stream_name, self._info.name)


def _read(message: Msg) -> Read:
    traceparent = (message.headers or {}).get("traceparent")
    return Read.at(message.metadata.sequence.stream, lambda: Recorded.of(Envelope.from_json(message.data), traceparent))
