"""Replay: builds a projection again from its events beside the live tables, compares, and puts it in their place.

The same handlers run against shadow tables in a schema of their own: nothing in them names a schema, so the search
path decides, and the live tables are not on it. Both sides are compared as of one moment, for which the live service
is held still, and then goes on. A rebuild that finds no difference changes nothing; one that does replaces the cells
that differ in a single transaction.

Only projections can be replayed. A reaction states new events, sends things, runs GPUs: it is refused.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.platform import inbox
from genonaut.platform.bus import Bus
from genonaut.platform.comparison import Comparison, Range, TableComparison, hour
from genonaut.platform.database import Database
from genonaut.platform.event_sources import LOCK_SECONDS, Beginning, LogSource, Place, Read, Source, Take
from genonaut.platform.guards import EVERYTHING, touch
from genonaut.platform.projections import Projection, Recorded
from genonaut.platform.stream_source import BusSource
from genonaut.platform.trouble import is_outage, is_timeout, sqlstate

BATCH = 1000
LONGEST_NAME = 63
"""Bytes that Postgres keeps of a name."""
LOCK_NOT_AVAILABLE = "55P03"
UNDEFINED_TABLE = "42P01"

Progress = Callable[[int, int], None]
"""Called with events done and events in all."""


class ReplayRefusedError(Exception):
    """This cannot be replayed, or not so; the message says why and what can."""


@dataclass
class Report:
    """What a rebuild did and found."""

    projection: str
    asked: Range = field(default_factory=Range)
    within: Range = field(default_factory=Range)
    """The hours that were compared."""
    events: int = 0
    """All that were read: applied, out of the range, undecodable, failed."""
    tables: list[TableComparison] = field(default_factory=list)
    swapped: bool = False
    behind: int = 0
    """Events that the live tables had yet to take when they were compared. They are on neither side."""
    in_hand: int = 0
    """Those of them that live may have taken, so that differences may be theirs."""
    lost_beginning: bool = False
    """The stream has lost events that the compared rows may stand on."""
    undecodable: int = 0
    failed: int = 0
    """Events whose handler raised. They, and the undecodable ones, are left out as live leaves them out."""
    first_failure: str | None = None
    skipped: list[Place] = field(default_factory=list)
    """Where the undecodable and the failed ones are in their source."""

    @property
    def differs(self) -> bool:
        return any(table.different_cells for table in self.tables)

    @property
    def nothing_compared(self) -> bool:
        """Live has rows, but none of them are in the range, and none were rebuilt there."""
        rows = sum(table.live_rows + table.rebuilt_rows for table in self.tables)
        return rows == 0 and any(table.nothing_compared for table in self.tables)

    @property
    def equal(self) -> bool:
        return not self.differs and not self.nothing_compared


class Rebuild:
    """One projection of one service. Needs the schema's owner, because shadow tables are made and dropped."""

    def __init__(self, projection: Projection, *, service: str, database: Database, bus: Bus | None) -> None:
        """`database` is connected as the owner; `bus` is needed by projections that follow a stream."""
        self.projection = projection
        self.service = service
        self.database = database
        self.bus = bus
        self.shadow = f"{service}_rebuild_{projection.name.replace('-', '_')}"[:LONGEST_NAME]
        self.comparison = Comparison(projection, live=service, rebuilt=self.shadow)
        follows = projection.source
        self._inbox_of = follows.name if follows and not projection.keyed else None
        """The consumer whose inbox is shadowed too: what is swapped in must not be handled again."""
        # In the order in which a consumer takes them.
        self._tables = [*(["inbox"] if self._inbox_of else []), *(table.name for table in projection.tables)]

    async def count(self, within: Range) -> int:
        """How many events there are to read."""
        async with self._source(within) as source:
            return await source.total()

    async def run(
        self, *, within: Range | None = None, swap: bool, progress: Progress, allow_loss: bool = False
    ) -> Report:
        """Rebuild and compare; with `swap`, replace the cells that differ. The live service goes on meanwhile.

        Raises ReplayRefusedError rather than swap in what may have lost something, unless `allow_loss`.
        """
        within = within or Range()
        if within and not self.projection.cells:
            raise ReplayRefusedError(f"{self.projection.name} has no hours; rebuild it whole")
        report = Report(self.projection.name, asked=within)
        async with self._source(within) as source, self._shadow_schema():
            await self._set_range(source, report)
            total = await source.total()
            progress(0, total)
            await source.advance()
            await self._read(source, report, lambda done: progress(done, max(total, done)))
            await self._look(source, report)
            if swap and report.differs:
                await self._swap(source, report, allow_loss=allow_loss)
        if not within:
            await self._note(report)
        return report

    async def _look(self, source: Source, report: Report) -> None:
        """Compares what live held at one moment with what is rebuilt up to it. Nobody waits for the comparison."""
        async with self.database.reading() as live:
            await self._fix(source, report, lambda: live.execute(text("SELECT 1")))  # the first one takes the snapshot
            await self._read(source, report)
            async with self.database.reading() as rebuilt:
                report.tables = await self.comparison.compare(report.within, live=live, rebuilt=rebuilt)

    async def _swap(self, source: Source, report: Report, *, allow_loss: bool) -> None:
        """Compares again, with the writers locked out, so that what is swapped in is all that live held, and more."""
        async with self.database.transaction() as connection:
            if not allow_loss:
                await self._refuse_loss(connection, report)
            await self._fix(source, report, lambda: self._lock_live(connection))
            await self._read(source, report)
            report.tables = await self.comparison.compare(report.within, live=connection, rebuilt=connection)
            if not allow_loss:
                await self._refuse_loss(connection, report)
            await self.comparison.exchange(connection, report.tables, report.within)
            touch(connection, [EVERYTHING])
            if self._inbox_of:
                rebuilt = f"SELECT * FROM {self.shadow}.inbox"
                await connection.execute(text(f"INSERT INTO {self.service}.inbox {rebuilt} ON CONFLICT DO NOTHING"))
        report.swapped = report.differs

    async def _fix(self, source: Source, report: Report, take: Take) -> None:
        try:
            await source.fix(take)
        except DBAPIError as error:
            if sqlstate(error) == LOCK_NOT_AVAILABLE:
                raise ReplayRefusedError(
                    f"a transaction of {self.service} has been open for more than {LOCK_SECONDS} s; try again later"
                ) from error
            raise
        report.behind, report.in_hand = source.behind, source.in_hand

    async def _lock_live(self, connection: AsyncConnection) -> None:
        names = ", ".join(f"{self.service}.{name}" for name in self._tables)
        await connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'"))
        await connection.execute(text(f"LOCK TABLE {names} IN SHARE ROW EXCLUSIVE MODE"))

    async def _refuse_loss(self, connection: AsyncConnection, report: Report) -> None:
        """Raises when rows, or what they stand on, may be missing on the rebuilt side only."""
        reasons = [
            f"{len(table.shrinking_cells)} cells of {table.table} would have fewer rows than now"
            for table in report.tables
            if table.shrinking_cells
        ]
        if report.lost_beginning:
            reasons.append("the stream has lost its beginning")
        if skipped := len(report.skipped) - await self._parked(connection, report.skipped):
            reasons.append(f"{skipped} events were skipped that live has not parked")
        if reasons:
            raise ReplayRefusedError(f"{'; '.join(reasons)}. If that is what you want, say --allow-loss")

    async def _note(self, report: Report) -> None:
        """For `genonaut <service> doctor`: when the whole projection was last compared, and whether it was equal."""
        noted = {"projection": report.projection, "events": report.events, "equal": report.equal or report.swapped}
        async with self.database.transaction() as connection:
            await connection.execute(
                text(f"""
                    INSERT INTO {self.service}.verifications (projection, events, equal)
                    VALUES (:projection, :events, :equal)
                    ON CONFLICT (projection)
                    DO UPDATE SET verified_at = now(), events = excluded.events, equal = excluded.equal
                """),
                noted,
            )

    async def _parked(self, connection: AsyncConnection, places: Sequence[Place]) -> int:
        """How many of these live has skipped too. An inline projection skips nothing: the command fails."""
        if self.projection.source is None or not places:
            return 0
        query = f"""
            SELECT count(*) FROM {self.service}.dead_letters
            WHERE consumer = :consumer AND redriven_at IS NULL AND (stream_sequence, stored_at) IN (
                SELECT * FROM unnest(CAST(:positions AS bigint[]), CAST(:times AS timestamptz[]))
            )
        """
        skipped = {
            "consumer": self.projection.source.name,
            "positions": [place.position for place in places],
            "times": [place.stored_at for place in places],
        }
        return int(await connection.scalar(text(query), skipped) or 0)

    async def _read(self, source: Source, report: Report, progress: Callable[[int], None] = lambda _: None) -> None:
        """Applies what the source has up to its end, and leaves out hours of which it has lost a part meanwhile."""
        async with aclosing(_one_ahead(source.batches(BATCH))) as batches:
            async for batch in batches:
                async with self.database.transaction() as connection:
                    # Not the live schema: a handler that uses a table which is not its projection's shall fail.
                    await connection.execute(text(f"SET LOCAL search_path = {self.shadow}"))
                    await self._apply(connection, batch, report)
                report.events += len(batch)
                progress(report.events)
        await self._set_range(source, report)

    async def _apply(self, connection: AsyncConnection, batch: Sequence[Read], report: Report) -> None:
        decoded = [(read.place, read.recorded) for read in batch if read.recorded]
        undecodable = [read.place for read in batch if read.recorded is None]
        report.undecodable += len(undecodable)
        report.skipped += undecodable
        chosen = [(place, each) for place, each in decoded if each.envelope.time in report.within]
        if await self._failure(connection, [each for _, each in chosen]) is None:
            return
        for place, each in chosen:
            if error := await self._failure(connection, [each]):
                report.failed += 1
                report.skipped.append(place)
                reason = f"{each.envelope.type}: {type(error).__name__}: {_said(error)}"
                report.first_failure = report.first_failure or reason

    async def _failure(self, connection: AsyncConnection, recorded: Sequence[Recorded]) -> Exception | None:
        """What the handlers raised, after which nothing has changed; None when the events are applied."""
        try:
            async with connection.begin_nested():
                if self._inbox_of:
                    recorded = await inbox.first_time(connection, self._inbox_of, recorded)
                if recorded:
                    await self.projection.apply(connection, recorded)
        except Exception as error:
            if is_outage(error) or is_timeout(error):
                raise
            if sqlstate(error) == UNDEFINED_TABLE:
                raise ReplayRefusedError(
                    f"{self.projection.name} uses a table that it does not name as its own: {_said(error)}"
                ) from error
            return error
        return None

    async def _set_range(self, source: Source, report: Report) -> None:
        begins = await source.begins()
        report.within = await self._complete_range(begins, report.asked)
        since = report.within.since
        report.lost_beginning = begins.lost and not (since and begins.time and since > begins.time)

    async def _complete_range(self, begins: Beginning, asked: Range) -> Range:
        """Without a beginning of its own, the range leaves out hours of which the source may have lost a part."""
        if not self.projection.cells or asked.since or begins.time is None:
            return asked
        first = hour(begins.time)
        async with self.database.reading() as connection:
            if not begins.lost and not await self.comparison.live_has_rows(connection, Range(until=first)):
                return asked
        return Range(first + timedelta(hours=1), asked.until)

    @asynccontextmanager
    async def _source(self, within: Range) -> AsyncIterator[Source]:
        if self.projection.source is None:
            yield LogSource(self.database, service=self.service, types=self.projection.event_types)
            return
        if self.bus is None:
            raise ReplayRefusedError(f"{self.projection.name} follows the bus, and there is no connection to it")
        async with BusSource.open(self.bus, self.projection.source, since=within.since) as source:
            yield source

    @asynccontextmanager
    async def _shadow_schema(self) -> AsyncIterator[None]:
        """Empty copies of the tables, gone afterwards. Refuses when another rebuild of this projection is at work."""
        async with self.database.transaction() as holder:  # held by its transaction, the lock cannot be left behind
            lock = text("SELECT pg_try_advisory_xact_lock(hashtext(:shadow))")
            if not await holder.scalar(lock, {"shadow": self.shadow}):
                raise ReplayRefusedError(f"{self.projection.name} is being rebuilt already")
            await self._drop_shadow()  # of one that was killed
            try:
                async with self.database.transaction() as connection:
                    await connection.execute(text(f"CREATE SCHEMA {self.shadow}"))
                    for table in self._tables:
                        like = f"LIKE {self.service}.{table} INCLUDING ALL"
                        await connection.execute(text(f"CREATE UNLOGGED TABLE {self.shadow}.{table} ({like})"))
                yield
            finally:
                await self._drop_shadow()

    async def _drop_shadow(self) -> None:
        async with self.database.transaction() as connection:
            await connection.execute(text(f"DROP SCHEMA IF EXISTS {self.shadow} CASCADE"))


async def _one_ahead(batches: AsyncIterator[Sequence[Read]]) -> AsyncGenerator[Sequence[Read], None]:
    """The same, each read and decoded while the database is at work on the one before."""
    following = asyncio.ensure_future(anext(batches, None))
    try:
        while (batch := await following) is not None:
            following = asyncio.ensure_future(anext(batches, None))
            yield batch
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


def _said(error: Exception) -> str:
    """One line, without the statement."""
    return str(error.orig if isinstance(error, DBAPIError) else error).partition("\n")[0]
