"""How fast analytics takes served requests in: from the bus into raw rows and hourly rollups.

    python tests/benchmarks/bench_analytics.py [--events 50000] [--batch 500]

One run measures, on real servers that sync as they do in production: fetching alone, with messages acked and thrown
away; the projection's batch function alone, fed from memory; and the whole consumer, which does both and decodes in
between. The two parts bound what the whole can reach on one core.
"""

import argparse
import asyncio
from collections.abc import Sequence

import uvloop
from harness import Cost, cost, quiet_logs, require, servers, show, table, until
from requests_served import publish, requests
from sqlalchemy import func, select

from genonaut.analytics.routes.projection import routes_projection
from genonaut.contracts import Envelope
from genonaut.contracts.streams import ANALYTICS_REQUESTS, REQUESTS
from genonaut.platform.bus import Bus
from genonaut.platform.consumer_loop import ConsumerLoop
from genonaut.platform.consumers import Consumer
from genonaut.platform.database import Database
from genonaut.platform.events import EventStore
from genonaut.platform.projections import Recorded
from genonaut.platform.provisioning import ensure_durable
from genonaut.platform.pull import Pull


class Subjects:
    """What is measured. Each takes all events."""

    def __init__(self, bus: Bus, database: Database, envelopes: Sequence[Envelope], batch: int) -> None:
        self._bus = bus
        self._database = database
        self._envelopes = envelopes
        self._batch = batch
        consumer = Consumer.follow(routes_projection, batch=batch)
        self._effect = consumer.effect(database, EventStore(database, source="genonaut/analytics"))

    async def fetching(self) -> None:
        pull = await Pull.open(self._bus.client, stream=REQUESTS.name, consumer=ANALYTICS_REQUESTS.name)
        left = len(self._envelopes)
        while left:
            messages = await pull.fetch(self._batch, seconds=5)
            for message in messages:
                await message.ack()
            left -= len(messages)
        await pull.close()

    async def function(self) -> None:
        for start in range(0, len(self._envelopes), self._batch):
            await self._effect([Recorded.of(each) for each in self._envelopes[start : start + self._batch]])

    async def whole(self) -> None:
        loop = ConsumerLoop(ANALYTICS_REQUESTS, self._effect, bus=self._bus, database=self._database, batch=self._batch)
        running = asyncio.create_task(loop.run())
        await until(lambda: self._bus.is_caught_up(ANALYTICS_REQUESTS), within=300, what="the consumer to catch up")
        loop.stop()
        await running

    async def check(self) -> None:
        """Raises RuntimeError unless all events are in the rows and in the rollups."""
        raw, rollup = routes_projection.tables[:2]
        async with self._database.reading() as connection:
            rows = await connection.scalar(select(func.count()).select_from(raw))
            counted = await connection.scalar(select(func.sum(rollup.c.total_requests)))
        require(rows == counted == len(self._envelopes), f"{rows} rows, {counted} counted")

    async def forget(self) -> None:
        """Nothing is consumed, and the tables are empty."""
        await self._bus.jetstream.delete_consumer(REQUESTS.name, ANALYTICS_REQUESTS.name)
        await ensure_durable(self._bus.jetstream, ANALYTICS_REQUESTS)
        async with self._database.transaction() as connection:
            for each in routes_projection.tables:
                await connection.execute(each.delete())


async def bench(events: int, batch: int) -> None:
    rows: dict[str, Cost] = {}
    async with servers() as site, site.database("analytics") as database, site.bus() as bus:
        groups = site.processes()
        envelopes = list(requests(events))
        await publish(bus, envelopes)
        subjects = Subjects(bus, database, envelopes, batch)
        for name, work in {
            "fetch and ack, nothing else": subjects.fetching,
            "the batch function, from memory": subjects.function,
            "the whole consumer": subjects.whole,
        }.items():
            await subjects.forget()
            rows[name] = await cost(work, groups)
            if work != subjects.fetching:
                await subjects.check()
    report = table(
        f"{events:,} RequestServed, {batch} at a time",
        *("", "events/s", "CPU µs: Python", "postgres", "nats", "share of the function's events/s"),
    )
    function = rows["the batch function, from memory"].seconds
    for name, row in rows.items():
        report.add_row(name, *row.each(events), f"{function / row.seconds:.0%}")
    show(report, note="Aim: 10,000 events/s by the whole consumer.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=50_000)
    parser.add_argument("--batch", type=int, default=500)
    options = parser.parse_args()
    quiet_logs()
    uvloop.run(bench(options.events, options.batch))  # as services do


if __name__ == "__main__":
    main()
