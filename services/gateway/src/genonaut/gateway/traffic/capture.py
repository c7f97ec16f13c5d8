"""The capture of served requests: a bounded buffer between the requests and the bus.

Taking a request in never waits. While the bus is away the oldest `limit` requests are kept; newer ones are dropped
and counted. Each has its envelope id from the start, so that publishing it again changes nothing.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from uuid import UUID, uuid4

import orjson
import structlog
from prometheus_client import Counter, Gauge

from genonaut.contracts.gateway import RequestServed
from genonaut.contracts.streams import REQUESTS
from genonaut.gateway.traffic.facts import fact_of
from genonaut.platform import metrics
from genonaut.platform.bus import MAX_BATCH, Bus, Message, PublishError
from genonaut.platform.clock import Clock
from genonaut.platform.context import current_cause
from genonaut.platform.http.middleware import Served

log = structlog.get_logger()

SOURCE = "genonaut/gateway"
LINGER_SECONDS = 0.05
"""How long a request waits for others to share its batch: every batch costs the bus a write to disk."""
RETRY_SECONDS = 0.5

DROPPED = Counter(
    "gateway_requests_dropped_total", "Served requests that the full buffer did not take.", registry=metrics.REGISTRY
)
BUFFERED = Gauge(
    "gateway_requests_buffered", "Served requests that the bus has not taken yet.", registry=metrics.REGISTRY
)


class Capture:
    """Called with each served request; `publish` brings them to the bus."""

    def __init__(self, *, limit: int, clock: Clock, new_id: Callable[[], UUID] = uuid4) -> None:
        self._limit = limit
        self._clock = clock
        self._new_id = new_id
        self._buffer: deque[Message] = deque()
        self._arrived = asyncio.Event()
        self._dropped = 0
        self._failing = False
        BUFFERED.set_function(lambda: len(self._buffer))

    def __len__(self) -> int:
        """How many the bus has not acknowledged."""
        return len(self._buffer)

    def __call__(self, served: Served) -> None:
        fact = fact_of(served)
        if fact is None:
            return
        if len(self._buffer) >= self._limit:
            self._drop()
            return
        if self._dropped:
            log.info("capture.recovered", dropped=self._dropped)
            self._dropped = 0
        self._buffer.append(self._message(served, fact))
        self._arrived.set()

    async def publish(self, bus: Bus) -> None:
        """Publishes what arrives, for ever."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            await asyncio.sleep(LINGER_SECONDS)
            await self._empty(bus)

    async def flush(self, bus: Bus | None, *, within: float) -> None:
        """Publishes what is left. What the bus does not take in `within` seconds is lost, and counted."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                if bus is not None:
                    await self._empty(bus)
        if self._buffer:
            log.warning("capture.lost", requests=len(self._buffer))
            DROPPED.inc(len(self._buffer))

    async def _empty(self, bus: Bus) -> None:
        while self._buffer:
            batch = list(islice(self._buffer, MAX_BATCH))
            if not await self._published(bus, batch):
                await asyncio.sleep(RETRY_SECONDS)
                continue
            for _ in batch:
                self._buffer.popleft()

    async def _published(self, bus: Bus, batch: list[Message]) -> bool:
        try:
            await bus.publish(REQUESTS.name, batch)
        except PublishError as error:
            if not self._failing:
                log.warning("capture.bus_failed", error=str(error), buffered=len(self._buffer))
            self._failing = True
            return False
        self._failing = False
        metrics.EVENTS_PUBLISHED.labels(type=RequestServed.type).inc(len(batch))
        return True

    def _drop(self) -> None:
        DROPPED.inc()
        self._dropped += 1
        if self._dropped == 1:
            log.warning("capture.dropping", buffered=len(self._buffer), hint="the bus does not take them")

    def _message(self, served: Served, fact: RequestServed) -> Message:
        cause = current_cause()
        event_id = str(self._new_id())
        # An Envelope in JSON, without making one: this runs for every request, and takes half the time so.
        envelope = {
            "specversion": "1.0",
            "id": event_id,
            "source": SOURCE,
            "type": RequestServed.type,
            "subject": served.request_id,
            "time": self._clock(),
            "dataversion": RequestServed.version,
            "sequence": 1,
            "correlationid": served.request_id,
            "data": vars(fact),
        }
        headers = {"traceparent": cause.traceparent} if cause and cause.traceparent else {}
        subject = REQUESTS.subject(RequestServed.type, served.request_id)
        return Message(subject, orjson.dumps(envelope), event_id, headers)
