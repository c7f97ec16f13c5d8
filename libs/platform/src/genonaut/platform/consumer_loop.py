"""The consumer loop: everything about acks is here, once.

A message is acked after its effect, which remembers the event, so that a repeat changes nothing. What fails is tried
again with growing delays and, after the last try, parked as a dead letter; what cannot be decoded is parked at once.
Trouble of the database or the bus is waited out and never counts as a try. A message that takes its process down is
parked, too.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any, TypeVar

import nats.errors
import nats.js.errors
import structlog
from nats.aio.msg import Msg

from genonaut.contracts import UndecodableError
from genonaut.contracts.streams import Durable
from genonaut.platform import attempts, dead_letters, metrics
from genonaut.platform.bus import Bus
from genonaut.platform.consumers import Effect, PostponeError
from genonaut.platform.database import Database
from genonaut.platform.projections import Recorded
from genonaut.platform.pull import Pull, PullError
from genonaut.platform.telemetry import consumer_span
from genonaut.platform.trouble import is_outage, is_timeout

log = structlog.get_logger()

T = TypeVar("T")

TRIES = 5
"""Failures of one event in one process before it is parked: about 8 s apart in all."""
TIMEOUT_WEIGHT = 0.25
"""A statement that ran out of time may only have waited for a lock: it counts as a quarter of a failure."""
SUSPECT_DELIVERIES = 10
"""From this many deliveries on, a message is watched for taking its process down."""
CRASHES = 3
"""Attempts that never came back before a message is parked."""
EFFECT_SECONDS = 60.0
"""An effect that takes longer shows as not ready, unless the loop is made for long work."""
STILL_SECONDS = 20.0
"""A loop that has not come round for longer shows as not ready."""
FETCH_SECONDS = 2.0
"""A request that a restart of the bus forgot is made again after this and `pull.ANSWER_SECONDS`."""
GATE_SECONDS = 0.2
"""Before a closed gate is asked again; growing up to FETCH_SECONDS."""

Gate = Callable[[], Coroutine[Any, Any, bool]]


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
        after: Durable | None = None,
        gate: Gate | None = None,
        patience: float | None = EFFECT_SECONDS,
    ) -> None:
        """`after` is a durable that must be caught up before what was fetched is handled.

        `gate` is asked before every fetch; while it says no, nothing is taken from those who could handle it.

        `patience` is how many seconds one effect may take before the loop counts as standing still; None for work that
        takes its time.
        """
        self.durable = durable
        self.effect = effect
        self.bus = bus
        self.database = database
        self.batch = batch
        self.fetch = max(fetch, batch)
        self.after = after
        self.gate = gate
        self.patience = patience
        self._alive_at = monotonic()
        self._effect_since: float | None = None
        self._stop = asyncio.Event()
        self._failures: dict[str, float] = {}
        """Of events that are tried again, by id; the one that failed last comes last."""

    async def run(self) -> None:
        """Until `stop`; a message in hand is finished first. Outages of the bus are waited out."""
        while not self._stop.is_set():
            try:
                pull = await Pull.open(self.bus.client, stream=self.durable.stream.name, consumer=self.durable.name)
                try:
                    while await self._may_fetch():
                        messages = await self._fetch(pull)
                        if messages and self.batch > 1:
                            await pull.ahead(self.fetch, seconds=FETCH_SECONDS)
                        await self._handle(messages, pull)
                finally:
                    await pull.close()
            except (PullError, nats.errors.Error, nats.js.errors.Error, OSError) as error:
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

    def check(self) -> None:
        """Raises when the loop has stood still for longer than it may."""
        now = monotonic()
        if now - self._alive_at > STILL_SECONDS:
            raise TimeoutError(f"consumer {self.durable.name} stands still")
        if self.patience is not None and self._effect_since is not None and now - self._effect_since > self.patience:
            raise TimeoutError(f"consumer {self.durable.name} is stuck in one effect")

    async def _may_fetch(self) -> bool:
        """True as soon as the gate is open, false as soon as the loop shall stop."""
        return not self._stop.is_set() if self.gate is None else await self._until(self.gate)

    async def _until(self, is_so: Gate) -> bool:
        """True as soon as it is so, false as soon as the loop shall stop."""
        waits = GATE_SECONDS
        while not self._stop.is_set():
            self._alive_at = monotonic()
            if await self._unless_stopped(is_so()):
                return not self._stop.is_set()
            await self._unless_stopped(asyncio.sleep(waits))
            waits = min(waits * 2, FETCH_SECONDS)
        return False

    async def _wait_for(self, other: Durable) -> None:
        """Returns when the other durable has handled what there is for it now. A long wait shows as not ready."""
        end: int | None = None

        async def handled() -> bool:
            nonlocal end
            now = await self.bus.end_of(other)
            if now is None:
                return False
            # What comes later is not waited for; a stream that was made anew counts from 1 again.
            end = now if end is None else min(end, now)
            return await self.bus.has_handled(other, end)

        self._effect_since = monotonic()
        try:
            await self._until(handled)
        finally:
            self._effect_since = None

    async def _fetch(self, pull: Pull) -> Sequence[Msg]:
        """What has arrived, waiting for it for a while; nothing as soon as the loop shall stop."""
        self._alive_at = monotonic()
        return await self._unless_stopped(pull.fetch(self.fetch, seconds=FETCH_SECONDS)) or ()

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

    async def _handle(self, messages: Sequence[Msg], pull: Pull) -> None:
        async with self._heartbeat(messages, pull):
            decoded: list[tuple[Msg, Recorded]] = []
            for message in messages:
                try:
                    decoded.append((message, Recorded.received(message.data, message.headers)))
                except UndecodableError as error:
                    await self._bury(message, error, event_type="undecodable")
            try:
                if decoded and self.after:
                    await self._wait_for(self.after)
                for start in range(0, len(decoded), self.batch):
                    if self._stop.is_set():
                        await self._hand_back(messages)
                        return
                    await self._process(decoded[start : start + self.batch])
            except asyncio.CancelledError:  # the process cannot wait for the effect; the next one need not wait either
                await self._hand_back(messages)
                raise

    async def _process(self, received: Sequence[tuple[Msg, Recorded]]) -> None:
        if len(received) > 1 and any(_deliveries(message) > SUSPECT_DELIVERIES for message, _ in received):
            await self._one_by_one(received)
            return
        first = received[0][1]
        event_type = first.envelope.type if len(received) == 1 else "batch"
        self._effect_since = monotonic()
        try:
            with consumer_span(self.durable.name, event_type, first.traceparent):
                await self._watched_effect(received)
        except Exception as error:  # noqa: BLE001 - whatever a handler raises decides the message's fate here
            if len(received) > 1 and not is_outage(error):
                await self._one_by_one(received)  # so that one bad event does not hold up its neighbours
                return
            for message, recorded in received:
                await self._failed(message, recorded, error)
            return
        finally:
            self._effect_since = None
        for message, recorded in received:
            await message.ack()
            if self._failures:
                self._failures.pop(str(recorded.envelope.id), None)
        for type_, count in Counter(recorded.envelope.type for _, recorded in received).items():
            self._count(type_, "ack", count)

    async def _one_by_one(self, received: Sequence[tuple[Msg, Recorded]]) -> None:
        for one in received:
            await self._process([one])

    async def _watched_effect(self, received: Sequence[tuple[Msg, Recorded]]) -> None:
        """The effect. For a message that keeps coming back, with a durable mark for as long as it lasts."""
        recorded = [each for _, each in received]
        if len(received) > 1 or _deliveries(received[0][0]) <= SUSPECT_DELIVERIES:
            await self.effect(recorded)
            return
        event_id = recorded[0].envelope.id
        async with attempts.marked(self.database, self.durable.name, event_id) as unreturned:
            if unreturned >= CRASHES:
                raise _CrashingError(f"{unreturned} attempts on it never came back")
            await self.effect(recorded)

    async def _failed(self, message: Msg, recorded: Recorded, error: Exception) -> None:
        key, envelope = str(recorded.envelope.id), recorded.envelope
        bound = log.bind(
            consumer=self.durable.name, event_type=envelope.type, event_id=key, deliveries=_deliveries(message)
        )
        if is_outage(error):
            bound.warning("consumer.outage", error=type(error).__name__)
            await message.nak(delay=random.uniform(1, 3))  # noqa: S311 - jitter
            return
        if isinstance(error, PostponeError):
            bound.info("consumer.postponed", reason=str(error), delay_s=round(error.delay, 2))
            self._count(envelope.type, "postponed")
            await message.nak(delay=error.delay)
            return
        failures = self._failures.pop(key, 0) + (TIMEOUT_WEIGHT if is_timeout(error) else 1)
        if failures >= TRIES or isinstance(error, _CrashingError):
            bound.error("consumer.dead_letter", exc_info=error)
            await self._bury(message, error, event_type=envelope.type)
            return
        self._failures[key] = failures
        if len(self._failures) > self.durable.max_ack_pending:  # more than are under way: some ended in other processes
            del self._failures[next(iter(self._failures))]
        delay = 0.5 * 2 ** (failures - 1) * random.uniform(0.75, 1.25)  # noqa: S311 - jitter
        bound.warning("consumer.retry", error=f"{type(error).__name__}: {error}", delay_s=round(delay, 2))
        self._count(envelope.type, "retry")
        await message.nak(delay=delay)

    async def _bury(self, message: Msg, error: Exception, *, event_type: str) -> None:
        """Park it, then take it off the stream's hands; the other way round it could be lost."""
        try:
            async with self.database.transaction() as connection:
                await dead_letters.park(
                    connection,
                    consumer=self.durable.name,
                    stream_sequence=message.metadata.sequence.stream,
                    stored_at=message.metadata.timestamp,
                    subject=message.subject,
                    headers=message.headers or {},
                    payload=message.data,
                    error=f"{type(error).__name__}: {error}",
                    deliveries=_deliveries(message),
                )
        except Exception as trouble:  # noqa: BLE001 - not parked means not finished, whatever the reason
            log.warning("consumer.parking_failed", consumer=self.durable.name, error=str(trouble))
            await message.nak(delay=random.uniform(1, 3))  # noqa: S311 - jitter
            return
        self._count(event_type, "dead")
        await message.term()

    async def _hand_back(self, messages: Sequence[Msg]) -> None:
        for message in messages:
            if not message.is_acked:
                await message.nak()

    @asynccontextmanager
    async def _heartbeat(self, messages: Sequence[Msg], pull: Pull) -> AsyncIterator[None]:
        """Keeps what is in hand ours for as long as it takes."""

        async def beat() -> None:
            while True:
                await asyncio.sleep(self.durable.ack_wait.total_seconds() / 3)
                self._alive_at = monotonic()
                try:
                    for message in (*messages, *pull.waiting):
                        if not message.is_acked:
                            await message.in_progress()
                except Exception as error:  # noqa: BLE001 - whatever it was, the next beat may get through
                    log.warning(
                        "consumer.heartbeat_missed",
                        consumer=self.durable.name,
                        error=f"{type(error).__name__}: {error}",
                    )

        beating = asyncio.create_task(beat()) if messages else None
        try:
            yield
        finally:
            if beating:
                beating.cancel()

    def _count(self, event_type: str, outcome: str, count: int = 1) -> None:
        metrics.EVENTS_CONSUMED.labels(consumer=self.durable.name, type=event_type, outcome=outcome).inc(count)


class _CrashingError(Exception):
    """The message takes its process down every time."""


def _deliveries(message: Msg) -> int:
    return message.metadata.num_delivered or 1
