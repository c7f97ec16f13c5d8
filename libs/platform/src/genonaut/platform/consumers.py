"""Consumers: what a service does with the events of a durable, once each, in one transaction with the note that it did.

`consumer_loop` sees the messages through to their acks.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.contracts import Envelope, Event
from genonaut.contracts.streams import Durable
from genonaut.platform import inbox
from genonaut.platform.context import Cause, caused_by
from genonaut.platform.database import Database
from genonaut.platform.events import EventStore
from genonaut.platform.projections import BatchHandler, Projection, Recorded
from genonaut.platform.telemetry import current_traceparent

E = TypeVar("E", bound=Event)

Reaction = Callable[[EventStore, AsyncConnection, E, Envelope], Awaitable[None]]
Effect = Callable[[Sequence[Recorded]], Awaitable[None]]


class PostponeError(Exception):
    """Raised by an effect whose turn has not come: deliver it again after `delay` seconds, as often as it takes.

    Unlike a failure it is never counted, so its effect must bound the repeats itself.
    """

    def __init__(self, delay: float, reason: str) -> None:
        super().__init__(reason)
        self.delay = delay


@dataclass(frozen=True)
class Consumer:
    """What a service does with one durable: follow it with a projection, or react to it with commands."""

    durable: Durable
    handle: BatchHandler | None = None
    """A projection's `apply`."""
    reaction: Reaction[Event] | None = None
    batch: int = 1
    """Events in one transaction."""
    inbox: bool = True
    """False when the effect recognises a repeat by a key of its own."""
    after: Durable | None = None
    """One whose events must all be handled first: what the effect looks up comes from there."""

    def __post_init__(self) -> None:
        if (self.handle is None) is (self.reaction is None):
            raise TypeError(f"consumer {self.durable.name} has to follow or to react, one of the two")

    @classmethod
    def follow(cls, projection: Projection, *, batch: int = 1) -> "Consumer":
        """Keep a projection up to date from the bus."""
        if projection.source is None:
            raise TypeError(f"projection {projection.name} is inline: it has no durable to follow")
        return cls(projection.source, handle=projection.apply, batch=batch, inbox=not projection.keyed)

    @classmethod
    def react(cls, durable: Durable, reaction: Reaction[E], *, after: Durable | None = None) -> "Consumer":
        """Run `async (store, connection, event, envelope)` for each event, in one transaction with its inbox row."""
        # The reaction is called with the durable's own events only.
        return cls(durable, reaction=reaction, after=after)  # type: ignore[arg-type]

    def effect(self, database: Database, store: EventStore) -> Effect:
        """One transaction for the inbox and for what the events cause."""

        async def once(recorded: Sequence[Recorded]) -> None:
            async def work(connection: AsyncConnection) -> None:
                fresh = await inbox.first_time(connection, self.durable.name, recorded) if self.inbox else recorded
                if self.handle and fresh:
                    await self.handle(connection, fresh)
                if self.reaction:
                    for each in fresh:
                        with caused_by(cause_of(each)):
                            await self.reaction(store, connection, each.event, each.envelope)

            await database.transact(work)

        return once


def cause_of(recorded: Recorded) -> Cause:
    """What events carry that are stated because of this one."""
    envelope = recorded.envelope
    return Cause(envelope.correlationid, envelope.id, current_traceparent() or recorded.traceparent)
