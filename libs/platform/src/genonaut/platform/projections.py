"""Projections: events into tables.

One may be dropped and rebuilt at any time, so its handlers touch only its own tables and take everything, times
included, from the event.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TypeVar

from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.contracts import Envelope, Event
from genonaut.contracts.streams import Durable
from genonaut.platform.telemetry import accepted

E = TypeVar("E", bound=Event)


@dataclass(frozen=True)
class Recorded:
    """An event with its envelope, decoded once."""

    event: Event
    envelope: Envelope
    traceparent: str | None = None

    @classmethod
    def of(cls, envelope: Envelope, traceparent: str | None = None) -> "Recorded":
        return cls(envelope.event(), envelope, traceparent)

    @classmethod
    def received(cls, payload: bytes, headers: Mapping[str, str] | None) -> "Recorded":
        """What a message brought, without a traceparent that is none. Raises UndecodableError."""
        return cls.of(Envelope.from_json(payload), accepted((headers or {}).get("traceparent")))


Handler = Callable[[AsyncConnection, E, Envelope], Awaitable[None]]
BatchHandler = Callable[[AsyncConnection, Sequence[Recorded]], Awaitable[None]]


class Projection:
    """A named set of tables and what each event does to them.

    Without a `source` it is inline: applied in the transaction that appends, from the service's own log. With one it
    follows another service's events from the bus.
    """

    def __init__(
        self,
        name: str,
        *tables: Table,
        source: Durable | None = None,
        cells: str | None = None,
        keyed: bool = False,
        reads: Sequence[type[Event]] = (),
    ) -> None:
        """`cells` names a timestamptz column of all its tables; rebuilds then compare and replace hour by hour.

        `keyed` says that its own tables recognise a repeated event, so that following the bus needs no inbox. `reads`
        are the events of an inline one that takes them `in_batches`.
        """
        self.name = name
        self.tables = tables
        self.source = source
        self.cells = cells
        self.keyed = keyed
        self._reads = tuple(reads)
        self._handlers: dict[type[Event], Handler[Event]] = {}
        self._many: dict[type[Event], BatchHandler] = {}
        self._batch: BatchHandler | None = None

    def on(self, *events: type[E]) -> Callable[[Handler[E]], Handler[E]]:
        """Decorates `async (connection, event, envelope)`, called for each of these events in log order."""

        def register(handler: Handler[E]) -> Handler[E]:
            for event in events:
                if event in self._handlers:
                    raise TypeError(f"projection {self.name} handles {event.__name__} twice")
                self._handlers[event] = handler  # type: ignore[assignment]  # called with its own event class only
            return handler

        return register

    def on_many(self, event: type[E]) -> Callable[[BatchHandler], BatchHandler]:
        """Decorates `async (connection, recorded)`, called with all events of this kind that follow each other."""

        def register(handler: BatchHandler) -> BatchHandler:
            if event in self._handlers or event in self._many:
                raise TypeError(f"projection {self.name} handles {event.__name__} twice")
            self._many[event] = handler
            return handler

        return register

    def in_batches(self, handler: BatchHandler) -> BatchHandler:
        """Decorates `async (connection, recorded)`, called with everything at once instead of event by event.

        Everything is what its `source` or its `reads` name, and never nothing.
        """
        self._batch = handler
        return handler

    @property
    def event_types(self) -> list[str]:
        """What it reads, by type."""
        if self.source:
            return sorted(event.type for event in self.source.events)
        return sorted(event.type for event in (*self._handlers, *self._many, *self._reads))

    async def apply(self, connection: AsyncConnection, recorded: Sequence[Recorded]) -> None:
        """In the caller's transaction. Events it does not know change nothing."""
        if self._batch:
            if self._reads:
                recorded = [each for each in recorded if isinstance(each.event, self._reads)]
            if recorded:
                await self._batch(connection, recorded)
            return
        for kind, alike in groupby(recorded, lambda each: type(each.event)):
            if many := self._many.get(kind):
                await many(connection, list(alike))
            elif handler := self._handlers.get(kind):
                for each in alike:
                    await handler(connection, each.event, each.envelope)
