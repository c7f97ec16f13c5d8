"""What forwarding costs: CPU of the gateway for each request, and added latency.

    python tests/benchmarks/bench_gateway.py [--rate 200] [--seconds 10]

A raw ASGI application stands for the services, so that the gateway's share is seen and nothing else: the application
alone; through the least that forwards at all (uvicorn and an aiohttp client, without ids, capture, limits, metrics or
errors); and through the gateway, with capture to a real NATS server, once with a log line for each request and once
without. They take turns, so that what else the machine does meets all alike. CPU is what the kernel charged the
process, at its best and usually.
"""

import argparse
import asyncio
import statistics
from collections.abc import Sequence

import aiohttp
from captured import captured
from harness import Group, Servers, require, servers, show, table
from load import Latencies, as_fast_as_possible, at_rate
from services_stand_in import gateway, standing_in

PATH = "/api/v1/content?page=2&page_size=50&sort_field=created_at&user_id=6f1c3b7e-8a52-4a62-9d5e-0c1f8f3f0a11"
ROUNDS = 12
REQUESTS = 2_000
TURNS = 5


async def measured(port: int, process: Group) -> tuple[float, float]:
    """Microseconds of CPU for each request, and requests per second."""
    before = process.cpu_seconds()
    rate = await as_fast_as_possible(port, PATH, requests=REQUESTS)
    return (process.cpu_seconds() - before) / REQUESTS * 1e6, rate


async def check(site: Servers, ports: Sequence[int], *, sent: int) -> int:
    """How many requests were dropped. Raises what says that these gateways did not do all of their work."""
    async with aiohttp.ClientSession() as session:
        for port in ports:
            async with session.get(f"http://127.0.0.1:{port}{PATH}") as answer:
                require("X-Request-ID" in answer.headers, "a request has no id")
    async with site.bus() as bus:
        stored, dropped = await captured(bus, ports, sent=sent + len(ports))
    require(stored + dropped == sent + len(ports), f"{stored:,} captured and {dropped:,} dropped of {sent:,}")
    return dropped


async def bench(rate: float, seconds: float) -> None:
    async with (
        servers() as site,
        standing_in() as (raw_port, raw),
        standing_in(f"http://127.0.0.1:{raw_port}") as (least_port, least),
        gateway(site, raw_port) as (gateway_port, logging),
        gateway(site, raw_port, LOG_LEVEL="WARNING") as (quiet_port, quiet),
    ):
        subjects = {
            "raw ASGI application": (raw_port, raw),
            "least forwarding": (least_port, least),
            "gateway": (gateway_port, logging),
            "gateway, LOG_LEVEL=WARNING": (quiet_port, quiet),
        }
        costs: dict[str, list[tuple[float, float]]] = {name: [] for name in subjects}
        for number in range(ROUNDS + 1):
            for name, subject in subjects.items():
                cost = await measured(*subject)
                if number:  # the first one warms up
                    costs[name].append(cost)
        took: dict[str, list[float]] = {name: [] for name in subjects}
        for _ in range(TURNS):
            for name, (port, _) in subjects.items():
                took[name] += await at_rate(port, PATH, rate=rate, seconds=seconds / TURNS)
        sent = 2 * ((ROUNDS + 1) * REQUESTS + len(took["gateway"]))
        dropped = await check(site, [gateway_port, quiet_port], sent=sent)
    report = table(
        f"Forwarding (latencies at {rate:g} requests/s; added: to those of the raw application)",
        *("", "CPU µs: best", "median", "p50 ms", "p95 ms", "p99 ms", "added p50", "added p95", "req/s at most"),
    )
    latencies = {name: Latencies.of(milliseconds) for name, milliseconds in took.items()}
    alone = latencies["raw ASGI application"]
    for name, rounds in costs.items():
        cpu = [each for each, _ in rounds]
        these = latencies[name]
        added = ["", ""] if these is alone else [f"{these.p50 - alone.p50:.2f}", f"{these.p95 - alone.p95:.2f}"]
        figures = [f"{ms:.2f}" for ms in (these.p50, these.p95, these.p99)]
        fastest = f"{max(rate for _, rate in rounds):,.0f}"
        report.add_row(name, f"{min(cpu):.0f}", f"{statistics.median(cpu):.0f}", *figures, *added, fastest)
    aim = "Aim: at most 250 µs of CPU for each request, and 5 ms of added p95 at 200 requests/s."
    show(report, note=f"Dropped by capture: {dropped}. {aim}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--seconds", type=float, default=10)
    options = parser.parse_args()
    asyncio.run(bench(options.rate, options.seconds))


if __name__ == "__main__":
    main()
