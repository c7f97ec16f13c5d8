"""Load on an HTTP server, with as little client as possible, so that the server is what is measured."""

import asyncio
import itertools
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

IDLE_SECONDS = 3.0
"""After which a connection is not used again: servers close theirs after 5."""
CONNECTIONS = 8
"""When requests are sent as fast as possible."""
HEADERS = (
    "Host: api.test\r\nAccept: application/json\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept-Encoding: gzip, deflate, br\r\n\r\n"
)


@dataclass(frozen=True)
class Latencies:
    """In milliseconds."""

    p50: float
    p95: float
    p99: float

    @classmethod
    def of(cls, milliseconds: Sequence[float]) -> "Latencies":
        cuts = statistics.quantiles(milliseconds, n=100, method="inclusive")
        return cls(cuts[49], cuts[94], cuts[98])


class Connection:
    """One keep-alive connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int) -> "Connection":
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=1 << 20))

    async def get(self, path: str) -> bytes:
        """The body. Raises RuntimeError for any answer but 200."""
        self._writer.write(f"GET {path} HTTP/1.1\r\n{HEADERS}".encode())
        head = await self._reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.decode())
        return await self._reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))

    def close(self) -> None:
        self._writer.close()


async def at_rate(
    port: int, path: str, *, rate: float, seconds: float = float("inf"), until: asyncio.Event | None = None
) -> list[float]:
    """Latencies in ms of requests sent at fixed times, whatever became of the ones before, until either is over.

    Raises an ExceptionGroup as soon as one of them fails: percentiles of those that went well say nothing.
    """
    latencies: list[float] = []
    idle: list[tuple[Connection, float]] = []

    async def one(due: float) -> None:
        while idle and time.perf_counter() - idle[0][1] > IDLE_SECONDS:
            idle.pop(0)[0].close()
        connection = idle.pop()[0] if idle else await Connection.open(port)
        await connection.get(path)
        now = time.perf_counter()
        latencies.append((now - due) * 1000)
        idle.append((connection, now))

    begin = time.perf_counter() + 0.05
    number = 0
    async with asyncio.TaskGroup() as sent:
        while number < rate * seconds and not (until and until.is_set()):
            due = begin + number / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            sent.create_task(one(due))
            number += 1
    for connection, _ in idle:
        connection.close()
    return latencies


async def as_fast_as_possible(
    port: int | Sequence[int], path: str | Sequence[str], *, requests: int, connections: int = CONNECTIONS
) -> float:
    """Requests per second, of one path or of several, one after the other; several ports share the connections."""
    paths = itertools.cycle([path] if isinstance(path, str) else path)
    ports = itertools.cycle([port] if isinstance(port, int) else port)

    async def worker(share: int) -> None:
        connection = await Connection.open(next(ports))
        for _ in range(share):
            await connection.get(next(paths))
        connection.close()

    begin = time.perf_counter()
    await asyncio.gather(*(worker(requests // connections) for _ in range(connections)))
    return requests // connections * connections / (time.perf_counter() - begin)
