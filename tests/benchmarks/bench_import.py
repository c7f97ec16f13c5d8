"""How fast `genonaut content import` takes in a file of items with 75 tags, and whether all of it can be rebuilt.

    python tests/benchmarks/bench_import.py [--items 5000]

The operator's command runs as a process of its own beside Postgres; nothing else runs. Beside it, two baselines: the
same kind of items created one by one, as a request does it, and the limit, which is plain COPY of the rows that the
import has left, into the same tables with their indexes and triggers. Before that, every projection is rebuilt from the
log and compared.
"""

import argparse
import asyncio
import os
import resource
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import uvloop
from harness import Cpu, Servers, quiet_logs, require, servers, show, table
from rich.table import Table
from tagged_gallery import CREATORS, Gallery, creator_id, made_at, prompt, slug, title

from genonaut.content.items import commands
from genonaut.content.items.domain import MAX_TAGS, Draft
from genonaut.content.service import service
from genonaut.content.tags.domain import TagReference
from genonaut.content.users.domain import USER, Register
from genonaut.platform.database import Database
from genonaut.platform.events import Addition, EventStore
from genonaut.platform.replay import Rebuild

ONE_BY_ONE = 100
COPIED = (
    *("events", "outbox", "content_items_all", "search_rows", "interaction_items", "item_popularity"),
    *("recommendation_items", "search_positions", "search_segments"),
)
"""What an item ends up in. `search_tail` is filled by the trigger of `search_rows`, and emptied by folding."""


def lines(gallery: Gallery) -> Iterator[dict[str, Any]]:
    for chunk in gallery.chunks():
        tags, ends, start = chunk.tags.tolist(), chunk.ends.tolist(), 0
        facts = (chunk.is_auto, chunk.is_private, chunk.creators, chunk.qualities, chunk.words)
        columns = (column.tolist() for column in facts)
        for item_id, end, is_auto, is_private, creator, quality, words in zip(chunk.ids, ends, *columns, strict=True):
            yield {
                "title": title(words),
                "prompt": prompt(words),
                "creator": f"creator-{creator}",
                "source": "auto" if is_auto else "regular",
                "content_type": "image",
                "tags": [slug(tag) for tag in tags[start:end][:MAX_TAGS]],
                "quality_score": quality,
                "is_private": is_private,
                "created_at": made_at(item_id).isoformat(),
                "item_metadata": {"sampler": "euler", "steps": 28, "cfg": 5.5, "width": 832, "height": 1216},
            }
            start = end


@dataclass
class Costs:
    """Rows of a table: how fast, and what it takes of CPU and of the log of Postgres."""

    connection: asyncpg.Connection
    site: Servers
    report: Table = field(
        default_factory=lambda: table(
            "Items with 75 tags", "", "items", "seconds", "items/s", "CPU µs: import", "postgres", "kB of WAL"
        )
    )
    per_second: dict[str, float] = field(default_factory=dict)

    async def of(self, name: str, work: Callable[[], Awaitable[None]], items: int, own: Callable[[], float]) -> None:
        """`own` gives the CPU seconds so far of what does the work."""
        postgres, began, before = Cpu({"": self.site.processes()["postgres"]}), time.perf_counter(), own()
        wal = await self._wal()
        await work()
        seconds, spent, others = time.perf_counter() - began, own() - before, postgres.spent()[""]
        written = await self._wal() - wal
        each = (spent * 1e6, others * 1e6, written / 1024)
        self.per_second[name] = items / seconds
        self.report.add_row(
            name, f"{items:,}", f"{seconds:.1f}", f"{items / seconds:,.0f}", *(f"{one / items:,.1f}" for one in each)
        )

    async def _wal(self) -> int:
        return int(await self.connection.fetchval("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn"))


def children() -> float:
    """CPU seconds of the processes that were started here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


async def register(store: EventStore) -> None:
    async with store.database.transaction() as connection:
        additions = []
        for number in range(1, CREATORS + 1):
            name = f"creator-{number}"
            register = Register(creator_id(number), number, name, f"{name}@example.org")
            additions.append(Addition(str(register.user_id), 0, USER.decide(register, USER.initial)))
        await store.append_all(connection, USER.name, additions)


async def one_by_one(store: EventStore, items: list[dict[str, Any]]) -> None:
    for item in items:
        draft = Draft(
            creator_id=creator_id(int(item["creator"].removeprefix("creator-"))),
            title=item["title"],
            prompt=item["prompt"],
            content_type="image",
            source_type="auto" if item["source"] == "auto" else "items",
            item_metadata=item["item_metadata"],
            quality_score=item["quality_score"],
            is_private=item["is_private"],
        )
        tags = [TagReference.of(word) for word in item["tags"]]
        await store.database.transact(lambda each, draft=draft, tags=tags: commands.create(store, each, draft, tags))


async def taken_in(site: Servers, file: Path) -> None:
    """By the command. Raises RuntimeError when it does not say that every line is an item."""
    process = await asyncio.create_subprocess_exec(
        *(Path(sys.executable).with_name("genonaut"), "content", "import", file),
        env=os.environ | site.settings("content"),
        stdout=PIPE,
        stderr=PIPE,
    )
    said, trouble = await process.communicate()
    require(process.returncode == 0, f"the import ended with {process.returncode}: {said.decode()}{trouble.decode()}")


async def rebuilt(site: Servers) -> Table:
    """Raises RuntimeError when a projection is not what the log says."""
    report = table("Rebuilt from the log, and compared with the live tables", "", "events", "rows", "seconds", "")
    owner = Database(site.database_url("genonaut_admin"), name="bench", search_path="content")
    try:
        for projection in service.projections:
            if projection.source is not None:
                continue
            began = time.perf_counter()
            rebuild = Rebuild(projection, service="content", database=owner, bus=None)
            said = await rebuild.run(swap=False, progress=lambda *_: None)
            require(said.equal and not said.failed, f"{projection.name} rebuilt is not the live one: {said}")
            rows = sum(each.live_rows for each in said.tables)
            seconds = f"{time.perf_counter() - began:.1f}"
            report.add_row(projection.name, f"{said.events:,}", f"{rows:,}", seconds, "equal")
    finally:
        await owner.close()
    return report


async def copied(costs: Costs, folder: Path, items: int) -> None:
    """Every row again, by COPY alone, table by table."""
    connection = costs.connection
    for name in COPIED:  # a partitioned table can be copied from by a query only
        await connection.copy_from_query(f"SELECT * FROM {name}", output=folder / name, format="binary")
    await connection.execute(f"TRUNCATE {', '.join(COPIED)}, search_tail")
    await connection.execute("CHECKPOINT")

    async def everything() -> None:
        for name in COPIED:
            await connection.copy_to_table(name, source=folder / name, format="binary")

    await costs.of("plain COPY of the same rows", everything, items, own=time.process_time)


async def bench(items: int) -> None:
    gallery = Gallery(items)
    async with servers() as site, site.database("content") as database:
        connection = await asyncpg.connect(
            site.postgres.url(database="genonaut"), server_settings={"search_path": "content", "jit": "off"}
        )
        costs = Costs(connection, site)
        store = EventStore(database, source=service.source, projections=service.projections)
        await register(store)
        file, folder = site.folder / "items.ndjson", site.folder / "copies"
        folder.mkdir()
        with file.open("wb") as out:
            out.writelines(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in lines(gallery))
        await costs.of("import", lambda: taken_in(site, file), items, own=children)
        found = await connection.fetchval("SELECT count(*) FROM content_items_all")
        left = await connection.fetchval("SELECT count(*) FROM search_tail")
        require((found, left) == (items, 0), f"there are {found:,} items, {left:,} of them not folded")
        few = list(islice(lines(gallery), ONE_BY_ONE))
        await costs.of("one by one", lambda: one_by_one(store, few), len(few), own=time.process_time)
        rebuilds = await rebuilt(site)
        await copied(costs, folder, items)
        await connection.close()
    show(costs.report, rebuilds, note="Aim: 5,000 items/s.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=5_000)
    quiet_logs()
    uvloop.run(bench(parser.parse_args().items))


if __name__ == "__main__":
    main()
