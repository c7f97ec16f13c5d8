"""A stream as the source of a replay, read up to where the durable is that live follows it with."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from time import monotonic

from nats.aio.msg import Msg
from nats.js.api import ConsumerInfo

from genonaut.contracts import Envelope, UndecodableError
from genonaut.contracts.streams import Durable
from genonaut.platform.bus import Bus
from genonaut.platform.event_sources import Beginning, Place, Read, Take
from genonaut.platform.projections import Recorded
from genonaut.platform.stream_reader import StreamReader

PAUSE = timedelta(seconds=60)
"""Longer than a pause ever has to be. The server ends it, should we not live to do so."""
SETTLE_SECONDS = 2.0
REST_SECONDS = 1.0
RESTS = 8
"""How often, and for how long, live is asked to finish what it has in hand. In between it works: a retry must go on."""


class BusSource:
    """The durable of the live tables is held still for a moment to fix an end, and never moved."""

    def __init__(self, bus: Bus, durable: Durable, *, since: datetime | None) -> None:
        self.behind = 0
        self.in_hand = 0
        self._jetstream = bus.jetstream
        self._durable = durable
        self._stream = durable.stream.name
        self._end = 0
        self._reader = StreamReader(bus, self._stream, subjects=durable.filter_subjects(), since=since)

    @classmethod
    @asynccontextmanager
    async def open(cls, bus: Bus, durable: Durable, *, since: datetime | None) -> AsyncIterator["BusSource"]:
        """`since` leaves out what is older, but not to the minute."""
        source = cls(bus, durable, since=since)
        try:
            yield source
        finally:
            await source._reader.close()

    async def total(self) -> int:
        return await self._reader.total()

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
        async for messages in self._reader.batches(size, end=self._end):
            yield [_read(message) for message in messages]


def _read(message: Msg) -> Read:
    metadata = message.metadata
    place = Place(metadata.sequence.stream, metadata.timestamp)
    return Read.at(place, lambda: Recorded.received(message.data, message.headers))
