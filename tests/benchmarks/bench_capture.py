"""What stating every served request costs those who made it, and whether all of them arrive.

    python tests/benchmarks/bench_capture.py [--rate 1000] [--seconds 10]

The gateway captures what is below /api/ and forwards /webhooks/ just the same, which is the baseline of the same
process. Both get requests at the same rate, in turns. Afterwards every captured one has to be in the stream.
"""

import argparse
import asyncio

from captured import captured
from harness import servers, show, table
from load import Latencies, at_rate
from services_stand_in import gateway, standing_in

CAPTURED = "/api/v1/content?page=2&page_size=50&sort_field=created_at&user_id=6f1c3b7e-8a52-4a62-9d5e-0c1f8f3f0a11"
NOT_CAPTURED = CAPTURED.replace("/api/v1/content", "/webhooks/comfyui")
TURNS = 5


async def bench(rate: float, seconds: float) -> None:
    took: dict[str, list[float]] = {CAPTURED: [], NOT_CAPTURED: []}
    async with servers() as site, standing_in() as (services, _), gateway(site, services) as (port, process):
        cpu: dict[str, float] = dict.fromkeys(took, 0.0)
        for path in took:  # warm
            await at_rate(port, path, rate=rate, seconds=1)
        for _ in range(TURNS):
            for path in took:
                before = process.cpu_seconds()
                took[path] += await at_rate(port, path, rate=rate, seconds=seconds / TURNS)
                cpu[path] += process.cpu_seconds() - before
        sent = len(took[CAPTURED]) + round(rate)
        async with site.bus() as bus:
            stored, lost = await captured(bus, [port], sent=sent)
    report = table(f"Requests at {rate:g}/s through one gateway", "", "p50 ms", "p95 ms", "p99 ms", "CPU µs")
    with_it, without = Latencies.of(took[CAPTURED]), Latencies.of(took[NOT_CAPTURED])
    costs = {path: spent / len(took[path]) * 1e6 for path, spent in cpu.items()}
    for name, row, path in (("not captured", without, NOT_CAPTURED), ("captured", with_it, CAPTURED)):
        report.add_row(name, f"{row.p50:.2f}", f"{row.p95:.2f}", f"{row.p99:.2f}", f"{costs[path]:.0f}")
    added = (with_it.p50 - without.p50, with_it.p95 - without.p95, with_it.p99 - without.p99)
    report.add_row("added", *(f"{each:.2f}" for each in added), f"{costs[CAPTURED] - costs[NOT_CAPTURED]:.0f}")
    arrival = table("Captured requests", "served", "in the stream", "dropped")
    arrival.add_row(f"{sent:,}", f"{stored:,}", f"{lost:,}")
    show(report, arrival, note="Aim: less than 1 ms of added p99, and none dropped, at 1,000/s.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=1000)
    parser.add_argument("--seconds", type=float, default=10)
    options = parser.parse_args()
    asyncio.run(bench(options.rate, options.seconds))


if __name__ == "__main__":
    main()
