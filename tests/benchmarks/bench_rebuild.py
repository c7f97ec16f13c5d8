"""How long analytics takes to take in and to rebuild a day of a million requests, and what its readers notice of it.

    python tests/benchmarks/bench_rebuild.py [--events 1000000]

The events are in the stream before the service starts; it takes them all in, which is how fast the running process is.
Then the projection is rebuilt by the operator's command while the service goes on. Its readers ask for a day of trends
at a fixed rate, before (the baseline) and meanwhile.
"""

import argparse
import asyncio
import os
import sys
import time
from asyncio.subprocess import PIPE
from pathlib import Path

import orjson
import uvloop
from harness import Cpu, Servers, quiet_logs, ready, require, running, servers, show, table, until
from load import Latencies, at_rate
from requests_served import publish, requests

from genonaut.contracts.streams import ANALYTICS_REQUESTS
from genonaut.stack.ports import free_port

PATH = "/api/v1/analytics/routes/performance-trends?route=/api/v1/content&days=2"
RATE = 2.0
BEFORE_SECONDS = 30.0


async def rebuild(site: Servers) -> dict:
    """The report of the command. Raises RuntimeError when it refuses, or finds a difference."""
    environment = site.settings("analytics") | {"DATABASE_ADMIN_URL": site.database_url("genonaut_admin")}
    process = await asyncio.create_subprocess_exec(
        *(Path(sys.executable).with_name("genonaut"), "replay", "rebuild", "analytics.routes", "--json"),
        env=os.environ | environment,
        stdout=PIPE,
        stderr=PIPE,
    )
    said, trouble = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"the rebuild ended with {process.returncode}: {said.decode()}{trouble.decode()}")
    (report,) = orjson.loads(said)
    return report


async def bench(events: int) -> None:
    async with servers() as site, site.bus() as bus:
        await publish(bus, requests(events))
        port = free_port()
        settings = site.settings("analytics") | {"API_PORT": str(port)}
        command = ["-m", "genonaut.analytics", "serve"]
        with running(command, settings, log=site.folder / "analytics.log") as service:
            await ready(f"http://127.0.0.1:{port}/health")
            cpu = Cpu({"analytics": service, **site.processes()})
            began = time.perf_counter()
            await until(lambda: bus.is_caught_up(ANALYTICS_REQUESTS), within=400, what="all to be taken in", every=0.2)
            taking_in, taken_in_cpu = time.perf_counter() - began, cpu.spent()
            before = Latencies.of(await at_rate(port, PATH, rate=RATE, seconds=BEFORE_SECONDS))
            done = asyncio.Event()
            reading = asyncio.create_task(at_rate(port, PATH, rate=RATE, until=done))
            cpu, began = Cpu(site.processes()), time.perf_counter()
            try:
                report = await rebuild(site)
            finally:
                rebuilding, rebuilt_cpu = time.perf_counter() - began, cpu.spent()
                done.set()
            meanwhile = Latencies.of(await reading)
            raw = report["tables"][0]
            rebuilt = (report["events"], raw["live_rows"], raw["rebuilt_rows"])
            require(rebuilt == (events,) * 3, f"of {events:,} events the report says {rebuilt}")
    rates = table(f"{events:,} RequestServed", "", "seconds", "events/s", "CPU µs: service", "postgres", "nats")
    for name, seconds, spent in (
        ("taken in by the service", taking_in, taken_in_cpu),
        ("rebuilt and compared beside it", rebuilding, {"analytics": None, **rebuilt_cpu}),
    ):
        costs = ["" if each is None else f"{each / events * 1e6:.0f}" for each in spent.values()]
        rates.add_row(name, f"{seconds:.1f}", f"{events / seconds:,.0f}", *costs)
    reads = table(f"Readers of the live service at {RATE:g}/s", "", "p50 ms", "p95 ms", "p99 ms")
    for name, took in (("before", before), ("during the rebuild", meanwhile)):
        reads.add_row(name, f"{took.p50:.1f}", f"{took.p95:.1f}", f"{took.p99:.1f}")
    reads.add_row("ratio", *(f"{getattr(meanwhile, p) / getattr(before, p):.2f}" for p in ("p50", "p95", "p99")))
    show(
        rates,
        reads,
        note="All tables equal, hour by hour. Aim: 60 s, and p95 at most 1.25 times.",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    quiet_logs()
    uvloop.run(bench(parser.parse_args().events))


if __name__ == "__main__":
    main()
