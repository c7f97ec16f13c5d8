"""How rows get into the raw tables and the rollups: any number of them in one statement.

Rows are tuples in the order of the table's columns. They are written in the order of their keys, so that two writers
meet in the same order.
"""

from collections.abc import Collection, Iterable
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Column, DateTime, Dialect, Table, TextClause, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

Row = tuple[Any, ...]

_POSTGRES: Dialect = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped


async def insert_new(connection: AsyncConnection, table: Table, rows: Collection[Row]) -> list[Row]:
    """The keys of the rows that were not there before; the others stay as they are."""
    if not rows:
        return []
    return [tuple(key) for key in await connection.execute(_insert_new(table), _by_column(table, rows))]


async def add_up(connection: AsyncConnection, table: Table, rows: Collection[Row]) -> None:
    """Adds to the rows that are there: integers add up, of moments the latest counts, all else follows from the key.

    Every key occurs once in `rows`.
    """
    if rows:
        await connection.execute(_add_up(table), _by_column(table, rows))


def _by_column(table: Table, rows: Iterable[Row]) -> dict[str, list[Any]]:
    length = len(table.primary_key)
    ordered = sorted(rows, key=lambda row: [_comparable(value) for value in row[:length]])
    return {column.name: list(values) for column, values in zip(table.columns, zip(*ordered, strict=True), strict=True)}


def _comparable(value: Any) -> Any:
    # UUIDs compare in Python, their numbers ten times as fast, and give the same order.
    return value.int if isinstance(value, UUID) else value


@cache
def _insert_new(table: Table) -> TextClause:
    return text(f"{_insert(table)} ON CONFLICT DO NOTHING RETURNING {_key(table)}")


@cache
def _add_up(table: Table) -> TextClause:
    sums = []
    for column in table.columns:
        name = column.name
        if not column.primary_key and isinstance(column.type, BigInteger):
            sums.append(f"{name} = live.{name} + excluded.{name}")
        if not column.primary_key and isinstance(column.type, DateTime):
            sums.append(f"{name} = greatest(live.{name}, excluded.{name})")
    return text(f"{_insert(table)} ON CONFLICT ({_key(table)}) DO UPDATE SET {', '.join(sums)}")


def _insert(table: Table) -> str:
    names = ", ".join(column.name for column in table.columns)
    arrays = ", ".join(f"CAST(:{column.name} AS {_type(column)}[])" for column in table.columns)
    return f"INSERT INTO {table.name} AS live ({names}) SELECT * FROM unnest({arrays})"


def _type(column: Column[Any]) -> str:
    return column.type.compile(_POSTGRES)


def _key(table: Table) -> str:
    return ", ".join(column.name for column in table.primary_key)
