"""Where a replay gets its events: the service's own log, or a stream of the bus.

Both give events in order; the bus may give one twice, as it may to a consumer.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Protocol

import nats.errors
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.contracts import Envelope, UndecodableError
from genonaut.contracts.streams import Durable
from genonaut.platform.bus import Bus
from genonaut.platform.database import Database
from genonaut.platform.events import to_recorded
from genonaut.platform.projections import Recorded

FETCH_SECONDS = 5.0
CLOCK_SLACK = timedelta(minutes=5)
"""An event is stored on the bus a little after the time it carries; more than this apart would be a broken clock."""


class Source(Protocol):
    """Read with `batches` until it ends; `refresh` and read again for what has come since."""

    undecodable: int
    """Messages left out so far, because no consumer could make an event of them either."""

    async def total(self) -> int:
        """Events there are to read now."""
        ...

    async def begins(self) -> datetime | None:
        """From when on it is complete; None when it is complete from the beginning."""
        ...

    async def refresh(self, connection: AsyncConnection) -> None:
        """Extend the end to now. `connection` holds off the writers."""
        ...

    async def live_lag(self) -> int:
        """Events the live tables have yet to take."""
        ...

    def batches(self, size: int) -> AsyncIterator[Sequence[Recorded]]:
        """What is between the last event given and the end."""
        ...


class LogSource:
    """The service's `events` table, up to a position below which nothing can appear any more."""

    def __init__(self, database: Database, *, service: str, types: Sequence[str]) -> None:
        self._database = database
        self._service = service
        self._types = list(types)
        self._position = 0
        self._end: int | None = None
        self.undecodable = 0  # what is in the log was stated by this service

    async def total(self) -> int:
        async with self._database.reading() as connection:
            count = await connection.scalar(
                text(f"SELECT count(*) FROM {self._service}.events WHERE type = ANY(:types)"),
                {"types": self._types},
            )
        return int(count or 0)

    async def begins(self) -> datetime | None:
        return None

    async def live_lag(self) -> int:
        return 0  # inline projections commit with their events

    async def refresh(self, connection: AsyncConnection) -> None:
        self._end = await self._last_position(connection)

    async def batches(self, size: int) -> AsyncIterator[Sequence[Recorded]]:
        if self._end is None:
            # Positions are taken before they are committed. Once those who hold one have committed, none below the
            # highest can appear any more.
            async with self._database.transaction() as connection:
                await connection.execute(text(f"LOCK TABLE {self._service}.events IN SHARE MODE"))
                self._end = await self._last_position(connection)
        while self._position < self._end:
            async with self._database.reading() as connection:
                rows = (
                    await connection.execute(
                        text(f"""
                            SELECT * FROM {self._service}.events
                            WHERE position > :position AND position <= :end AND type = ANY(:types)
                            ORDER BY position LIMIT :size
                        """),
                        {"position": self._position, "end": self._end, "types": self._types, "size": size},
                    )
                ).all()
            if not rows:
                break
            self._position = rows[-1].position
            yield [to_recorded(row, f"genonaut/{self._service}") for row in rows]
        self._position = max(self._position, self._end)

    async def _last_position(self, connection: AsyncConnection) -> int:
        return int(await connection.scalar(text(f"SELECT max(position) FROM {self._service}.events")) or 0)


class BusSource:
    """A stream, read through a short-lived consumer with the filter of a durable.

    The durable itself is not touched.
    """

    def __init__(self, bus: Bus, durable: Durable, subscription: JetStreamContext.PullSubscription) -> None:
        self._bus = bus
        self._durable = durable
        self._subscription = subscription
        self._remaining: int | None = None
        self._end: int | None = None
        self.undecodable = 0

    @classmethod
    @asynccontextmanager
    async def open(cls, bus: Bus, durable: Durable, *, since: datetime | None) -> AsyncIterator["BusSource"]:
        config = ConsumerConfig(
            filter_subjects=list(durable.filter_subjects()),
            deliver_policy=DeliverPolicy.BY_START_TIME if since else DeliverPolicy.ALL,
            opt_start_time=(since - CLOCK_SLACK).astimezone(UTC) if since else None,
            ack_policy=AckPolicy.NONE,
            inactive_threshold=300,
            mem_storage=True,
        )
        info = await bus.jetstream.add_consumer(durable.stream.name, config)
        subscription = await bus.jetstream.pull_subscribe_bind(consumer=info.name, stream=durable.stream.name)
        try:
            yield cls(bus, durable, subscription)
        finally:
            await subscription.unsubscribe()
            await bus.jetstream.delete_consumer(durable.stream.name, info.name)

    async def total(self) -> int:
        return (await self._subscription.consumer_info()).num_pending or 0

    async def begins(self) -> datetime | None:
        """When the oldest message was stored if older ones have gone, else when the stream was made."""
        info = await self._bus.jetstream.stream_info(self._durable.stream.name)
        if info.state.first_seq > 1 and info.state.messages:
            oldest = await self._bus.jetstream.get_msg(self._durable.stream.name, seq=info.state.first_seq)
            return oldest.time
        return info.created

    async def live_lag(self) -> int:
        info = await self._bus.jetstream.consumer_info(self._durable.stream.name, self._durable.name)
        return (info.num_pending or 0) + (info.num_ack_pending or 0)

    async def refresh(self, connection: AsyncConnection) -> None:  # noqa: ARG002 - the bus has no writers to hold off
        info = await self._bus.jetstream.stream_info(self._durable.stream.name)
        self._end = info.state.last_seq
        self._remaining = None

    async def batches(self, size: int) -> AsyncIterator[Sequence[Recorded]]:
        if self._remaining is None:
            self._remaining = await self.total()
        while self._remaining:
            try:
                messages = await self._subscription.fetch(size, timeout=FETCH_SECONDS)
            except (TimeoutError, nats.errors.TimeoutError):
                self._remaining = await self.total()
                continue
            last = messages[-1].metadata
            self._remaining = last.num_pending
            if self._end is not None and last.sequence.stream >= self._end:
                self._remaining = 0
            yield [recorded for message in messages if (recorded := self._decoded(message))]

    def _decoded(self, message: Msg) -> Recorded | None:
        try:
            return Recorded.of(Envelope.from_json(message.data), (message.headers or {}).get("traceparent"))
        except UndecodableError:
            self.undecodable += 1
            return None
