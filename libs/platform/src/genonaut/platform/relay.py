"""The relay: takes what the outbox names from the event log to JetStream, in log order, until it is acknowledged.

One relay of a service is active at a time. There is no "position greater than the last one" anywhere: a transaction
with a lower position may commit later, and such a reader would skip it.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import asyncpg
import structlog

from genonaut.contracts.streams import GENERATION_WORK, WORK, stream_of
from genonaut.platform import metrics
from genonaut.platform.bus import MAX_BATCH, Bus, Message, PublishError
from genonaut.platform.database import Database, lock_key
from genonaut.platform.events import to_envelope

log = structlog.get_logger()

STALL = timedelta(seconds=15)
"""An outbox that does not move for this long is a reason to say so."""
POLL_SECONDS = 1.0
"""NOTIFY wakes the relay; the poll covers a notification lost with its connection."""

_PENDING = """
SELECT o.position, o.restored_at, e.* FROM outbox o JOIN events e ON e.id = o.event_id ORDER BY o.position LIMIT $1
"""


_STALLED = """
SELECT coalesce(min(coalesce(o.restored_at, e.time)) < now() - make_interval(secs => $1), false)
FROM (SELECT event_id, restored_at FROM outbox ORDER BY position LIMIT 1) o JOIN events e ON e.id = o.event_id
"""


class Relay:
    """Start it with `run` in a task of its own. It survives outages of both sides and stops when cancelled."""

    def __init__(self, database: Database, bus: Bus, *, schema: str, source: str) -> None:
        self.database = database
        self.bus = bus
        self.schema = schema
        self.source = source
        self.active = False
        self.last_progress = datetime.now(UTC)
        """When the outbox was last seen empty or made emptier, by this process or another."""

    async def run(self) -> None:
        while True:
            try:
                await self._relay_while_connected()
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
                log.warning("relay.database_lost", error=str(error) or type(error).__name__)
            await asyncio.sleep(0.5)

    async def _relay_while_connected(self) -> None:
        connection = await self.database.connect_raw()
        wake = asyncio.Event()
        try:
            await connection.add_listener(f"outbox_{self.schema}", lambda *_: wake.set())
            while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", lock_key(f"relay {self.schema}")):
                if not await connection.fetchval(_STALLED, STALL.total_seconds()):
                    self._progressed()  # another process is the active relay, and it does its work
                await asyncio.sleep(POLL_SECONDS)
            self.active = True
            while True:
                wake.clear()
                while await self._relay_some(connection):
                    pass
                # Not wait_for: in Python 3.11 it forgets a cancel that comes together with the wake, and never ends.
                with suppress(TimeoutError):
                    async with asyncio.timeout(POLL_SECONDS):
                        await wake.wait()
        finally:
            self.active = False
            metrics.OUTBOX_PENDING.set(0)
            metrics.OUTBOX_AGE.set(0)
            connection.terminate()  # at once, whatever state it is in; the lock goes with the session

    async def _relay_some(self, connection: asyncpg.Connection) -> bool:
        """One round. True when there is probably more."""
        rows = await connection.fetch(_PENDING, MAX_BATCH)
        if not rows:
            self._progressed()
            metrics.OUTBOX_PENDING.set(0)
            metrics.OUTBOX_AGE.set(0)
            return False
        metrics.OUTBOX_PENDING.set(len(rows))
        metrics.OUTBOX_AGE.set((datetime.now(UTC) - (rows[0]["restored_at"] or rows[0]["time"])).total_seconds())
        try:
            for stream, messages in self._by_stream(rows).items():
                await self.bus.publish(stream, messages)
        except PublishError as error:
            log.warning("relay.publish_failed", error=str(error), pending=len(rows))
            await asyncio.sleep(0.5)
            return True
        await connection.execute("DELETE FROM outbox WHERE position = ANY($1)", [row["position"] for row in rows])
        self._progressed()
        for row in rows:
            metrics.EVENTS_RELAYED.labels(type=row["type"]).inc()
        return len(rows) == MAX_BATCH

    def _by_stream(self, rows: Sequence[asyncpg.Record]) -> dict[str, list[Message]]:
        """Facts before the work that follows from them.

        A restored fact brings no work: most of it was done long ago, and its owner looks for what was not.
        """
        facts: dict[str, list[Message]] = {}
        work: list[Message] = []
        for row in rows:
            envelope = to_envelope(row, self.source)
            stream = stream_of(envelope.type)
            subject = stream.subject(envelope.type, envelope.subject)
            fact = Message.of(envelope, subject=subject, traceparent=row["traceparent"])
            facts.setdefault(stream.name, []).append(fact)
            work_type = WORK.get(envelope.type)
            if work_type and not row["restored_at"]:
                work.append(replace(fact, subject=GENERATION_WORK.subject(work_type, envelope.subject)))
        return facts | ({GENERATION_WORK.name: work} if work else {})

    def check(self) -> None:
        """Raises when what was committed does not leave."""
        if datetime.now(UTC) - self.last_progress > STALL:
            raise TimeoutError("the outbox does not empty")

    def _progressed(self) -> None:
        self.last_progress = datetime.now(UTC)
