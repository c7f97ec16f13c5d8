"""Where the CPU goes on the hot paths: the functions that take the most time themselves.

    python tests/benchmarks/bench_profile.py [--events 20000]

The paths run in this process on real servers, under cProfile, which makes small functions look dearer than they are:
it says where to look, the other benchmarks say what was won. The baseline is the same work without the profiler.
"""

import argparse
import cProfile
import pstats
import re
from collections.abc import Awaitable, Callable

import uvloop
from bench_analytics import Subjects
from bench_relay import IN_ONE_COMMIT, commit, relayed
from harness import cost, quiet_logs, servers, show, table
from requests_served import publish, requests

from genonaut.platform.events import EventStore

SHOWN = 8


async def profiled(name: str, count: int, work: Callable[[], Awaitable[None]], again: Callable[[], Awaitable[None]]):
    """Runs the work twice, `again` making it possible once more; a table of the second run."""
    await again()
    plain = await cost(work, {})
    await again()
    profile = cProfile.Profile()
    profile.enable()
    await work()
    profile.disable()
    stats = pstats.Stats(profile)
    rows = sorted(((row[2], row[0], function) for function, row in stats.stats.items()), reverse=True)
    total = sum(row[0] for row in rows)
    report = table(
        f"{name}: {plain.own / count * 1e6:.0f} µs of CPU each, unprofiled", "function", "share", "calls each"
    )
    for own, calls, (file, _, function) in rows[:SHOWN]:
        where = "/".join(file.split("/")[-2:]) if file != "~" else ""
        report.add_row(
            re.sub(r" at 0x\w+", "", f"{where} {function}".strip()), f"{own / total:.0%}", f"{calls / count:.2f}"
        )
    return report


async def bench(events: int) -> None:
    tables = []
    async with servers() as site, site.bus() as bus:
        async with site.database("analytics") as database:
            envelopes = list(requests(events))
            await publish(bus, envelopes)
            subjects = Subjects(bus, database, envelopes, 500)
            tables.append(await profiled("A request into analytics", events, subjects.whole, subjects.forget))
        async with site.database("content") as database:
            store = EventStore(database, source="genonaut/content")
            streams = iter(range(1000))
            tables.append(
                await profiled(
                    "An event through the relay",
                    events,
                    lambda: relayed(database, bus),
                    lambda: commit(database, store, events, str(next(streams))),
                )
            )
    show(*tables)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=20_000)
    quiet_logs()
    uvloop.run(bench(parser.parse_args().events // IN_ONE_COMMIT * IN_ONE_COMMIT))  # as services do


if __name__ == "__main__":
    main()
