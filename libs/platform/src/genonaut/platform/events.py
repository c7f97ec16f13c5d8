"""The event log: the truth of a service. Appending is one transaction with the outbox and the inline projections.

`unique (stream, version)` is the concurrency control: of two commands on the same state one commits, the other
decides again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic
from uuid import uuid4

import orjson
from sqlalchemy import BigInteger, Column, DateTime, Integer, MetaData, RowMapping, Table, Text, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.contracts import Envelope, Event
from genonaut.platform import metrics
from genonaut.platform.aggregate import Aggregate, C, S
from genonaut.platform.clock import Clock, utc_now
from genonaut.platform.context import Cause, current_cause
from genonaut.platform.database import Database, after_commit
from genonaut.platform.projections import Projection, Recorded
from genonaut.platform.trouble import ConcurrencyConflictError, EventTooLargeError

MAX_EVENT_BYTES = 1_000_000
"""Of an event's data as JSON. What the bus would refuse must not get into the log: it could never leave it.

A server takes messages of 1 MiB unless it is told otherwise; the envelope and the headers want some of that.
"""


LOG = Table(
    "events",
    MetaData(),
    Column("position", BigInteger, primary_key=True),
    Column("id", Uuid, nullable=False),
    Column("stream", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("type", Text, nullable=False),
    Column("dataversion", Integer, nullable=False),
    Column("time", DateTime(timezone=True), nullable=False),
    Column("correlation_id", Text, nullable=False),
    Column("causation_id", Uuid),
    Column("traceparent", Text),
    Column("data", JSONB, nullable=False),
)
"""A service's log, for those who show some of it. `EventStore` appends to it and loads from it."""


Row = RowMapping | Mapping[str, Any]
"""Of `events`, whole."""


@dataclass(frozen=True)
class Addition:
    """What one stream is given. `version` is how many events of it the decision saw."""

    subject: str
    version: int
    events: Sequence[Event]
    time: datetime | None = None
    """When it happened, for what happened elsewhere and long ago; None for now."""


@dataclass(frozen=True)
class Outcome(Generic[S]):
    state: S
    appended: Sequence[Recorded]


class EventStore:
    """Appends to and reads one service's `events` table."""

    def __init__(
        self,
        database: Database,
        *,
        source: str,
        projections: Sequence[Projection] = (),
        clock: Clock = utc_now,
    ) -> None:
        self.database = database
        self.source = source
        self.projections = [projection for projection in projections if projection.source is None]
        self.clock = clock

    async def execute(self, aggregate: Aggregate[S, C], aggregate_id: object, command: C) -> Outcome[S]:
        """Load, decide, append, project and commit; again on the new state when somebody else was faster."""
        return await self.database.transact(
            lambda connection: self.execute_in(connection, aggregate, aggregate_id, command)
        )

    async def execute_in(
        self,
        connection: AsyncConnection,
        aggregate: Aggregate[S, C],
        aggregate_id: object,
        command: C,
        *,
        history: Sequence[Recorded] | None = None,
    ) -> Outcome[S]:
        """The same inside the caller's transaction, which need not load a `history` that the caller has loaded.

        Raises ConcurrencyConflictError, after which that must be rolled back.
        """
        subject = str(aggregate_id)
        if history is None:
            history = await self.load(connection, aggregate.name, subject)
        state = aggregate.initial
        for each in history:
            state = aggregate.evolve(state, each.event)
        events = aggregate.decide(command, state)
        if not events:
            return Outcome(state, ())
        appended = await self.append(connection, aggregate.name, subject, len(history), events)
        for event in events:
            state = aggregate.evolve(state, event)
        return Outcome(state, appended)

    async def load(self, connection: AsyncConnection, name: str, subject: str) -> list[Recorded]:
        """All events of one aggregate in order."""
        rows = await connection.execute(_LOAD, {"stream": f"{name}-{subject}"})
        return [to_recorded(row, self.source) for row in rows.mappings()]

    async def load_all(
        self, connection: AsyncConnection, name: str, subjects: Sequence[str]
    ) -> dict[str, list[Recorded]]:
        """All events of several aggregates in order, by subject. One that has none is not in it."""
        streams = [f"{name}-{subject}" for subject in subjects]
        found: dict[str, list[Recorded]] = {}
        for row in (await connection.execute(_LOAD_ALL, {"streams": streams})).mappings():
            recorded = to_recorded(row, self.source)
            found.setdefault(recorded.envelope.subject, []).append(recorded)
        return found

    async def append(
        self, connection: AsyncConnection, name: str, subject: str, version: int, events: Sequence[Event]
    ) -> list[Recorded]:
        """`version` is how many events the decision saw.

        Raises ConcurrencyConflictError when there are more by now.
        """
        return await self.append_all(connection, name, [Addition(subject, version, events)])

    async def append_all(self, connection: AsyncConnection, name: str, additions: Sequence[Addition]) -> list[Recorded]:
        """Appends to several streams at once, in this order, and projects all of it together.

        Raises ConcurrencyConflictError when one of them is past its version.
        """
        cause = current_cause() or Cause(correlation_id=str(uuid4()))
        now = self.clock()
        recorded = [
            Recorded(
                event,
                Envelope.of(
                    event,
                    id=uuid4(),
                    source=self.source,
                    subject=each.subject,
                    time=each.time or now,
                    sequence=each.version + offset,
                    correlationid=cause.correlation_id,
                    causationid=cause.causation_id,
                ),
                cause.traceparent,
            )
            for each in additions
            for offset, event in enumerate(each.events, start=1)
        ]
        try:
            await connection.execute(_APPEND, _columns(name, recorded))
        except IntegrityError as error:
            if "events_stream_version_key" in str(error.orig):
                seen = ", ".join(f"{name}-{each.subject} is past version {each.version}" for each in additions[:1])
                raise ConcurrencyConflictError(seen if len(additions) == 1 else f"{seen}, or another one") from error
            raise
        for projection in self.projections:
            await projection.apply(connection, recorded)
        after_commit(connection, lambda: _count(recorded))
        return recorded


def _count(recorded: Sequence[Recorded]) -> None:
    for each in recorded:
        metrics.EVENTS_APPENDED.labels(type=each.envelope.type).inc()


_LOAD = text("""
SELECT id, stream, version, type, dataversion, time, correlation_id, causation_id, traceparent, data
FROM events WHERE stream = :stream ORDER BY version
""")
_LOAD_ALL = text("""
SELECT id, stream, version, type, dataversion, time, correlation_id, causation_id, traceparent, data
FROM events WHERE stream = ANY(CAST(:streams AS text[])) ORDER BY stream, version
""")

# One round trip for any number of events. The outbox row carries no payload: the relay reads it from the log.
_APPEND = text("""
WITH appended AS (
    INSERT INTO events (id, stream, version, type, dataversion, time, correlation_id, causation_id, traceparent, data)
    SELECT id, stream, version, type, dataversion, time, :correlation_id, :causation_id, :traceparent, data
    FROM unnest(CAST(:ids AS uuid[]), CAST(:streams AS text[]), CAST(:versions AS int[]), CAST(:types AS text[]),
                CAST(:dataversions AS int[]), CAST(:times AS timestamptz[]), CAST(:data AS jsonb[])) WITH ORDINALITY
         AS new (id, stream, version, type, dataversion, time, data, place)
    ORDER BY place
    RETURNING id, position
), pending AS (
    INSERT INTO outbox (event_id, position) SELECT id, position FROM appended
)
SELECT pg_notify('outbox_' || current_schema(), '')
""")


def _columns(name: str, recorded: Sequence[Recorded]) -> dict[str, Any]:
    first = recorded[0]
    return {
        "correlation_id": first.envelope.correlationid,
        "causation_id": first.envelope.causationid,
        "traceparent": first.traceparent,
        "ids": [each.envelope.id for each in recorded],
        "streams": [f"{name}-{each.envelope.subject}" for each in recorded],
        "versions": [each.envelope.sequence for each in recorded],
        "types": [each.envelope.type for each in recorded],
        "dataversions": [each.envelope.dataversion for each in recorded],
        "times": [each.envelope.time for each in recorded],
        "data": [_json(each.envelope) for each in recorded],
    }


def _json(envelope: Envelope) -> str:
    data = orjson.dumps(envelope.data)
    if len(data) > MAX_EVENT_BYTES:
        raise EventTooLargeError(f"{envelope.type} of {envelope.subject} is too large for the bus")
    return data.decode()


def to_recorded(row: Row, source: str) -> Recorded:
    """A row of `events` as the event it is. Raises UndecodableError for one that these contracts do not know."""
    return Recorded.of(to_envelope(row, source), row["traceparent"])


def to_envelope(row: Row, source: str) -> Envelope:
    return Envelope.model_construct(
        specversion="1.0",
        id=row["id"],
        source=source,
        type=row["type"],
        subject=row["stream"].partition("-")[2],
        time=row["time"],
        dataversion=row["dataversion"],
        sequence=row["version"],
        correlationid=row["correlation_id"],
        causationid=row["causation_id"],
        data=row["data"] if isinstance(row["data"], dict) else orjson.loads(row["data"]),
    )
