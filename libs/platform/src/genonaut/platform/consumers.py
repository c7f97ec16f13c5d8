"""Consumers: everything about acks is here, once.

A message is acked after the commit of its effect, and the effect remembers the event, so a repeat changes nothing.
What fails is tried again with growing delays and, after the last try, parked as a dead letter; what cannot be decoded
is parked at once. Trouble of the database or the bus is waited out and never counts as a try.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import Any, TypeVar

import nats.errors
import nats.js.errors
import structlog
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.contracts import Envelope, Event, UndecodableError
from genonaut.contracts.streams import Durable
from genonaut.platform import dead_letters, inbox, metrics
from genonaut.platform.bus import Bus
from genonaut.platform.context import Cause, caused_by
from genonaut.platform.database import Database, is_outage
from genonaut.platform.events import EventStore
from genonaut.platform.projections import BatchHandler, Projection, Recorded
from genonaut.platform.telemetry import consumer_span, current_traceparent

log = structlog.get_logger()

E = TypeVar("E", bound=Event)
T = TypeVar("T")

TRIES = 5
"""Failures of one event in one process before it is parked: about 8 s apart in all."""
MAX_DELIVERIES = 50
"""A message that takes its process down every time is parked by this count, which the server keeps."""
FETCH_SECONDS = 5.0
GATE_SECONDS = 0.2
"""Before a closed gate is asked again; growing up to FETCH_SECONDS."""

Reaction = Callable[[EventStore, AsyncConnection, E, Envelope], Awaitable[None]]
Effect = Callable[[Sequence[Recorded]], Awaitable[None]]


Gate = Callable[[], Coroutine[Any, Any, bool]]


class RetryLaterError(Exception):
    """Raised by an effect that cannot happen yet, e.g. because what it refers to has not arrived."""


class PostponeError(Exception):
    """Raised by an effect whose turn has not come: deliver it again after `delay` seconds, as often as it takes.

    Unlike a failure it is never counted, so its effect must bound the repeats itself.
    """

    def __init__(self, delay: float, reason: str) -> None:
        super().__init__(reason)
        self.delay = delay


@dataclass(frozen=True)
class Consumer:
    """What a service does with one durable: follow it with a projection, or react to it with commands."""

    durable: Durable
    handle: BatchHandler | None = None
    """A projection's `apply`."""
    reaction: Reaction[Event] | None = None
    batch: int = 1
    """Events in one transaction."""
    inbox: bool = True
    """False when the effect recognises a repeat by a key of its own."""

    @classmethod
    def follow(cls, projection: Projection, *, batch: int = 1) -> "Consumer":
        """Keep a projection up to date from the bus."""
        if projection.source is None:
            raise TypeError(f"projection {projection.name} is inline: it has no durable to follow")
        return cls(projection.source, handle=projection.apply, batch=batch, inbox=not projection.keyed)

    @classmethod
    def react(cls, durable: Durable, reaction: Reaction[E]) -> "Consumer":
        """Run `async (store, connection, event, envelope)` for each event, in one transaction with its inbox row."""
        return cls(durable, reaction=reaction)  # type: ignore[arg-type]  # called with the durable's own events only

    def effect(self, database: Database, store: EventStore) -> Effect:
        """One transaction for the inbox and for what the events cause."""

        async def once(recorded: Sequence[Recorded]) -> None:
            async def work(connection: AsyncConnection) -> None:
                fresh = await inbox.first_time(connection, self.durable.name, recorded) if self.inbox else recorded
                if self.handle and fresh:
                    await self.handle(connection, fresh)
                if self.reaction:
                    for each in fresh:
                        with caused_by(cause_of(each)):
                            await self.reaction(store, connection, each.event, each.envelope)

            await database.transact(work)

        return once


def cause_of(recorded: Recorded) -> Cause:
    """What events carry that are stated because of this one."""
    envelope = recorded.envelope
    return Cause(envelope.correlationid, envelope.id, current_traceparent() or recorded.traceparent)


class ConsumerLoop:
    """Fetches from one durable and sees every message through to ack, retry or dead letter.

    Run it in a task of its own.
    """

    def __init__(
        self,
        durable: Durable,
        effect: Effect,
        *,
        bus: Bus,
        database: Database,
        batch: int = 1,
        fetch: int = 64,
        gate: Gate | None = None,
    ) -> None:
        """`gate` is asked before every fetch; while it says no, nothing is taken from those who could handle it."""
        self.durable = durable
        self.effect = effect
        self.bus = bus
        self.database = database
        self.batch = batch
        self.fetch = max(fetch, batch)
        self.gate = gate
        self._alive_at = monotonic()
        self._stop = asyncio.Event()
        self._failures: dict[str, int] = {}

    async def run(self) -> None:
        """Until `stop`; a message in hand is finished first. Outages of the bus are waited out."""
        while not self._stop.is_set():
            try:
                subscription = await self.bus.jetstream.pull_subscribe_bind(
                    consumer=self.durable.name, stream=self.durable.stream.name
                )
                try:
                    while await self._may_fetch():
                        await self._handle(await self._fetch(subscription))
                finally:
                    await subscription.unsubscribe()
            except (nats.errors.Error, nats.js.errors.Error, OSError) as error:
                if self._stop.is_set():
                    return
                log.warning(
                    "consumer.bus_trouble",
                    consumer=self.durable.name,
                    error=str(error) or type(error).__name__,
                )
                await asyncio.sleep(1)

    def stop(self) -> None:
        self._stop.set()

    async def check(self) -> None:
        """Raises when the durable does not answer or the loop has stood still for longer than it may."""
        info = await self.bus.jetstream.consumer_info(self.durable.stream.name, self.durable.name)
        metrics.CONSUMER_PENDING.labels(consumer=self.durable.name).set(info.num_pending or 0)
        if monotonic() - self._alive_at > 4 * FETCH_SECONDS:
            raise TimeoutError(f"consumer {self.durable.name} stands still")

    async def _may_fetch(self) -> bool:
        """True as soon as the gate is open, false as soon as the loop shall stop."""
        waits = GATE_SECONDS
        while not self._stop.is_set():
            self._alive_at = monotonic()
            if self.gate is None or await self._unless_stopped(self.gate()):
                return not self._stop.is_set()
            await self._unless_stopped(asyncio.sleep(waits))
            waits = min(waits * 2, FETCH_SECONDS)
        return False

    async def _fetch(self, subscription: JetStreamContext.PullSubscription) -> Sequence[Msg]:
        """What has arrived, waiting for it for a while; nothing as soon as the loop shall stop."""
        self._alive_at = monotonic()
        try:
            return await self._unless_stopped(subscription.fetch(self.fetch, timeout=FETCH_SECONDS)) or ()
        except (TimeoutError, nats.errors.TimeoutError):
            return ()

    async def _unless_stopped(self, waiting: Coroutine[Any, Any, T]) -> T | None:
        """What `waiting` returns; None, and it is cancelled, as soon as the loop shall stop."""
        work = asyncio.ensure_future(waiting)
        stopping = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait([work, stopping], return_when=asyncio.FIRST_COMPLETED)
            return work.result() if work.done() else None
        finally:
            work.cancel()
            stopping.cancel()

    async def _handle(self, messages: Sequence[Msg]) -> None:
        async with self._heartbeat(messages):
            decoded: list[tuple[Msg, Recorded]] = []
            for message in messages:
                try:
                    envelope = Envelope.from_json(message.data)
                    decoded.append((message, Recorded.of(envelope, (message.headers or {}).get("traceparent"))))
                except UndecodableError as error:
                    await self._bury(message, error)
            try:
                for start in range(0, len(decoded), self.batch):
                    if self._stop.is_set():
                        await self._hand_back(messages)
                        return
                    await self._process(decoded[start : start + self.batch])
            except asyncio.CancelledError:  # the process cannot wait for the effect; the next one need not wait either
                await self._hand_back(messages)
                raise

    async def _process(self, received: Sequence[tuple[Msg, Recorded]]) -> None:
        first = received[0][1]
        event_type = first.envelope.type if len(received) == 1 else "batch"
        try:
            with consumer_span(self.durable.name, event_type, first.traceparent):
                await self.effect([recorded for _, recorded in received])
        except Exception as error:  # noqa: BLE001 - whatever a handler raises decides the message's fate here
            if len(received) > 1 and not _is_outage(error):
                for one in received:  # so that one bad event does not hold up its neighbours
                    await self._process([one])
                return
            for message, recorded in received:
                await self._failed(message, recorded, error)
            return
        for message, recorded in received:
            await message.ack()
            self._failures.pop(str(recorded.envelope.id), None)
            self._count(recorded.envelope.type, "ack")
        age = datetime.now(UTC) - received[-1][1].envelope.time
        metrics.CONSUMER_LAG.labels(consumer=self.durable.name).set(age.total_seconds())

    async def _failed(self, message: Msg, recorded: Recorded, error: Exception) -> None:
        key, envelope = str(recorded.envelope.id), recorded.envelope
        deliveries = message.metadata.num_delivered or 1
        bound = log.bind(consumer=self.durable.name, event_type=envelope.type, event_id=key, deliveries=deliveries)
        if _is_outage(error):
            bound.warning("consumer.outage", error=type(error).__name__)
            await message.nak(delay=random.uniform(1, 3))  # noqa: S311 - jitter
            return
        if isinstance(error, PostponeError):
            bound.info("consumer.postponed", reason=str(error), delay_s=round(error.delay, 2))
            self._count(envelope.type, "postponed")
            await message.nak(delay=error.delay)
            return
        failures = self._failures.get(key, 0) + 1
        if failures >= TRIES or deliveries >= MAX_DELIVERIES:
            bound.error("consumer.dead_letter", exc_info=error)
            await self._bury(message, error)
            self._failures.pop(key, None)
            return
        self._failures[key] = failures
        delay = 0.5 * 2 ** (failures - 1) * random.uniform(0.75, 1.25)  # noqa: S311 - jitter
        bound.warning("consumer.retry", error=f"{type(error).__name__}: {error}", delay_s=round(delay, 2))
        self._count(envelope.type, "retry")
        await message.nak(delay=delay)

    async def _bury(self, message: Msg, error: Exception) -> None:
        """Park it, then take it off the stream's hands; the other way round it could be lost."""
        try:
            async with self.database.transaction() as connection:
                await dead_letters.park(
                    connection,
                    consumer=self.durable.name,
                    stream_sequence=message.metadata.sequence.stream,
                    subject=message.subject,
                    headers=message.headers or {},
                    payload=message.data,
                    error=f"{type(error).__name__}: {error}",
                    deliveries=message.metadata.num_delivered or 1,
                )
        except Exception as trouble:  # noqa: BLE001 - not parked means not finished, whatever the reason
            log.warning("consumer.parking_failed", consumer=self.durable.name, error=str(trouble))
            await message.nak(delay=random.uniform(1, 3))  # noqa: S311 - jitter
            return
        self._count("undecodable" if isinstance(error, UndecodableError) else "handled", "dead")
        await message.term()

    async def _hand_back(self, messages: Sequence[Msg]) -> None:
        for message in messages:
            if not message.is_acked:
                await message.nak()

    @asynccontextmanager
    async def _heartbeat(self, messages: Sequence[Msg]) -> AsyncIterator[None]:
        """Keeps what is in hand ours for as long as it takes."""

        async def beat() -> None:
            while True:
                await asyncio.sleep(self.durable.ack_wait.total_seconds() / 3)
                self._alive_at = monotonic()
                try:
                    for message in messages:
                        if not message.is_acked:
                            await message.in_progress()
                except nats.errors.Error as error:  # the next beat may get through
                    log.warning("consumer.heartbeat_missed", consumer=self.durable.name, error=type(error).__name__)

        beating = asyncio.create_task(beat()) if messages else None
        try:
            yield
        finally:
            if beating:
                beating.cancel()

    def _count(self, event_type: str, outcome: str) -> None:
        metrics.EVENTS_CONSUMED.labels(consumer=self.durable.name, type=event_type, outcome=outcome).inc()


def _is_outage(error: BaseException) -> bool:
    return is_outage(error) or isinstance(error, nats.errors.Error | nats.js.errors.Error)
