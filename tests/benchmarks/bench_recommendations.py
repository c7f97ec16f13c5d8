"""How good recommendations are, on people with tastes, and how fast they are made.

    python tests/benchmarks/bench_recommendations.py [--users 1000] [--items 3000] [--acts 30000]

The log comes from `genonaut.testkit.tastes`, which says what there is to find in it. Quality is what
`genonaut content evaluate-recommendations` says of it: against popularity and chance, in the same run. Then a running
service generates for users one after the other, and for users who have never done anything.
"""

import argparse
import time

import aiohttp
import uvloop
from harness import Servers, quiet_logs, ready, require, running, servers, show, table
from load import Latencies

from genonaut.content.recommenders.algorithms import BEST, POPULAR, called
from genonaut.content.recommenders.evaluation import Evaluation, evaluate
from genonaut.content.search.upkeep import fold_everything
from genonaut.content.service import service
from genonaut.platform.database import Database
from genonaut.platform.events import EventStore
from genonaut.stack.ports import free_port
from genonaut.testkit.platforms import FakeClock
from genonaut.testkit.tastes import Tastes, play, user_id

SPLIT, K, ASKED = 0.8, 20, 400
GENERATED, NEW = 200, 50
"""How often users are generated for, and how many who are new."""


async def measure(site: Servers, tastes: Tastes) -> tuple[dict[str, Latencies], float]:
    """How long generating takes through HTTP, with and without keeping it, and how many new users get any."""
    port = free_port()
    base = f"http://127.0.0.1:{port}/api/v1"
    with running(
        ["-m", "genonaut.content", "serve"],
        site.settings("content") | {"API_PORT": str(port)},
        log=site.folder / "content.log",
    ):
        await ready(f"http://127.0.0.1:{port}/health")
        async with aiohttp.ClientSession() as session:

            async def generate(user: str) -> tuple[float, float, int]:
                began = time.perf_counter()
                async with session.post(f"{base}/recommendations/generate", json={"user_id": user}) as response:
                    body = await response.json()
                    require(response.status == 201, f"{response.status}: {body}")
                return (time.perf_counter() - began) * 1000, body["computation_time_ms"], body["total"]

            async def register(number: int) -> str:
                body = {"username": f"new-{number}", "email": f"new-{number}@example.net"}
                async with session.post(f"{base}/users", json=body) as response:
                    return str((await response.json())["id"])

            wanted = [str(user_id(number * tastes.users // GENERATED)) for number in range(GENERATED)]
            for user in wanted[::10]:  # the first requests of a process are no measure of the others
                await generate(user)
            first = [await generate(user) for user in wanted]
            again = [await generate(user) for user in wanted]
            new = [await generate(await register(number)) for number in range(NEW)]
    took = {
        "first time": [milliseconds for milliseconds, _, _ in first],
        "again": [milliseconds for milliseconds, _, _ in again],
        "finding alone": [milliseconds for _, milliseconds, _ in (*first, *again)],
    }
    answered = sum(total > 0 for _, _, total in new) / NEW
    return {name: Latencies.of(milliseconds) for name, milliseconds in took.items()}, answered


def report(evaluation: Evaluation, latencies: dict[str, Latencies], answered: float) -> None:
    quality = table(
        f"{evaluation.users} users, {evaluation.items:,} items, k = {evaluation.k}, split at {SPLIT:.0%}",
        "", f"recall@{K}", "x popular", "hit rate", "coverage", "overlap", "answered",
    )  # fmt: skip
    recalls = {each.algorithm: each.recall for each in evaluation.results}
    for each in evaluation.results:
        quality.add_row(
            each.algorithm,
            f"{each.recall:.3f}",
            f"{each.recall / recalls[called(POPULAR)]:.2f}",
            f"{each.hit_rate:.0%}",
            f"{each.coverage:.0%}",
            f"{each.overlap:.3f}",
            f"{each.answered:.1%}",
        )
    speed = table("POST /recommendations/generate, 20 each", "", "p50 ms", "p95 ms", "p99 ms")
    for name, took in latencies.items():
        speed.add_row(name, f"{took.p50:.1f}", f"{took.p95:.1f}", f"{took.p99:.1f}")
    show(quality, speed, note=f"Of {NEW} users who had done nothing {answered:.0%} were recommended something.")


async def bench(tastes: Tastes) -> None:
    async with servers() as site:
        async with site.database("content") as database:
            clock = FakeClock()
            store = EventStore(database, source="genonaut/content", projections=service.projections, clock=clock)
            await play(store, clock, tastes)
            await fold_everything(database)
        owner = Database(site.database_url("genonaut_admin"), name="bench", search_path="content")
        raw = await owner.connect_raw()
        await raw.execute("VACUUM (ANALYZE)")
        await raw.close()
        evaluation = await evaluate(owner, [BEST, POPULAR], split=SPLIT, k=K, users=ASKED)
        await owner.close()
        report(evaluation, *await measure(site, tastes))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("users", "items", "acts", "seed"):
        parser.add_argument(f"--{name}", type=int, default=getattr(Tastes(), name))
    options = parser.parse_args()
    quiet_logs()
    uvloop.run(bench(Tastes(**vars(options))))


if __name__ == "__main__":
    main()
