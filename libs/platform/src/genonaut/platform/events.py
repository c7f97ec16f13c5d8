"""The event log: the truth of a service. Appending is one transaction with the outbox and the inline projections.

`unique (stream, version)` is the concurrency control: of two commands on the same state one commits, the other
decides again.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic
from uuid import UUID, uuid4

import asyncpg
import orjson
from pydantic import BaseModel
from sqlalchemy import BigInteger, Column, DateTime, Integer, MetaData, RowMapping, Table, Text, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.contracts import Envelope, Event
from genonaut.platform import metrics
from genonaut.platform.aggregate import Aggregate, C, S
from genonaut.platform.clock import Clock, utc_now
from genonaut.platform.context import Cause, current_cause
from genonaut.platform.database import Database, after_commit, driver_of
from genonaut.platform.projections import Projection, Recorded
from genonaut.platform.trouble import ConcurrencyConflictError, EventTooLargeError

MAX_EVENT_BYTES = 1_000_000
"""Of an event's data as JSON. What the bus would refuse must not get into the log: it could never leave it.

A server takes messages of 1 MiB unless it is told otherwise; the envelope and the headers want some of that.
"""


MANY = 100
"""From so many events on, they are copied into the log."""


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
        prepared = self.prepare(name, additions)
        await self.log(connection, prepared)
        await self.project(connection, prepared)
        return prepared.recorded

    def prepare(self, name: str, additions: Sequence[Addition]) -> "Prepared":
        """What `log` and `project` do the work of `append_all` with, in two steps. Raises EventTooLargeError."""
        cause = current_cause() or Cause(correlation_id=str(uuid4()))
        now = self.clock()
        recorded = [
            Recorded(event, self._envelope(event, each, offset, now, cause), cause.traceparent)
            for each in additions
            for offset, event in enumerate(each.events, start=1)
        ]
        return Prepared(name, additions, recorded, [_json(each) for each in recorded])

    def _envelope(self, event: Event, addition: Addition, offset: int, now: datetime, cause: Cause) -> Envelope:
        # Not validated, and its data are the event's own: of a thousand events with many tags this is most of the work.
        return Envelope.model_construct(
            specversion="1.0",
            id=uuid4(),
            source=self.source,
            type=event.type,
            subject=addition.subject,
            time=addition.time or now,
            dataversion=event.version,
            sequence=addition.version + offset,
            correlationid=cause.correlation_id,
            causationid=cause.causation_id,
            data=event.__dict__,
        )

    async def log(self, connection: AsyncConnection, prepared: "Prepared") -> None:
        """Puts it in the log and in the outbox. Raises ConcurrencyConflictError."""
        try:
            if len(prepared.recorded) < MANY:
                await connection.execute(_APPEND, _columns(prepared))
            else:
                await _copy(connection, prepared)
        except (IntegrityError, asyncpg.UniqueViolationError) as error:
            if "events_stream_version_key" in str(error):
                first, *others = prepared.additions
                seen = f"{prepared.name}-{first.subject} is past version {first.version}"
                raise ConcurrencyConflictError(f"{seen}, or another one" if others else seen) from error
            raise

    async def project(self, connection: AsyncConnection, prepared: "Prepared") -> None:
        """Applies the inline projections to what is in the log."""
        for projection in self.projections:
            await projection.apply(connection, prepared.recorded)
        after_commit(connection, lambda: _count(prepared.recorded))


@dataclass(frozen=True)
class Prepared:
    """Events to be appended, with their envelopes and as JSON."""

    name: str
    additions: Sequence[Addition]
    recorded: list[Recorded]
    data: Sequence[str]


def _count(recorded: Sequence[Recorded]) -> None:
    for type_, count in Counter(each.envelope.type for each in recorded).items():
        metrics.EVENTS_APPENDED.labels(type=type_).inc(count)


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


_COPIED = [column.name for column in LOG.c if column is not LOG.c.position]


async def _copy(connection: AsyncConnection, prepared: Prepared) -> None:
    """The same as `_APPEND`, in two round trips more, and in less time when there is much."""
    first = prepared.recorded[0]
    rows = [
        (
            each.envelope.id,
            f"{prepared.name}-{each.envelope.subject}",
            each.envelope.sequence,
            each.envelope.type,
            each.envelope.dataversion,
            each.envelope.time,
            first.envelope.correlationid,
            first.envelope.causationid,
            first.traceparent,
            data,
        )
        for each, data in zip(prepared.recorded, prepared.data, strict=True)
    ]
    await connection.execute(_NOTIFY)  # a first statement, which begins the transaction
    driver = await driver_of(connection)
    await driver.copy_records_to_table(LOG.name, records=rows, columns=_COPIED)
    await driver.execute(_PEND, [row[0] for row in rows])


_NOTIFY = text("SELECT pg_notify('outbox_' || current_schema(), '')")
_PEND = "INSERT INTO outbox (event_id, position) SELECT id, position FROM events WHERE id = ANY($1::uuid[])"


def _columns(prepared: Prepared) -> dict[str, Any]:
    name, recorded, first = prepared.name, prepared.recorded, prepared.recorded[0]
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
        "data": prepared.data,
    }


def _json(recorded: Recorded) -> str:
    """What `Event.model_dump(mode="json")` says, in a third of the time."""
    data = orjson.dumps(recorded.event.__dict__, default=_plain)
    if len(data) > MAX_EVENT_BYTES:
        raise EventTooLargeError(f"{recorded.envelope.type} of {recorded.envelope.subject} is too large for the bus")
    return data.decode()


def _plain(value: object) -> Any:
    if isinstance(value, BaseModel):
        return value.__dict__
    if isinstance(value, UUID):  # the driver's own
        return str(value)
    raise TypeError(f"an event holds a {type(value).__name__}")


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
