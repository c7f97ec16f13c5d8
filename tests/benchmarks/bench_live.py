"""One job, watched by many: how soon its progress reaches every stream, and what that costs the gateway.

    python tests/benchmarks/bench_live.py [--clients 1000] [--messages 50]

Each client follows the same job over SSE. Latency is from publishing a message to its arrival at one client; the
baseline is the same with a single client. All clients live in this one process, whose own share is in the latency.
"""

import argparse
import asyncio
import time
from datetime import UTC, datetime

import uvloop
from harness import MB, Group, servers, show, table
from load import Latencies
from services_stand_in import JOB, gateway, standing_in

from genonaut.contracts.live import JobProgress, job_progress_subject
from genonaut.platform.bus import Bus
from genonaut.platform.serving import raise_file_limit

PAUSE_SECONDS = 0.2
"""Between two messages, as a driver leaves: every one of them is delivered before the next."""


class Stream(asyncio.Protocol):
    """One client. It looks for the number of a step in what comes, and notes when it came."""

    def __init__(self, arrivals: dict[int, list[float]]) -> None:
        self.opened = asyncio.get_running_loop().create_future()
        self._arrivals = arrivals

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        request = f"GET /api/v1/generation-jobs/{JOB}/events HTTP/1.1\r\nHost: api.test\r\n\r\n"
        transport.write(request.encode())  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        if not self.opened.done() and b'"status":"started"' in data:
            self.opened.set_result(None)
        _, found, rest = data.rpartition(b'"step":')
        if found:
            self._arrivals.setdefault(int(rest.partition(b",")[0]), []).append(now)


async def followed(
    port: int, process: Group, bus: Bus, *, clients: int, messages: int
) -> tuple[Latencies, float, float, float]:
    """Latencies, CPU µs for each client and message, memory of each client in kB, and messages that came."""
    loop = asyncio.get_running_loop()
    arrivals: dict[int, list[float]] = {}
    before = process.memory()
    streams = [Stream(arrivals) for _ in range(clients)]
    for stream in streams:
        await loop.create_connection(lambda stream=stream: stream, "127.0.0.1", port)
    async with asyncio.timeout(60):
        await asyncio.gather(*(stream.opened for stream in streams))
    memory = process.memory() - before
    sent: dict[int, float] = {}
    cpu = process.cpu_seconds()
    first = clients * 1000  # a new client is told the latest message of the one before
    for step in range(first, first + messages):
        progress = JobProgress(job_id=JOB, attempt=1, timestamp=datetime.now(UTC), step=step, steps=first + messages)
        sent[step] = time.perf_counter()
        await bus.publish_live(job_progress_subject(JOB), progress.model_dump_json().encode())
        async with asyncio.timeout(10):
            while len(arrivals.get(step, ())) < clients:  # noqa: ASYNC110 - what is measured is not to wake anybody
                await asyncio.sleep(0.01)
        await asyncio.sleep(PAUSE_SECONDS)
    cpu = process.cpu_seconds() - cpu
    for stream in streams:
        stream.transport.close()
    delays = [(arrival - sent[step]) * 1000 for step, times in arrivals.items() for arrival in times if step in sent]
    return Latencies.of(delays), cpu / messages / clients * 1e6, memory / clients / 1024, len(delays)


async def bench(clients: int, messages: int) -> None:
    rows = {}
    async with servers() as site, standing_in() as (services, _), gateway(site, services) as (port, process):
        async with site.bus() as bus:
            for name, count in (("1 client", 1), (f"{clients:,} clients", clients)):
                rows[name] = await followed(port, process, bus, clients=count, messages=messages)
        peak = process.memory() / MB
    report = table(
        f"{messages} messages of one job over SSE",
        *("", "p50 ms", "p99 ms", "CPU µs for each client and message", "kB for each client", "delivered"),
    )
    for name, (took, cpu, memory, delivered) in rows.items():
        share = f"{memory:.0f}" if name != "1 client" else ""
        report.add_row(name, f"{took.p50:.1f}", f"{took.p99:.1f}", f"{cpu:.0f}", share, f"{delivered:,}")
    show(report, note=f"Memory of the gateway at the end: {peak:.0f} MB.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--messages", type=int, default=50)
    options = parser.parse_args()
    raise_file_limit()
    uvloop.run(bench(options.clients, options.messages))


if __name__ == "__main__":
    main()
