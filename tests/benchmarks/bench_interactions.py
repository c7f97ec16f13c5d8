"""How fast interactions are recorded, one by one and a thousand at once, and how fast what they add up to is read.

    python tests/benchmarks/bench_interactions.py [--interactions 20000] [--recorded 2000]

The tables are filled first, through the projection itself. Then the same drafts are recorded with all counters and, as
the baseline, with the rows alone; and the endpoints of a running service are asked, of what there is most of. Last,
the item with the most interactions becomes private, which moves them all.
"""

import argparse
import asyncio
import random
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import uvloop
from harness import Servers, quiet_logs, ready, require, running, servers, show, table
from load import Latencies, at_rate
from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.interactions import commands, queries
from genonaut.content.interactions.counting import EVERYONE, TYPES
from genonaut.content.interactions.domain import INTERACTION, Draft, Facts, Record
from genonaut.content.interactions.projection import interactions_projection
from genonaut.content.interactions.tables import interactions, totals
from genonaut.content.items.projection import items_projection
from genonaut.content.users.projection import users_projection
from genonaut.contracts import Envelope, Event
from genonaut.contracts.content import InteractionRecorded, ItemCreated, ItemMadePrivate, UserRegistered
from genonaut.platform.database import Database
from genonaut.platform.events import EventStore
from genonaut.platform.projections import Projection, Recorded
from genonaut.stack.ports import free_port

PEOPLE, ITEMS = 2_000, 10_000
BATCH = 1_000
AT_ONCE = 8
"""Who record one by one."""
RATE, SECONDS = 40.0, 6.0
"""Of the readers of each endpoint."""
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)

rows_alone = Projection("rows", interactions, reads=(InteractionRecorded,))


@rows_alone.in_batches
async def _rows(connection: AsyncConnection, recorded: Sequence[Recorded]) -> None:
    names = ("user_id", "content_item_id", "interaction_type", "rating", "duration", "metadata")
    rows = [
        {
            "id": each.event.interaction_id,
            **{name: getattr(each.event, name) for name in names},
            "audience": EVERYONE,
            "created_at": each.envelope.time,
            "updated_at": each.envelope.time,
        }
        for each in recorded
        if isinstance(each.event, InteractionRecorded)
    ]
    await connection.execute(insert(interactions), rows)


def user(number: int) -> UUID:
    return UUID(int=(number << 64) + number + 1)


def drafts(count: int, *, seed: int) -> Iterator[Draft]:
    """A few users and items have most of it, as everywhere."""
    choose = random.Random(seed)
    for _ in range(count):
        kind = choose.choices(TYPES, weights=(60, 15, 5, 5, 5, 5, 5))[0]
        facts = Facts(
            kind, choose.randint(1, 5) if kind == "rate" else None, choose.randint(0, 300) if kind == "view" else None
        )
        yield Draft(user(int(PEOPLE * choose.random() ** 2)), 1 + int(ITEMS * choose.random() ** 3), facts)


def stated(event: Event, time: datetime) -> Recorded:
    return Recorded.of(
        Envelope.of(
            event,
            id=UUID(int=random.getrandbits(128)),
            source="genonaut/content",
            subject="bench",
            time=time,
            sequence=1,
            correlationid="bench",
            causationid=None,
        )
    )


async def fill(site: Servers, database: Database, count: int) -> float:
    """Seconds for the interactions, in batches as a rebuild has them."""
    people = [
        stated(UserRegistered(user_id=user(n), number=n + 1, username=f"user-{n}", email=f"{n}@example.org"), BEGIN)
        for n in range(PEOPLE)
    ]
    made = [
        stated(
            ItemCreated(item_id=n + 1, title=f"{n}", content_type="image", prompt="p", creator_id=user(n % 100)), BEGIN
        )
        for n in range(ITEMS)
    ]
    async with database.transaction() as connection:
        await users_projection.apply(connection, people)
        await items_projection.apply(connection, made)
        await interactions_projection.apply(connection, made)
    began = time.perf_counter()
    wanted = drafts(count, seed=1)
    for start in range(0, count, BATCH):
        async with database.transaction() as connection:
            ids = await queries.next_ids(connection, min(BATCH, count - start))
            batch = [
                stated(recorded, BEGIN + timedelta(days=200) * number / count)
                for number in ids
                for recorded in INTERACTION.decide(Record(number, next(wanted)), None)
            ]
            await interactions_projection.apply(connection, batch)
    seconds = time.perf_counter() - began
    owner = Database(site.database_url("genonaut_admin"), name="bench", search_path="content")
    raw = await owner.connect_raw()
    await raw.execute("VACUUM (ANALYZE)")
    await raw.close()
    return seconds


async def one_by_one(store: EventStore, wanted: Sequence[Draft]) -> float:
    """Interactions a second, with several who record."""
    left = iter(wanted)

    async def work() -> None:
        for draft in left:
            await store.database.transact(lambda connection, draft=draft: commands.record(store, connection, [draft]))

    began = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    return len(wanted) / (time.perf_counter() - began)


async def in_bulk(store: EventStore, wanted: Sequence[Draft]) -> float:
    began = time.perf_counter()
    for start in range(0, len(wanted), BATCH):
        bulk = wanted[start : start + BATCH]
        await store.database.transact(lambda connection, bulk=bulk: commands.record(store, connection, bulk))
    return len(wanted) / (time.perf_counter() - began)


async def made_private(store: EventStore) -> tuple[int, float]:
    """How many interactions the most wanted item has, and the seconds it takes to hide them."""
    async with store.database.reading() as connection:
        many = func.count().label("many")
        busiest = select(interactions.c.content_item_id, many).group_by(interactions.c.content_item_id)
        item_id, count = (await connection.execute(busiest.order_by(many.desc()).limit(1))).one()
    began = time.perf_counter()
    async with store.database.transaction() as connection:
        await store.append(connection, "item", str(item_id), 0, [ItemMadePrivate(item_id=item_id)])
    return count, time.perf_counter() - began


async def read(site: Servers) -> dict[str, Latencies]:
    port = free_port()
    base = "/api/v1/interactions"
    paths = {
        "analytics/user-behavior, the busiest user": f"{base}/analytics/user-behavior/{user(0)}",
        "analytics/content, the busiest item": f"{base}/analytics/content/1",
        "analytics/global": f"{base}/analytics/global",
        "recent, for a viewer": f"{base}/recent?user_id={user(1)}",
        "top-rated": f"{base}/top-rated",
        "by-type by rating": f"{base}/by-type/view?sort_field=rating",
        "by-content by duration": f"{base}/by-content/1?sort_field=duration",
        "users/{id}/interactions": f"/api/v1/users/{user(0)}/interactions",
    }
    with running(
        ["-m", "genonaut.content", "serve"],
        site.settings("content") | {"API_PORT": str(port)},
        log=site.folder / "content.log",
    ):
        await ready(f"http://127.0.0.1:{port}/health")
        for path in paths.values():
            await at_rate(port, path, rate=RATE, seconds=0.5)
        return {
            name: Latencies.of(await at_rate(port, path, rate=RATE, seconds=SECONDS)) for name, path in paths.items()
        }


async def bench(filled: int, recorded: int) -> None:
    async with servers() as site, site.database("content") as database:
        seconds = await fill(site, database, filled)
        counted = EventStore(database, source="genonaut/content", projections=[interactions_projection])
        plain = EventStore(database, source="genonaut/content", projections=[rows_alone])
        rates = {}
        for seed, (name, work) in enumerate((("one by one", one_by_one), ("a thousand at once", in_bulk)), start=2):
            wanted = list(drafts(recorded, seed=seed))
            rates[name] = await work(plain, wanted), await work(counted, wanted)
        async with database.reading() as connection:
            rows = await connection.scalar(select(func.count()).select_from(interactions))
            of_types = select(func.sum(totals.c.total)).where(totals.c.facet == "type")
            summed = await connection.scalar(of_types)
        require(rows == filled + 4 * recorded, f"{rows} rows")
        require(summed == filled + 2 * recorded, f"{summed} are counted")
        latencies = await read(site)
        moved, hiding = await made_private(counted)
    report = table(f"Recording, {filled:,} interactions there", "", "rows alone /s", "with counters /s", "share")
    for name, (alone, all_of_it) in rates.items():
        report.add_row(name, f"{alone:,.0f}", f"{all_of_it:,.0f}", f"{all_of_it / alone:.0%}")
    reads = table(f"Reading at {RATE:g}/s", "", "p50 ms", "p95 ms", "p99 ms")
    for name, took in latencies.items():
        reads.add_row(name, f"{took.p50:.1f}", f"{took.p95:.1f}", f"{took.p99:.1f}")
    show(
        report,
        reads,
        note=f"Filled through the projection at {filled / seconds:,.0f}/s. An item with {moved:,} interactions became "
        f"private in {hiding * 1000:,.0f} ms. One by one is {AT_ONCE} at the same time.",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--interactions", type=int, default=20_000)
    parser.add_argument("--recorded", type=int, default=2_000)
    options = parser.parse_args()
    quiet_logs()
    uvloop.run(bench(options.interactions, options.recorded))


if __name__ == "__main__":
    main()
