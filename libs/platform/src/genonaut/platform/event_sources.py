"""Where a replay gets its events: the service's own log here, a stream of the bus in `stream_source`.

Both give every event once, in order, and end where the live tables are: what those have yet to take is not given.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.contracts import UndecodableError
from genonaut.platform.database import Database
from genonaut.platform.events import to_recorded
from genonaut.platform.projections import Recorded

LOCK_SECONDS = 5
"""How long writers may be held off while one that came before them finishes."""

Take = Callable[[], Awaitable[object]]
"""Takes hold of a moment: a snapshot of the live tables, or a lock on them."""


@dataclass(frozen=True)
class Place:
    """Where an entry is in its source."""

    position: int
    """In the log or the stream."""
    stored_at: datetime | None = None
    """When the stream took it, because one that is made anew counts from 1 again; a log never does, and has None."""


@dataclass(frozen=True)
class Read:
    """One entry of a source."""

    place: Place
    recorded: Recorded | None
    """None when it cannot be decoded."""

    @classmethod
    def at(cls, place: Place, decode: Callable[[], Recorded]) -> "Read":
        try:
            return cls(place, decode())
        except UndecodableError:
            return cls(place, None)


@dataclass(frozen=True)
class Beginning:
    lost: bool = False
    """There was something before it."""
    time: datetime | None = None
    """Of the earliest event there is; None when there is none, or nothing can have been lost."""


class Source(Protocol):
    """Set the end with `advance` or `fix`, then read up to it with `batches`; as often as you like."""

    behind: int
    """Events that live had yet to take at the fixed moment."""
    in_hand: int
    """Those of them that live may have taken all the same. 0: the live tables hold what is up to the end, exactly."""

    async def total(self) -> int:
        """Events there are to read."""
        ...

    async def begins(self) -> Beginning: ...

    async def advance(self) -> None:
        """Moves the end to what live certainly holds."""
        ...

    async def fix(self, take: Take) -> None:
        """Calls `take` while nothing moves, and moves the end to what the live tables hold then.

        Afterwards writers go on, as far as what was taken lets them.
        """
        ...

    def batches(self, size: int) -> AsyncIterator[Sequence[Read]]:
        """What is between the last event given and the end."""
        ...


class LogSource:
    """The service's `events` table. Live holds all of it: inline projections commit with their events."""

    behind = 0
    in_hand = 0

    def __init__(self, database: Database, *, service: str, types: Sequence[str]) -> None:
        self._database = database
        self._service = service
        self._types = list(types)
        self._position = 0
        self._end = 0

    async def total(self) -> int:
        async with self._database.reading() as connection:
            query = f"SELECT count(*) FROM {self._service}.events WHERE type = ANY(:types)"
            return int(await connection.scalar(text(query), {"types": self._types}) or 0)

    async def begins(self) -> Beginning:
        return Beginning()

    async def advance(self) -> None:
        await self.fix(_nothing)

    async def fix(self, take: Take) -> None:
        # Positions are taken before they are committed. Once those who hold one have committed, none below the
        # highest can appear any more.
        async with self._database.transaction() as connection:
            await connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'"))
            await connection.execute(text(f"LOCK TABLE {self._service}.events IN SHARE MODE"))
            await take()
            self._end = await self._last_position(connection)

    async def batches(self, size: int) -> AsyncIterator[Sequence[Read]]:
        while self._position < self._end:
            async with self._database.reading() as connection:
                found = await connection.execute(
                    text(f"""
                        SELECT * FROM {self._service}.events
                        WHERE position > :position AND position <= :end AND type = ANY(:types)
                        ORDER BY position LIMIT :size
                    """),
                    {"position": self._position, "end": self._end, "types": self._types, "size": size},
                )
                rows = found.mappings().all()
            self._position = rows[-1]["position"] if rows else self._end
            if rows:
                yield [self._read(row) for row in rows]

    def _read(self, row: RowMapping) -> Read:
        return Read.at(Place(row["position"]), lambda: to_recorded(row, f"genonaut/{self._service}"))

    async def _last_position(self, connection: AsyncConnection) -> int:
        return int(await connection.scalar(text(f"SELECT max(position) FROM {self._service}.events")) or 0)


async def _nothing() -> None:
    pass
