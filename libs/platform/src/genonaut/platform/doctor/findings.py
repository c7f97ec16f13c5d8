"""What a check is, what it gets, and what it gives."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

if TYPE_CHECKING:
    from genonaut.platform.objects import ObjectStore
    from genonaut.platform.projections import Projection

Level = Literal["ok", "warn", "bad"]
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Finding:
    """`warn`: look at it some time. `bad`: something is broken or about to be."""

    about: str
    level: Level
    says: str
    """One line."""
    do: str = ""
    """One line: what to do. Empty when there is nothing to do."""
    rows: Sequence[Row] = ()
    """What it is drawn from, for those who want the figures."""


@dataclass(frozen=True)
class Limits:
    """From where on something is worth a word."""

    unused_index_bytes: int = 8 * 1024 * 1024
    scans: int = 100
    """Sequential scans of a table, before they count as a habit …"""
    rows_a_scan: int = 10_000
    """… when each reads so many rows."""
    dead_rows: int = 10_000
    dead_share: float = 0.2
    changed_rows: int = 10_000
    changed_share: float = 0.2
    """Rows changed since the statistics were made."""
    connections_warn: float = 0.8
    connections_bad: float = 0.95
    transaction: timedelta = timedelta(minutes=5)
    statement_ms: float = 200.0
    """What the platform wants of any page of any list, on average."""
    statement_calls: int = 20
    outbox_warn: timedelta = timedelta(seconds=15)
    outbox_bad: timedelta = timedelta(minutes=5)
    verified: timedelta = timedelta(days=30)


@dataclass(frozen=True)
class Patient:
    """One service's part of the database, seen in one read-only snapshot with its schema as the search path."""

    schema: str
    projections: Sequence["Projection"]
    connection: AsyncConnection
    objects: "Callable[[], ObjectStore]"
    """Opens the object store, for checks of what rows say of it."""
    limits: Limits = field(default_factory=Limits)

    async def rows(self, query: str, **parameters: Any) -> list[Row]:
        found = await self.connection.execute(text(query), parameters)
        return [dict(row) for row in found.mappings()]

    async def row(self, query: str, **parameters: Any) -> Row:
        """The only one."""
        (row,) = await self.rows(query, **parameters)
        return row


Check = Callable[[Patient], Awaitable[Sequence[Finding]]]
"""Looks, changes nothing, and gives at least one finding. What it raises is a finding, too."""


def size(amount: int) -> str:
    """Bytes for people: 1.2 GB."""
    value = float(amount)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1024:  # noqa: PLR2004 - as Postgres counts
            return f"{value:.0f} {unit}"
        value /= 1024
    return f"{value:.1f} TB"


def listed(names: Sequence[str], most: int = 4) -> str:
    """The first few names and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
