"""What the gateway costs: CPU for each forwarded request, added latency, and the fan-out to many live streams.

    python tests/benchmarks/bench_gateway.py [--rate 200] [--seconds 10] [--clients 1000]

A raw ASGI application stands for the services, so that the gateway's share is seen and nothing else. Everything runs
in one go on one machine: the application alone; through the least that forwards at all (uvicorn and an aiohttp
client, without ids, capture, limits, metrics or errors); and through the gateway, with capture to a real NATS server,
once with a log line for each request and once without. CPU is what the kernel charged the process, at its best and
usually: whatever else the machine does only adds to it.
"""

import argparse
import asyncio
import contextlib
import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import aiohttp
import psutil
import uvicorn
from rich.console import Console
from rich.table import Table

from genonaut.contracts import Envelope
from genonaut.contracts.generation import JobStarted
from genonaut.contracts.live import JobProgress, job_progress_subject
from genonaut.contracts.streams import STREAMS
from genonaut.platform.bus import Bus
from genonaut.platform.provisioning import provision_bus
from genonaut.stack.servers import Nats

PATH = "/api/v1/content?page=2&page_size=50&sort_field=created_at&user_id=6f1c3b7e-8a52-4a62-9d5e-0c1f8f3f0a11"
BODY = json.dumps({"items": [{"id": n, "title": f"An item named {n}"} for n in range(20)], "total": 20}).encode()
JOB = 17
MB = 1024 * 1024
ROUNDS = 10


async def application(scope: dict, receive: Callable, send: Callable) -> None:
    """Stands for every service."""
    if scope["type"] != "http":
        return
    if scope["path"].startswith("/internal/jobs/"):
        body = json.dumps({"job_id": JOB, "status": "running", "events": [json.loads(started().to_json())]}).encode()
    else:
        body = BODY
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"x-genonaut-route", b"/api/v1/content"),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def least(url: str) -> Callable:
    """The least that forwards."""
    sessions: list[aiohttp.ClientSession] = []

    async def forward(scope: dict, _receive: Callable, send: Callable) -> None:
        if scope["type"] != "http":
            return
        if not sessions:
            sessions.append(aiohttp.ClientSession(auto_decompress=False))
        target = f"{url}{scope['path']}?{scope['query_string'].decode()}"
        async with sessions[0].get(target) as response:
            body = await response.read()
            headers = [(name.lower(), value) for name, value in response.raw_headers if name.lower() != b"date"]
            await send({"type": "http.response.start", "status": response.status, "headers": headers})
            await send({"type": "http.response.body", "body": body})

    return forward


def started() -> Envelope:
    event = JobStarted(
        job_id=JOB, user_id=uuid4(), attempt=1, worker="gpu-1", comfyui_prompt_id=uuid4(), queue_wait_ms=12
    )
    return Envelope.of(
        event, id=uuid4(), source="bench", subject=str(JOB), time=datetime.now(UTC), sequence=1, correlationid="bench"
    )


@dataclass
class Measured:
    name: str
    cpu_us: float
    usual_cpu_us: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    rate: float


async def at_rate(port: int, *, rate: float, seconds: float) -> list[float]:
    """Latencies in ms of requests sent at fixed times, whatever became of the ones before."""
    latencies: list[float] = []
    idle: asyncio.Queue[Connection] = asyncio.Queue()
    for _ in range(32):
        idle.put_nowait(await Connection.open(port))

    async def one(due: float) -> None:
        connection = await idle.get()
        await connection.get(PATH)
        latencies.append((time.perf_counter() - due) * 1000)
        idle.put_nowait(connection)

    begin = time.perf_counter() + 0.05
    tasks = []
    for number in range(int(rate * seconds)):
        due = begin + number / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.create_task(one(due)))
    await asyncio.gather(*tasks)
    while not idle.empty():
        idle.get_nowait().close()
    return latencies


async def as_fast_as_possible(port: int, *, requests: int, connections: int) -> float:
    """Requests per second."""

    async def worker(share: int) -> None:
        connection = await Connection.open(port)
        for _ in range(share):
            await connection.get(PATH)
        connection.close()

    begin = time.perf_counter()
    await asyncio.gather(*(worker(requests // connections) for _ in range(connections)))
    return requests / (time.perf_counter() - begin)


class Connection:
    """One keep-alive connection, with as little client as possible."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int) -> "Connection":
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=1 << 20))

    async def get(self, path: str) -> None:
        self._writer.write(
            f"GET {path} HTTP/1.1\r\nHost: api.test\r\nAccept: application/json\r\n"
            "User-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept-Encoding: gzip, deflate, br\r\n\r\n".encode()
        )
        head = await self._reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.decode())
        await self._reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))

    def close(self) -> None:
        self._writer.close()


def cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


async def measure(name: str, port: int, process: psutil.Process, *, rate: float, seconds: float) -> Measured:
    await as_fast_as_possible(port, requests=2_000, connections=8)
    costs: list[float] = []
    rates: list[float] = []
    for _ in range(ROUNDS):
        before = cpu_seconds(process)
        rates.append(await as_fast_as_possible(port, requests=2_000, connections=8))
        costs.append((cpu_seconds(process) - before) / 2_000 * 1e6)
    cuts = statistics.quantiles(await at_rate(port, rate=rate, seconds=seconds), n=100)
    return Measured(name, min(costs), statistics.median(costs), cuts[49], cuts[94], cuts[98], max(rates))


async def fan_out(port: int, process: psutil.Process, bus: Bus, *, clients: int, messages: int) -> dict[str, float]:
    """Every client follows one job; progress is published, and the time until the last client has it is taken."""
    before = process.memory_info().rss
    streams = [await asyncio.open_connection("127.0.0.1", port) for _ in range(clients)]
    for _, writer in streams:
        writer.write(f"GET /api/v1/generation-jobs/{JOB}/events HTTP/1.1\r\nHost: api.test\r\n\r\n".encode())
    for reader, _ in streams:
        await reader.readuntil(b'"status":"started"')
    memory = process.memory_info().rss - before
    delays: list[float] = []
    cpu = cpu_seconds(process)
    for step in range(messages):
        begin = time.perf_counter()
        progress = JobProgress(job_id=JOB, attempt=1, timestamp=datetime.now(UTC), step=step, steps=messages)
        await bus.publish_live(job_progress_subject(JOB), progress.model_dump_json().encode())
        mark = f'"step":{step},'.encode()
        for reader, _ in streams:
            await reader.readuntil(mark)
        delays.append((time.perf_counter() - begin) * 1000)
    cpu = cpu_seconds(process) - cpu
    for _, writer in streams:
        writer.close()
    return {
        "clients": clients,
        "ms until the last client has a message (median)": statistics.median(delays),
        "ms (worst)": max(delays),
        "CPU µs per client and message": cpu / messages / clients * 1e6,
        "kB of memory per client": memory / clients / 1024,
    }


@contextlib.contextmanager
def running(command: list[str], environment: dict[str, str]) -> Iterator[psutil.Process]:
    process = subprocess.Popen(command, env=os.environ | environment, stdout=subprocess.DEVNULL)
    try:
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(20)


async def answering(port: int) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return


@contextlib.asynccontextmanager
async def nats_server() -> AsyncIterator[str]:
    with tempfile.TemporaryDirectory(prefix="genonaut-bench-") as folder:
        server = Nats(Path(folder), environment="test")
        server.start()
        try:
            yield server.url()
        finally:
            server.stop()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def bench(options: argparse.Namespace) -> None:
    ports = {name: free_port() for name in ("raw", "least", "gateway", "quiet")}
    url = f"http://127.0.0.1:{ports['raw']}"
    async with nats_server() as nats_url:
        await provision_bus(nats_url)
        environment = {
            "APP_ENV": "test",
            "API_HOST": "127.0.0.1",
            "API_SECRET_KEY": "a benchmark's secret key, long enough",
            "NATS_URL": nats_url,
            **{f"{service}_URL": url for service in ("CONTENT", "GENERATION", "ANALYTICS", "NOTIFICATIONS")},
        }
        serve = [sys.executable, "-m", "genonaut.gateway", "serve"]
        own = [sys.executable, __file__]
        with (
            running([*own, "--application", str(ports["raw"])], {}) as raw,
            running([*own, "--least", url, "--application", str(ports["least"])], {}) as bare,
            running(serve, environment | {"API_PORT": str(ports["gateway"])}) as gateway,
            running(serve, environment | {"API_PORT": str(ports["quiet"]), "LOG_LEVEL": "WARNING"}) as quiet,
        ):
            for port in ports.values():
                await answering(port)
            bus = await Bus.connect(nats_url, name="bench")
            await asyncio.sleep(1)
            idle = gateway.memory_info().rss / MB
            common = {"rate": options.rate, "seconds": options.seconds}
            rows = [
                await measure("raw ASGI application", ports["raw"], raw, **common),
                await measure("least forwarding", ports["least"], bare, **common),
                await measure("gateway", ports["gateway"], gateway, **common),
                await measure("gateway, LOG_LEVEL=WARNING", ports["quiet"], quiet, **common),
            ]
            await all_captured(bus, at_least=2 * (2_000 * (ROUNDS + 1) + int(options.rate * options.seconds)))
            live = await fan_out(ports["gateway"], gateway, bus, clients=options.clients, messages=50)
            peak = gateway.memory_info().rss / MB
            await bus.close()
    show(rows, live, options.rate)
    Console().print(f"Memory of the gateway: {idle:.0f} MB idle, {peak:.0f} MB at the end.")


async def all_captured(bus: Bus, *, at_least: int) -> None:
    """Waits until the bus has what the gateway captured. Raises when it does not come."""
    requests = next(stream for stream in STREAMS if stream.name == "REQUESTS")
    deadline = time.monotonic() + 10
    while (await bus.jetstream.stream_info(requests.name)).state.messages < at_least:
        if time.monotonic() > deadline:
            raise RuntimeError("captured requests are missing")
        await asyncio.sleep(0.1)


def show(rows: list[Measured], live: dict[str, float], rate: float) -> None:
    console = Console(width=130)
    table = Table(title=f"Forwarding (latencies at {rate:g} requests/s; added: to those of the raw application)")
    for column in (
        "",
        "CPU µs/request: best",
        "median",
        "p50 ms",
        "p95 ms",
        "p99 ms",
        "added p50",
        "added p95",
        "req/s at most",
    ):
        table.add_column(column, justify="right" if column else "left")
    raw = rows[0]
    for one in rows:
        added = ("", "") if one is raw else (f"{one.p50_ms - raw.p50_ms:.2f}", f"{one.p95_ms - raw.p95_ms:.2f}")
        latencies = (f"{ms:.2f}" for ms in (one.p50_ms, one.p95_ms, one.p99_ms))
        table.add_row(one.name, f"{one.cpu_us:.0f}", f"{one.usual_cpu_us:.0f}", *latencies, *added, f"{one.rate:.0f}")
    console.print(table)
    fan = Table(title="Fan-out of one job to many streams", show_header=False)
    for name, value in live.items():
        fan.add_row(name, f"{value:.1f}")
    console.print(fan)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--application", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--least", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.application:
        app = least(options.least) if options.least else application
        uvicorn.run(app, port=options.application, log_level="warning", access_log=False, loop="uvloop")
        return
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    asyncio.run(bench(options))


if __name__ == "__main__":
    main()
