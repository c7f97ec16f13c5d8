"""Reads a stream from a place to an end, every message once and in order, beside those whose durables follow it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Self

import nats.errors
import nats.js.errors
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, ConsumerInfo, DeliverPolicy

from genonaut.platform.bus import Bus
from genonaut.platform.pull import Pull, PullError

FETCH_SECONDS = 5.0
TRIES = 5
"""Reads in a row that may fail."""
RETRY_SECONDS = 0.5
CLOCK_SLACK = timedelta(minutes=5)
"""An event is stored on the bus a little after the time it carries; more than this apart would be a broken clock."""


class _GapError(Exception):
    """Something was lost on the way."""


_TROUBLE = (_GapError, PullError, TimeoutError, nats.errors.Error, nats.js.errors.Error)


class StreamReader:
    """Remembers how far it has read. Close it."""

    def __init__(
        self,
        bus: Bus,
        stream: str,
        *,
        subjects: Sequence[str] = (),
        since: datetime | None = None,
        headers_only: bool = False,
    ) -> None:
        """`subjects`: only what matches one of them. `since` leaves out what is older, but not to the minute."""
        self._bus = bus
        self._stream = stream
        self._subjects = list(subjects)
        self._since = since
        self._headers_only = headers_only
        self._position = 0
        self._reading: _Consumer | None = None

    async def total(self) -> int:
        """Messages there are to read."""
        reading = await self._open()
        await reading.close()
        return reading.pending

    async def batches(self, size: int, *, end: int) -> AsyncIterator[Sequence[Msg]]:
        """What is between the last message given and the one with the sequence number `end`, which is included."""
        failures = 0
        while self._position < end:
            try:
                reading = self._reading = self._reading or await self._open()
                messages = await reading.fetch(min(size, reading.pending)) if reading.pending else []
            except _TROUBLE:
                failures += 1
                if failures == TRIES:
                    raise
                await self.close()
                await asyncio.sleep(RETRY_SECONDS)
                continue
            failures = 0
            wanted = [message for message in messages if message.metadata.sequence.stream <= end]
            at_the_end = not messages or len(wanted) < len(messages)
            self._position = end if at_the_end else wanted[-1].metadata.sequence.stream
            if at_the_end or not reading.pending:
                await self.close()  # the next one says whether there is really no more
            if wanted:
                yield wanted

    async def _open(self) -> "_Consumer":
        """From the position on."""
        by_time = self._since if self._position == 0 else None
        config = ConsumerConfig(
            filter_subjects=self._subjects or None,
            deliver_policy=DeliverPolicy.BY_START_TIME if by_time else DeliverPolicy.BY_START_SEQUENCE,
            opt_start_time=(by_time - CLOCK_SLACK).astimezone(UTC) if by_time else None,
            opt_start_seq=None if by_time else self._position + 1,
            ack_policy=AckPolicy.NONE,
            headers_only=self._headers_only or None,
            inactive_threshold=300,
            mem_storage=True,
        )
        return await _Consumer.open(self._bus, self._stream, config)

    async def close(self) -> None:
        reading, self._reading = self._reading, None
        if reading:
            await reading.close()


class _Consumer:
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
    async def open(cls, bus: Bus, stream: str, config: ConsumerConfig) -> Self:
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
