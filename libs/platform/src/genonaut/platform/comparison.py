"""Live and rebuilt tables, compared and exchanged by cell: an hour where there are hours, else a slice of the keys.

Equal cells hold the same rows, whatever the order. Exchanging touches the cells that differ and no others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Table, text
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.platform.projections import Projection

SLICES = 256
"""Cells of a table that has no hours."""


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
    shrinking_cells: Sequence[str] = ()
    """Those of them that have fewer rows when rebuilt, or none."""
    nothing_compared: bool = False
    """There are no rows on either side in the range, but live has some outside."""


class Comparison:
    """One projection's live and rebuilt tables, in two schemas of one database."""

    def __init__(self, projection: Projection, *, live: str, rebuilt: str) -> None:
        self.projection = projection
        self.live = live
        self.rebuilt = rebuilt

    async def compare(self, within: Range, *, live: AsyncConnection, rebuilt: AsyncConnection) -> list[TableComparison]:
        """What differs, table by table. Each side is read on its own connection, as of what that one sees."""
        return [await self._compare(table, within, live, rebuilt) for table in self.projection.tables]

    async def exchange(self, connection: AsyncConnection, tables: Sequence[TableComparison], within: Range) -> None:
        """Puts the rebuilt rows of the cells that differ in the place of the live ones.

        Children go before parents and come after them, so foreign keys hold.
        """
        condition, parameters = self._within(within)
        different = {each.table: list(each.different_cells) for each in tables}
        for table in reversed(self.projection.tables):
            where = f"{condition} AND {self._cell_of(table)} = ANY(:cells)"
            await connection.execute(
                text(f"DELETE FROM {self.live}.{table.name} t WHERE {where}"),
                {**parameters, "cells": different[table.name]},
            )
        for table in self.projection.tables:
            where = f"{condition} AND {self._cell_of(table)} = ANY(:cells)"
            await connection.execute(
                text(f"INSERT INTO {self.live}.{table.name} SELECT * FROM {self.rebuilt}.{table.name} t WHERE {where}"),
                {**parameters, "cells": different[table.name]},
            )

    async def live_has_rows(self, connection: AsyncConnection, within: Range) -> bool:
        """Whether any live table has a row in the range."""
        for table in self.projection.tables:
            if await self._has_rows(connection, table, within):
                return True
        return False

    async def _compare(
        self, table: Table, within: Range, live_connection: AsyncConnection, rebuilt_connection: AsyncConnection
    ) -> TableComparison:
        live = await self._cells(live_connection, table, self.live, within)
        rebuilt = await self._cells(rebuilt_connection, table, self.rebuilt, within)
        different = sorted(cell for cell in live.keys() | rebuilt.keys() if live.get(cell) != rebuilt.get(cell))
        none = Cell(0, "")
        return TableComparison(
            table=table.name,
            live_rows=sum(cell.rows for cell in live.values()),
            rebuilt_rows=sum(cell.rows for cell in rebuilt.values()),
            different_cells=different,
            shrinking_cells=[cell for cell in different if rebuilt.get(cell, none).rows < live.get(cell, none).rows],
            nothing_compared=not live and not rebuilt and await self._has_rows(live_connection, table, Range()),
        )

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

    async def _has_rows(self, connection: AsyncConnection, table: Table, within: Range) -> bool:
        condition, parameters = self._within(within)
        query = f"SELECT EXISTS (SELECT FROM {self.live}.{table.name} t WHERE {condition})"
        return bool(await connection.scalar(text(query), parameters))

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


def hour(moment: datetime) -> datetime:
    """The start of the hour, in UTC."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
