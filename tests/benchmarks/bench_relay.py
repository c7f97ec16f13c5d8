"""How fast the outbox leaves: from the event log to a stream that syncs every batch before it acknowledges it.

    python tests/benchmarks/bench_relay.py [--events 20000]

All events are committed first; then one relay takes them. The baseline is the same bus with nothing behind it: messages
of the same size in the same atomic batches, from memory.
"""

import argparse
import asyncio
import contextlib
from uuid import uuid4

import uvloop
from harness import cost, quiet_logs, require, servers, show, table, until
from sqlalchemy import text

from genonaut.contracts import Envelope
from genonaut.contracts.content import ItemCreated
from genonaut.contracts.streams import CONTENT
from genonaut.platform.bus import Bus, Message
from genonaut.platform.clock import utc_now
from genonaut.platform.database import Database
from genonaut.platform.events import EventStore
from genonaut.platform.relay import Relay

IN_ONE_COMMIT = 500


def item(number: int) -> ItemCreated:
    """An event of some 600 bytes."""
    return ItemCreated(
        item_id=number,
        title=f"A lighthouse at dusk, number {number}",
        content_type="image",
        prompt="a lighthouse at dusk, oil on canvas, in the manner of nobody in particular",
        creator_id=uuid4(),
        item_metadata={"sampler": "euler", "steps": 28, "cfg": 5.5, "width": 832, "height": 1216},
    )


async def commit(database: Database, store: EventStore, events: int, name: str = "bench") -> None:
    for start in range(0, events, IN_ONE_COMMIT):
        items = [item(start + number) for number in range(IN_ONE_COMMIT)]
        async with database.transaction() as connection:
            await store.append(connection, name, str(start), 0, items)


def messages(events: int) -> list[Message]:
    """The same, as the relay sends them."""
    envelopes = [
        Envelope.of(
            item(number), id=uuid4(), source="bench", subject=str(number), time=utc_now(), sequence=1, correlationid="b"
        )
        for number in range(events)
    ]
    return [Message(CONTENT.subject(each.type, each.subject), each.to_json(), str(each.id)) for each in envelopes]


async def relayed(database: Database, bus: Bus) -> None:
    """Returns when a relay has emptied the outbox of `content`."""

    async def is_empty() -> bool:
        async with database.reading() as connection:
            return not await connection.scalar(text("SELECT EXISTS (SELECT FROM outbox)"))

    running = asyncio.create_task(Relay(database, bus, schema="content", source="genonaut/content").run())
    try:
        await until(is_empty, within=120, what="the outbox to empty", every=0.02)
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def bench(events: int) -> None:
    rows = {}
    async with servers() as site, site.database("content") as database, site.bus() as bus:
        groups = site.processes()
        store = EventStore(database, source="genonaut/content")
        ready = messages(events)
        rows["messages from memory, in batches"] = await cost(lambda: bus.publish(CONTENT.name, ready), groups)
        rows["(appending to log and outbox)"] = await cost(lambda: commit(database, store, events), groups)
        rows["the relay"] = await cost(lambda: relayed(database, bus), groups)
        stored = (await bus.jetstream.stream_info(CONTENT.name)).state.messages
        require(stored == 2 * events, f"{stored:,} messages are in the stream after {events:,} twice")
    costs = table(
        f"{events:,} events from the outbox to the stream, synced", "", "events/s", "CPU µs: Python", "postgres", "nats"
    )
    for name, row in rows.items():
        costs.add_row(name, *row.each(events))
    show(costs, note="Aim: 8,000 events/s by the relay.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=20_000)
    quiet_logs()
    uvloop.run(bench(parser.parse_args().events // IN_ONE_COMMIT * IN_ONE_COMMIT))  # as services do


if __name__ == "__main__":
    main()
