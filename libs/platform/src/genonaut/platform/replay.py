"""Replay: builds a projection again from its events beside the live tables, compares, and puts it in their place.

The same handlers run against shadow tables in the schema `<service>_rebuild`: nothing in them names a schema, so the
search path decides. Live tables are compared and replaced cell by cell (an hour where the projection has hours, else
a slice of its keys), so a rebuild that finds no difference changes nothing, and one that does swaps in a single
transaction.

Only projections can be replayed. A reaction states new events, sends things, runs GPUs: it is refused.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy import Table, text
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.platform import inbox
from genonaut.platform.bus import Bus
from genonaut.platform.database import Database, is_outage
from genonaut.platform.event_sources import BusSource, LogSource, Source
from genonaut.platform.projections import Projection, Recorded

BATCH = 1000
SLICES = 256
"""Cells of a table that has no hours."""
CATCH_UPS = 20
CATCH_UP_SECONDS = 0.5
"""How often, and how far apart, to compare again while the live tables are behind their stream."""

Progress = Callable[[int, int], None]
"""Called with events done and events in all."""


class ReplayRefusedError(Exception):
    """This cannot be replayed, or not so; the message says why and what can."""


@dataclass(frozen=True)
class Range:
    """Hours to rebuild: from the start of one up to, not including, another. None is open."""

    since: datetime | None = None
    until: datetime | None = None

    def __contains__(self, time: datetime) -> bool:
        return (self.since is None or time >= self.since) and (self.until is None or time < self.until)

    def __bool__(self) -> bool:
        return self.since is not None or self.until is not None


@dataclass(frozen=True)
class Cell:
    """A comparable part of a table: how many rows, and the sum of their hashes, which no order changes."""

    rows: int
    digest: str


@dataclass(frozen=True)
class TableComparison:
    table: str
    live_rows: int
    rebuilt_rows: int
    different_cells: Sequence[str]


@dataclass
class Report:
    """What a rebuild did and found."""

    projection: str
    events: int = 0
    within: Range = field(default_factory=Range)
    tables: list[TableComparison] = field(default_factory=list)
    swapped: bool = False
    behind: int = 0
    """Events that the live tables had yet to take when they were compared."""
    refused: int = 0
    """Messages left out because they cannot be decoded or applied; the live consumer parks them as dead letters."""

    @property
    def equal(self) -> bool:
        return not any(table.different_cells for table in self.tables)


class Rebuild:
    """One projection of one service. Needs the schema's owner, because shadow tables are made and dropped."""

    def __init__(self, projection: Projection, *, service: str, database: Database, bus: Bus | None) -> None:
        """`database` is connected as the owner; `bus` is needed by projections that follow a stream."""
        self.projection = projection
        self.service = service
        self.database = database
        self.bus = bus
        self.shadow = f"{service}_rebuild"
        follows = projection.source
        self._inbox_of = follows.name if follows and not projection.keyed else None
        """The consumer whose inbox is shadowed too: what is swapped in must not be handled again."""
        self._shadowed = [*(table.name for table in projection.tables), *(["inbox"] if self._inbox_of else [])]

    async def count(self, within: Range) -> int:
        """How many events a rebuild would read."""
        async with self._source(within) as source:
            return await source.total()

    async def run(
        self, *, within: Range | None = None, swap: bool, progress: Progress, allow_loss: bool = False
    ) -> Report:
        """Rebuild and compare; with `swap`, replace the cells that differ. The live service goes on meanwhile.

        Raises ReplayRefusedError rather than swap in tables with fewer rows than the live ones, unless `allow_loss`:
        a source that has lost its beginning looks just like that.
        """
        within = within or Range()
        if within and not self.projection.cells:
            raise ReplayRefusedError(f"{self.projection.name} has no hours; rebuild it whole")
        report = Report(self.projection.name)
        async with self._source(within) as source, self._shadow_tables():
            report.within = within = await self._complete_range(source, within)
            total = await source.total()
            progress(0, total)
            async for batch in source.batches(BATCH):
                async with self.database.transaction() as connection:
                    await self._use_shadow(connection)
                    await self._apply(connection, batch, report)
                report.events += len(batch)
                progress(report.events, max(total, report.events))
            for _ in range(CATCH_UPS):
                async with self.database.transaction() as connection:
                    await self._finish(connection, source, report, swap=swap, allow_loss=allow_loss)
                if report.behind == 0 or report.swapped:
                    break
                await asyncio.sleep(CATCH_UP_SECONDS)
            report.refused += source.undecodable
        return report

    async def _finish(
        self, connection: AsyncConnection, source: Source, report: Report, *, swap: bool, allow_loss: bool
    ) -> None:
        """Writers wait until this transaction ends, so what is compared, and swapped, is one moment on both sides."""
        await self._stop_writers(connection)
        report.behind = await source.live_lag()
        await source.refresh(connection)
        await self._use_shadow(connection)
        async for batch in source.batches(BATCH):
            await self._apply(connection, batch, report)
            report.events += len(batch)
        await self._use_live(connection)
        report.tables = [await self._compare(connection, table, report.within) for table in self.projection.tables]
        if swap and not report.equal:
            shrinking = [table.table for table in report.tables if table.rebuilt_rows < table.live_rows]
            if shrinking and not allow_loss:
                raise ReplayRefusedError(
                    f"the rebuilt {', '.join(shrinking)} has fewer rows than the live one: is the history complete? "
                    "If that is what you want, say --allow-loss"
                )
            await self._swap(connection, report)
            report.swapped = True

    async def _apply(self, connection: AsyncConnection, batch: Sequence[Recorded], report: Report) -> None:
        chosen = [recorded for recorded in batch if recorded.envelope.time in report.within]
        if not chosen:
            return
        if self.projection.source is None:
            await self.projection.apply(connection, chosen)
            return
        try:
            async with connection.begin_nested():
                await self._follow(connection, chosen)
        except Exception as error:
            if is_outage(error):
                raise
            if len(chosen) == 1:  # live, it is a dead letter
                report.refused += 1
                return
            for one in chosen:  # so that one bad event does not take its neighbours along
                await self._apply(connection, [one], report)

    async def _follow(self, connection: AsyncConnection, chosen: Sequence[Recorded]) -> None:
        fresh = await inbox.first_time(connection, self._inbox_of, chosen) if self._inbox_of else chosen
        if fresh:
            await self.projection.apply(connection, fresh)

    async def _complete_range(self, source: Source, within: Range) -> Range:
        """The default range leaves out hours of which the source may have lost a part."""
        begins = await source.begins()
        if begins is None or within.since or not self.projection.cells:
            return within
        if not await self._has_rows_before(hour(begins)):
            return within
        return Range(hour(begins) + timedelta(hours=1), within.until)

    async def _has_rows_before(self, moment: datetime) -> bool:
        async with self.database.reading() as connection:
            for table in self.projection.tables:
                condition = f"t.{self.projection.cells} < :moment"
                query = f"SELECT EXISTS (SELECT FROM {self.service}.{table.name} t WHERE {condition})"
                if await connection.scalar(text(query), {"moment": moment}):
                    return True
        return False

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
    async def _shadow_tables(self) -> AsyncIterator[None]:
        """Empty copies of the tables, gone afterwards. Refuses when another rebuild of this projection is at work."""
        lock = f"genonaut rebuild {self.service} {self.projection.name}"
        async with self.database.engine.connect() as holder:
            held = await holder.scalar(text("SELECT pg_try_advisory_lock(hashtext(:lock))"), {"lock": lock})
            if not held:
                raise ReplayRefusedError(f"{self.projection.name} is being rebuilt already")
            try:
                async with self.database.transaction() as connection:
                    await connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {self.shadow}"))
                    for table in self._shadowed:
                        await connection.execute(text(f"DROP TABLE IF EXISTS {self.shadow}.{table}"))
                        like = f"LIKE {self.service}.{table} INCLUDING ALL"
                        await connection.execute(text(f"CREATE UNLOGGED TABLE {self.shadow}.{table} ({like})"))
                yield
            finally:
                async with self.database.transaction() as connection:
                    for table in self._shadowed:
                        await connection.execute(text(f"DROP TABLE IF EXISTS {self.shadow}.{table}"))
                await holder.execute(text("SELECT pg_advisory_unlock(hashtext(:lock))"), {"lock": lock})

    async def _use_shadow(self, connection: AsyncConnection) -> None:
        await connection.execute(text(f"SET LOCAL search_path = {self.shadow}, {self.service}"))

    async def _use_live(self, connection: AsyncConnection) -> None:
        await connection.execute(text(f"SET LOCAL search_path = {self.service}"))

    async def _stop_writers(self, connection: AsyncConnection) -> None:
        await connection.execute(text("SET LOCAL lock_timeout = '30s'"))
        names = [f"{self.service}.{table.name}" for table in self.projection.tables]
        if self.projection.source is None:
            names.insert(0, f"{self.service}.events")
        if self._inbox_of:
            names.insert(0, f"{self.service}.inbox")  # in the order in which a consumer takes them
        await connection.execute(text(f"LOCK TABLE {', '.join(names)} IN SHARE ROW EXCLUSIVE MODE"))

    async def _cells(self, connection: AsyncConnection, table: Table, schema: str, within: Range) -> dict[str, Cell]:
        condition, parameters = self._within(within)
        rows = await connection.execute(
            text(f"""
                SELECT {self._cell_of(table)} AS cell, count(*) AS rows,
                       sum(hashtextextended(CAST(t AS text), 0)::numeric)::text AS digest
                FROM {schema}.{table.name} t WHERE {condition} GROUP BY 1
            """),
            parameters,
        )
        return {str(row.cell): Cell(row.rows, row.digest) for row in rows}

    def _cell_of(self, table: Table) -> str:
        if self.projection.cells:
            return f"to_char(date_trunc('hour', t.{self.projection.cells} AT TIME ZONE 'UTC'), 'YYYY-MM-DD HH24:00')"
        keys = ", ".join(f"t.{column.name}" for column in table.primary_key)
        return f"abs(hashtext(CAST(ROW({keys}) AS text)) % {SLICES})::text"

    def _within(self, within: Range) -> tuple[str, dict[str, datetime]]:
        conditions, parameters = ["true"], {}
        if within.since:
            conditions.append(f"t.{self.projection.cells} >= :since")
            parameters["since"] = within.since
        if within.until:
            conditions.append(f"t.{self.projection.cells} < :until")
            parameters["until"] = within.until
        return " AND ".join(conditions), parameters

    async def _compare(self, connection: AsyncConnection, table: Table, within: Range) -> TableComparison:
        live = await self._cells(connection, table, self.service, within)
        rebuilt = await self._cells(connection, table, self.shadow, within)
        return TableComparison(
            table=table.name,
            live_rows=sum(cell.rows for cell in live.values()),
            rebuilt_rows=sum(cell.rows for cell in rebuilt.values()),
            different_cells=sorted(
                cell for cell in live.keys() | rebuilt.keys() if live.get(cell) != rebuilt.get(cell)
            ),
        )

    async def _swap(self, connection: AsyncConnection, report: Report) -> None:
        """Children before parents on the way out, parents first on the way in, so foreign keys hold."""
        condition, parameters = self._within(report.within)
        different = {table.table: list(table.different_cells) for table in report.tables}
        for table in reversed(self.projection.tables):
            await connection.execute(
                text(
                    f"DELETE FROM {self.service}.{table.name} t"
                    f" WHERE {condition} AND {self._cell_of(table)} = ANY(:cells)"
                ),
                {**parameters, "cells": different[table.name]},
            )
        for table in self.projection.tables:
            await connection.execute(
                text(
                    f"INSERT INTO {self.service}.{table.name}"
                    f" SELECT * FROM {self.shadow}.{table.name} t WHERE {condition}"
                    f" AND {self._cell_of(table)} = ANY(:cells)"
                ),
                {**parameters, "cells": different[table.name]},
            )
        if self._inbox_of:
            await connection.execute(
                text(f"INSERT INTO {self.service}.inbox SELECT * FROM {self.shadow}.inbox ON CONFLICT DO NOTHING")
            )


def hour(moment: datetime) -> datetime:
    """The start of the hour, in UTC."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
