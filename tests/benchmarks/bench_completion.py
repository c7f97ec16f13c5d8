"""How long a completion of what somebody types takes, with many tags, in one process.

    python tests/benchmarks/bench_completion.py [--tags 15000] [--typed 1500]

Tags have names of one to three words, a fifth of them an alias, and are as popular as words are: few have most items.
What is typed is the beginning of a word, of one letter and more, a fifth of it mistyped. It is asked for one after the
other, over HTTP of a content process; then each time right after a new tag, which the answer has to have. The baseline
is what SQL alone gives: LIKE over slugs, names and aliases, by popularity, on a connection of this process without any
HTTP, and without what is mistyped, which it does not find.
"""

import argparse
import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import quote

import aiohttp
import asyncpg
import orjson
from harness import Cpu, Servers, quiet_logs, ready, require, running, servers, show, table
from load import Connection, Latencies
from sqlalchemy import text

from genonaut.content.tags.domain import id_of, name_of
from genonaut.platform.database import Database
from genonaut.platform.migrations import statements
from genonaut.stack.ports import free_port

SYLLABLES = (
    "an",
    "ba",
    "ca",
    "del",
    "do",
    "el",
    "fi",
    "gor",
    "hu",
    "is",
    "ka",
    "lo",
    "mi",
    "nor",
    "on",
    "pa",
    "qui",
    "ra",
    "sta",
)
LETTERS = "abcdefghijklmnopqrstuvwxyz"
WRONG = 0.2
LIMIT = 10

LIKE = text("""
SELECT t.id, t.slug, t.name, coalesce(sum(s.cardinality), 0) AS cardinality
FROM tags t LEFT JOIN tag_cardinality_stats s ON s.tag_id = t.id
WHERE NOT t.is_private AND (
    t.slug LIKE :typed OR lower(t.name) LIKE :typed
    OR EXISTS (SELECT FROM tag_aliases a WHERE a.tag_id = t.id AND a.alias LIKE :typed)
)
GROUP BY t.id ORDER BY cardinality DESC, t.name LIMIT :limit
""")


def invented(count: int, choose: random.Random) -> list[str]:
    """So many different slugs, the same in every run."""
    slugs: dict[str, None] = {}
    while len(slugs) < count:
        words = ["".join(choose.choices(SYLLABLES, k=choose.randint(1, 4))) for _ in range(choose.randint(1, 3))]
        slugs["-".join(words)] = None
    return list(slugs)


def mistyped(word: str, choose: random.Random) -> str:
    place = choose.randrange(len(word))
    return word[:place] + choose.choice(LETTERS) + word[place + 1 :]


FILLED = """
INSERT INTO tags SELECT *, false, now(), now()
FROM unnest(CAST(:ids AS uuid[]), CAST(:slugs AS text[]), CAST(:names AS text[]));
INSERT INTO tag_aliases SELECT *
FROM unnest(CAST(:alias_ids AS uuid[]), CAST(:aliases AS text[]), CAST(:aliased AS uuid[]));
INSERT INTO tag_cardinality_stats SELECT id, source, 1000000 / place, now()
FROM unnest(CAST(:ids AS uuid[])) WITH ORDINALITY AS tag (id, place), unnest(ARRAY['items', 'auto']) AS source;
INSERT INTO tag_word_revisions SELECT get_byte(uuid_send(id), 0) >> 2, count(*) FROM tags GROUP BY 1;
"""
"""As the projections would, but at once."""


async def fill(site: Servers, database: Database, slugs: Sequence[str]) -> None:
    aliases = [f"{slug}-too" for slug in slugs[::5]]
    columns = {
        "ids": [id_of(slug) for slug in slugs],
        "slugs": list(slugs),
        "names": [name_of(slug) for slug in slugs],
        "alias_ids": [id_of(alias) for alias in aliases],
        "aliases": aliases,
        "aliased": [id_of(slug) for slug in slugs[::5]],
    }
    async with database.transaction() as connection:
        for statement in statements(FILLED):
            await connection.execute(text(statement), columns)
    superuser = await asyncpg.connect(site.postgres.url(database="genonaut"))
    await superuser.execute("ANALYZE")
    await superuser.close()


async def by_like(database: Database, typed: Sequence[str]) -> list[float]:
    took = []
    for word in typed:
        begun = time.perf_counter()
        async with database.reading() as connection:
            (await connection.execute(LIKE, {"typed": f"{word}%", "limit": LIMIT})).all()
        took.append((time.perf_counter() - begun) * 1000)
    return took


async def by_completion(port: int, typed: Sequence[str]) -> list[float]:
    """Milliseconds of each."""
    connection, took = await Connection.open(port), []
    for word in typed:
        begun = time.perf_counter()
        await connection.get(f"/api/v1/tags/autocomplete?limit={LIMIT}&q={quote(word)}")
        took.append((time.perf_counter() - begun) * 1000)
    connection.close()
    return took


async def by_completion_of_new_tags(port: int, count: int) -> list[float]:
    """Milliseconds of each completion, after a tag was made that it has to have."""
    connection, took = await Connection.open(port), []
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        for number in range(count):
            async with session.post("/api/v1/tags", json={"slug": f"newest-{number}"}) as answer:
                require(answer.status == 201, f"a new tag got {answer.status}")
            begun = time.perf_counter()
            body = await connection.get(f"/api/v1/tags/autocomplete?q=newest-{number}")
            took.append((time.perf_counter() - begun) * 1000)
            require(orjson.loads(body)[0]["slug"] == f"newest-{number}", "a new tag is not there")
    connection.close()
    return took


async def bench(tags: int, count: int) -> None:
    choose = random.Random(1)
    slugs = invented(tags, choose)
    words = [choose.choice(slugs).replace("-", " ") for _ in range(count)]
    typed = [word[: choose.randint(1, 10)].strip() for word in words]
    wrong = [mistyped(word, choose) if choose.random() < WRONG else word for word in typed]
    report = table(f"Completion among {tags:,} tags", "", "p50 ms", "p95 ms", "p99 ms", "CPU ms: service", "Postgres")
    async with servers() as site, site.database("content") as database:
        await fill(site, database, slugs)
        port = free_port()
        environment = site.settings("content") | {"API_PORT": str(port), "LOG_LEVEL": "WARNING"}
        with running(["-m", "genonaut.content", "serve"], environment) as service:
            await ready(f"http://127.0.0.1:{port}/ready")
            groups = {"service": service, "postgres": site.processes()["postgres"]}
            (first,) = await by_completion(port, ["a"])
            subjects: dict[str, Callable[[], Awaitable[list[float]]]] = {
                "SQL LIKE, without HTTP": lambda: by_like(database, typed),
                "completion over HTTP": lambda: by_completion(port, wrong),
                "the same right after a new tag": lambda: by_completion_of_new_tags(port, count // 10),
            }
            for name, work in subjects.items():
                cpu = Cpu(groups)
                took = await work()
                each = [f"{seconds / len(took) * 1000:.1f}" for seconds in cpu.spent().values()]
                latencies = Latencies.of(took)
                figures = [f"{ms:.1f}" for ms in (latencies.p50, latencies.p95, latencies.p99)]
                report.add_row(name, *figures, *each)
    note = f"The first completion of a process, which reads all words: {first:.0f} ms. Aim: p95 under 10 ms."
    show(report, note=f"{note} The CPU of the last row is with the making of the tag.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tags", type=int, default=15_000)
    parser.add_argument("--typed", type=int, default=1_500)
    options = parser.parse_args()
    quiet_logs()
    asyncio.run(bench(options.tags, options.typed))


if __name__ == "__main__":
    main()
