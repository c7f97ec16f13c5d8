"""Crash points: the process of a service ends, as if by a power cut, at a named point of its work.

A point is `seam:when:what`, for example `commit:before:content.item.created`. The seams are the few places where work
becomes durable or is said to be done. `run` wraps them and then runs the ordinary entry point; the services themselves
know nothing of this.

    commit   a transaction that appends or handles an event of this type
    publish  a batch with a message of this type, seen by its subject
    ack      of a message of this type
    store    of a file in the object store, whose bytes are on the disk before the name (`renamed`) and the sync

When is `before` or `after`, and for files also `renamed`: the name is there, nothing has been synced.
"""

import os
import runpy
import sys
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nats.aio.msg import Msg

from genonaut.platform import objects
from genonaut.platform.bus import Bus
from genonaut.platform.consumers import Consumer, Effect
from genonaut.platform.database import Database
from genonaut.platform.events import EventStore
from genonaut.platform.projections import Recorded

CRASHED = 86
"""The exit code of a process that has come to its point."""


@dataclass(frozen=True)
class CrashPoint:
    seam: str
    when: str
    what: str = ""
    """A type of events, or nothing when there is only one thing that can come."""

    def __str__(self) -> str:
        return ":".join(filter(None, (self.seam, self.when, self.what)))

    def reached(self, seam: str, when: str, *seen: str) -> None:
        """Ends the process here and now, if this is the point."""
        if (seam, when) == (self.seam, self.when) and any(f"{each}.".startswith(f"{self.what}.") for each in seen):
            os._exit(CRASHED)


def run(point: CrashPoint, module: str, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
    """`python -m module arguments`, which ends at the point with the exit code CRASHED. For a process of its own."""
    os.environ.clear()
    os.environ.update(environment)
    _wrap_commit(point)
    _wrap_publish(point)
    _wrap_ack(point)
    _wrap_store(point)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


_handled: ContextVar[frozenset[str]] = ContextVar("handled", default=frozenset())
"""Types of the events that a consumer of this task is handling."""
_appended: ContextVar[set[str]] = ContextVar("appended")
"""Types of the events that the transaction of this task appends."""


def _wrap_commit(point: CrashPoint) -> None:
    transaction, append, effect = Database.transaction, EventStore.append, Consumer.effect

    @asynccontextmanager
    async def watched_transaction(self: Database) -> AsyncIterator[Any]:
        appended: set[str] = set()
        token = _appended.set(appended)
        try:
            async with transaction(self) as connection:
                yield connection
                point.reached("commit", "before", *_handled.get(), *appended)
            point.reached("commit", "after", *_handled.get(), *appended)
        finally:
            _appended.reset(token)

    async def watched_append(self: EventStore, *arguments: Any, **options: Any) -> Any:
        recorded = await append(self, *arguments, **options)
        _appended.get().update(each.envelope.type for each in recorded)
        return recorded

    def watched_effect(self: Consumer, database: Database, store: EventStore) -> Effect:
        handle = effect(self, database, store)

        async def watched(recorded: Sequence[Recorded]) -> None:
            token = _handled.set(frozenset(each.envelope.type for each in recorded))
            try:
                await handle(recorded)
            finally:
                _handled.reset(token)

        return watched

    Database.transaction = watched_transaction  # type: ignore[method-assign]
    EventStore.append = watched_append  # type: ignore[method-assign]
    Consumer.effect = watched_effect  # type: ignore[method-assign]


def _wrap_publish(point: CrashPoint) -> None:
    publish = Bus.publish

    async def watched(self: Bus, stream: str, messages: Any) -> None:
        subjects = [message.subject for message in messages]
        point.reached("publish", "before", *subjects)
        await publish(self, stream, messages)
        point.reached("publish", "after", *subjects)

    Bus.publish = watched  # type: ignore[method-assign]


def _wrap_ack(point: CrashPoint) -> None:
    ack = Msg.ack

    async def watched(self: Msg) -> None:
        point.reached("ack", "before", self.subject)
        await ack(self)
        await self._client.flush()  # the server has it: `after` means after
        point.reached("ack", "after", self.subject)

    Msg.ack = watched  # type: ignore[method-assign]


def _wrap_store(point: CrashPoint) -> None:
    put, sync = objects.ObjectStore.put, objects._sync

    async def watched_put(self: objects.ObjectStore, key: str, data: bytes) -> bool:
        point.reached("store", "before", "")
        new = await put(self, key, data)
        point.reached("store", "after", "")
        return new

    def watched_sync(root: Path, names: Iterable[str]) -> None:
        point.reached("store", "renamed", "")
        sync(root, names)

    objects.ObjectStore.put = watched_put  # type: ignore[method-assign]
    objects._sync = watched_sync
