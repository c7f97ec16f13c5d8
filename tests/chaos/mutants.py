"""The platform with one of its rules broken, to see that the checker would notice.

`python -m chaos.mutants NAME MODULE ARGUMENT…` breaks the rule in this process and then runs the module as it is. Each
is what a sensible person might write who does not know why the rule is there.
"""

import asyncio
import runpy
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from nats.aio.msg import Msg

from genonaut.platform import inbox, relay
from genonaut.platform.bus import MAX_BATCH, PublishError
from genonaut.platform.consumer_loop import ConsumerLoop
from genonaut.platform.relay import Relay

MUTANTS: dict[str, Callable[[], None]] = {}


def mutant(function: Callable[[], None]) -> Callable[[], None]:
    MUTANTS[function.__name__.replace("_", "-")] = function
    return function


@mutant
def no_outbox() -> None:
    """What was committed is published once, and not remembered until somebody has it."""

    async def relay_some(self: Relay, connection: Any) -> bool:
        rows = await connection.fetch(relay._PENDING, MAX_BATCH)
        await connection.execute("DELETE FROM outbox WHERE position = ANY($1)", [row["position"] for row in rows])
        for stream, messages in self._by_stream(rows).items():
            with suppress(PublishError):
                await self.bus.publish(stream, messages)
        self._progressed()
        return False

    Relay._relay_some = relay_some  # type: ignore[method-assign]


@mutant
def position_reader() -> None:
    """The relay remembers how far it has read in the log, and reads on from there."""
    reached: dict[Relay, int] = {}
    following = """
        SELECT e.* FROM events e WHERE e.position > $1 ORDER BY e.position LIMIT $2
    """

    async def relay_some(self: Relay, connection: Any) -> bool:
        rows = await connection.fetch(following, reached.get(self, 0), MAX_BATCH)
        if rows:
            for stream, messages in self._by_stream(rows).items():
                await self.bus.publish(stream, messages)
            reached[self] = rows[-1]["position"]
            await connection.execute("DELETE FROM outbox WHERE position <= $1", reached[self])
        self._progressed()
        return len(rows) == MAX_BATCH

    Relay._relay_some = relay_some  # type: ignore[method-assign]


@mutant
def no_inbox() -> None:
    """Every delivery counts: neither the inbox nor the keys of the measured events recognise a repeat."""
    from genonaut.analytics.rollups import upserts

    async def first_time(_connection: Any, _consumer: str, recorded: Sequence[Any]) -> Sequence[Any]:
        return recorded

    insert_new = upserts.insert_new

    async def insert(connection: Any, table: Any, rows: Sequence[Any]) -> list[Any]:
        await insert_new(connection, table, rows)
        return [row[: len(table.primary_key)] for row in rows]

    inbox.first_time = first_time  # type: ignore[assignment]
    upserts.insert_new = insert  # type: ignore[assignment]


@mutant
def ack_before_commit() -> None:
    """The message is acknowledged when it arrives, and then handled."""
    process = ConsumerLoop._process

    async def acknowledge_first(self: ConsumerLoop, received: Sequence[Any]) -> None:
        for message, _ in received:
            if not message.is_acked:
                await message.ack()
        await process(self, received)

    async def nothing(_self: Msg, *_: Any, **__: Any) -> None:
        return None

    ack = Msg.ack

    async def once(self: Msg) -> None:
        if not self.is_acked:
            await ack(self)

    ConsumerLoop._process = acknowledge_first  # type: ignore[method-assign]
    Msg.ack = once  # type: ignore[method-assign]
    Msg.nak = nothing  # type: ignore[assignment, method-assign]
    Msg.term = nothing  # type: ignore[assignment, method-assign]
    Msg.in_progress = nothing  # type: ignore[assignment, method-assign]


@mutant
def no_dead_letter() -> None:
    """What cannot be handled is taken off the stream's hands, and that is that."""

    async def drop(_self: ConsumerLoop, message: Msg, _: Exception, **__: Any) -> None:
        await message.term()

    ConsumerLoop._bury = drop  # type: ignore[assignment, method-assign]


@mutant
def no_measurement() -> None:
    """The gateway tells nobody what it served."""
    from genonaut.gateway.traffic.capture import Capture

    def ignore(_self: Capture, _served: Any) -> None:
        return None

    Capture.__call__ = ignore  # type: ignore[assignment, method-assign]


@mutant
def no_privacy() -> None:
    """Who knows a job's number sees it."""
    from genonaut.generation.jobs import api, queries
    from genonaut.generation.jobs.schemas import Job
    from genonaut.platform.http.errors import NotFoundError

    async def job(runtime: Any, job_id: int, _viewer: Any) -> Job:
        async with runtime.database.reading() as connection:
            row = await queries.by_id(connection, job_id)
        if row is None:
            raise NotFoundError(f"There is no generation job {job_id}")
        return Job.model_validate(row)

    api._job = job  # type: ignore[assignment]


@mutant
def float_sums() -> None:
    """Durations are added up in seconds, and turned into whole microseconds in the end."""
    from genonaut.analytics.routes import domain

    add = domain.Tally.add

    def add_seconds(self: Any, served: Any) -> None:
        before = self.duration_us_sum
        add(self, served)
        self.duration_us_sum = int((before / 1e6 + served.duration_us / 1e6) * 1e6)

    domain.Tally.add = add_seconds  # type: ignore[method-assign]


@mutant
def no_heartbeat() -> None:
    """A driver says that it has a job when it takes it, and not again."""
    from genonaut.generation.workers import leases

    async def renew(*_: Any, **__: Any) -> bool:
        return True

    async def beat_never(_self: Msg) -> None:
        await asyncio.sleep(0)

    leases.renew = renew
    Msg.in_progress = beat_never  # type: ignore[assignment, method-assign]


def main(arguments: Sequence[str]) -> None:
    """NAME MODULE ARGUMENT…"""
    name, module, *rest = arguments
    MUTANTS[name]()
    sys.argv = [module, *rest]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
