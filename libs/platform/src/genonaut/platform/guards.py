"""What may be kept, and what makes it old: `cache.py` says how, and keeps it.

It is apart from that because what changes is said in every process, and few of them have a cache.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from genonaut.platform.database import Database, afterwards

EVERYTHING = "*"
"""A guard of everything that is kept."""


@dataclass(frozen=True)
class Entry:
    key: str
    guards: tuple[str, ...]


@dataclass(frozen=True)
class Look:
    """What there is of an entry."""

    entry: Entry
    value: bytes | None
    tokens: Mapping[str, bytes]
    """Of its guards and of everything. None of them when it must not be kept."""

    @property
    def stamp(self) -> bytes:
        """What is kept in front of the answer. None is the beginning of another one."""
        return b"".join([len(self.tokens).to_bytes(2), *self.tokens.values()])


Dropper = Callable[[Collection[str]], "asyncio.Task[None]"]

droppers: WeakKeyDictionary[AsyncEngine, Dropper] = WeakKeyDictionary()
"""What drops guards, by the database that it keeps answers of."""


def touch(connection: AsyncConnection, guards: Iterable[str]) -> None:
    """Drops them when the transaction has ended, if anything is kept of this database.

    However it has ended: one whose end was cut off may be committed.
    """
    drop = droppers.get(connection.engine)
    if drop is None:
        return
    touched = _touched.get(connection)
    if touched is None:
        touched = _touched[connection] = set()

        def ended(drop: Dropper = drop, touched: set[str] = touched) -> "asyncio.Task[None]":
            _touched.pop(connection, None)
            return drop(touched)

        afterwards(connection, ended)
    touched.update(guards)


async def drop_everything(database: Database) -> None:
    """For what changes `database` beside its transactions, when it has done so."""
    if drop := droppers.get(database.engine):
        await drop([EVERYTHING])


_touched: WeakKeyDictionary[AsyncConnection, set[str]] = WeakKeyDictionary()
