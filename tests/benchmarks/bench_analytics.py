"""How fast analytics takes served requests in: from the bus into raw rows and hourly rollups.

    python tests/benchmarks/bench_analytics.py [--events 50000] [--batch 500]

One run measures, on real servers that sync as they do in production: fetching alone, with messages acked and thrown
away; the projection's batch function alone, fed from memory; and the whole consumer, which does both and decodes in
between. The two parts bound what the whole can reach on one core.
"""

import argparse
import asyncio
import logging
import os
import random
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import structlog
import uvloop
from rich.console import Console
from rich.progress import track
from rich.table import Table

from genonaut.analytics.routes.projection import routes
from genonaut.contracts import Envelope
from genonaut.contracts.gateway import RequestServed
from genonaut.contracts.streams import ANALYTICS_REQUESTS, REQUESTS
from genonaut.platform.bus import MAX_BATCH, Bus, Message
from genonaut.platform.consumer_loop import ConsumerLoop
from genonaut.platform.consumers import Consumer
from genonaut.platform.database import Database
from genonaut.platform.events import EventStore
from genonaut.platform.migrations import migrate
from genonaut.platform.projections import Recorded
from genonaut.platform.provisioning import SERVICES, Passwords, ensure_durable, login, provision_bus, provision_database
from genonaut.platform.pull import Pull
from genonaut.stack.servers import Nats, Postgres

console = Console()

PASSWORD = "bench"
ROUTES = ("/api/v1/content", "/api/v1/content/{id}", "/api/v1/generation-jobs", "/api/v1/tags", "/api/v1/images/{id}")


def requests(count: int) -> list[Envelope]:
    """Like a day of a busy site: five routes, a thousand users, a few patterns each."""
    choose = random.Random(1)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    return [
        Envelope.of(
            RequestServed(
                method="GET",
                route=choose.choice(ROUTES),
                status_code=200,
                duration_us=int(choose.lognormvariate(8.5, 1)),
                user_id=UUID(int=choose.randrange(1000)),
                query_params={"page": str(choose.randrange(9)), "sort_field": choose.choice(["created_at", "title"])},
                request_bytes=0,
                response_bytes=choose.randrange(50_000),
            ),
            id=UUID(int=choose.getrandbits(128), version=4),
            source="genonaut/gateway",
            subject=f"request-{number}",
            time=start + timedelta(seconds=number * 86_400 / count),
            sequence=1,
            correlationid=f"request-{number}",
        )
        for number in range(count)
    ]


async def fill(bus: Bus, envelopes: Sequence[Envelope]) -> None:
    subject = REQUESTS.subject(RequestServed.type, "")
    for start in track(range(0, len(envelopes), MAX_BATCH), "publishing", console=console, transient=True):
        batch = [Message(subject, each.to_json(), str(each.id)) for each in envelopes[start : start + MAX_BATCH]]
        await bus.publish(REQUESTS.name, batch)


async def timed(work: Callable[[], Awaitable[None]]) -> float:
    began = time.perf_counter()
    await work()
    return time.perf_counter() - began


async def measure(bus: Bus, database: Database, envelopes: Sequence[Envelope], batch: int) -> dict[str, float]:
    """Seconds for all events, by what was done with them."""
    consumer = Consumer.follow(routes, batch=batch)
    store = EventStore(database, source="genonaut/analytics")

    async def fetching() -> None:
        pull = await Pull.open(bus.client, stream=REQUESTS.name, consumer=ANALYTICS_REQUESTS.name)
        left = len(envelopes)
        while left:
            messages = await pull.fetch(batch, seconds=5)
            for message in messages:
                await message.ack()
            left -= len(messages)
        await pull.close()

    async def function() -> None:
        effect = consumer.effect(database, store)
        for start in range(0, len(envelopes), batch):
            await effect([Recorded.of(each) for each in envelopes[start : start + batch]])

    async def whole() -> None:
        loop = ConsumerLoop(
            ANALYTICS_REQUESTS, consumer.effect(database, store), bus=bus, database=database, batch=batch
        )
        running = asyncio.create_task(loop.run())
        while not await bus.is_caught_up(ANALYTICS_REQUESTS):  # noqa: ASYNC110 - it is remote
            await asyncio.sleep(0.05)
        loop.stop()
        await running

    seconds = {}
    for name, work in {
        "fetch and ack, nothing else": fetching,
        "the batch function, from memory": function,
        "the whole consumer": whole,
    }.items():
        await bus.jetstream.delete_consumer(REQUESTS.name, ANALYTICS_REQUESTS.name)
        await ensure_durable(bus.jetstream, ANALYTICS_REQUESTS)
        async with database.transaction() as connection:
            for table in routes.tables:
                await connection.execute(table.delete())
        seconds[name] = await timed(work)
    return seconds


async def run(folder: Path, *, events: int, batch: int) -> None:
    postgres, nats = Postgres(folder), Nats(folder)
    try:
        postgres.start()
        nats.start()
        passwords = Passwords(PASSWORD, PASSWORD, PASSWORD, dict.fromkeys(SERVICES, PASSWORD))
        await provision_database(postgres.url(), database="genonaut", passwords=passwords)
        await migrate(
            "analytics", admin_url=postgres.url(user="genonaut_admin", password=PASSWORD, database="genonaut")
        )
        await provision_bus(nats.url())
        url = postgres.url(user=login("analytics"), password=PASSWORD, database="genonaut")
        database = Database(url, name="bench", search_path="analytics")
        bus = await Bus.connect(nats.url(), name="bench")
        envelopes = requests(events)
        await fill(bus, envelopes)
        seconds = await measure(bus, database, envelopes, batch)
        await bus.close()
        await database.close()
    finally:
        nats.stop()
        postgres.stop()
    table = Table("", "events/s", "share of the function's", title=f"{events:,} RequestServed, {batch} at a time")
    function = seconds["the batch function, from memory"]
    for name, took in seconds.items():
        table.add_row(name, f"{events / took:,.0f}", f"{function / took:.0%}")
    console.print(table)
    console.print(f"load average {os.getloadavg()[0]:.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=50_000)
    parser.add_argument("--batch", type=int, default=500)
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with tempfile.TemporaryDirectory(prefix="genonaut-bench-") as folder:
        Path(folder).chmod(0o711)
        uvloop.run(run(Path(folder), events=options.events, batch=options.batch))  # as services do


if __name__ == "__main__":
    main()
