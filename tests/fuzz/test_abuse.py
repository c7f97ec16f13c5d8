"""While somebody abuses the gateway's sockets, everybody else is served, and nothing of it stays behind.

Raw bytes against the real process. Each kind goes on for some seconds beside ordinary requests, whose 95th percentile
is printed with the memory and the sockets of the gateway.
"""

import asyncio
import base64
import os
import re
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import httpx
import psutil
import pytest

from genonaut.testkit.waiting import eventually

CONNECTIONS = 1200
"""As in conftest."""
MiB = 1024 * 1024
SECONDS = float(os.environ.get("FUZZ_SECONDS", "1"))
"""How long each kind of abuse goes on."""
SERVED_WITHIN_MS = 1000
"""The 95th percentile that is still called served, on a machine that runs the abusers, too."""
USUAL_TIMES = 25
"""The same, on a machine that is slow already."""
GROWTH = 48 * MiB
"""What all of it may leave behind in the gateway: allocators keep what they once had."""
GET = b"GET /api/v1/content?page_size=1 HTTP/1.1\r\nHost: x\r\n"
POST = b"POST /api/v1/users HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")

pytestmark = pytest.mark.timeout(0)


@dataclass
class Gateway:
    host: str
    port: int
    pid: int
    job: int
    image: str
    answers: Counter[int] = field(default_factory=Counter)
    """What the abusers were told."""

    @asynccontextmanager
    async def connection(self, *parts: bytes) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_connection(self.host, self.port)
        try:
            for part in parts:
                writer.write(part)
            await writer.drain()
            yield reader, writer
        finally:
            writer.transport.abort()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def send(self, *parts: bytes, drip: bytes = b"", read: bool = True) -> None:
        """Says the parts, then the same drop again and again until the gateway has had enough."""
        async with self.connection(*parts) as (reader, writer):
            if not read:
                writer.transport.pause_reading()  # type: ignore[attr-defined]
            while drip and not reader.at_eof() and not writer.is_closing():
                writer.write(drip)
                await writer.drain()
                await asyncio.sleep(0.05)
            if read:
                heard = await reader.read(MiB)
                self.answers.update(int(status) for status in STATUS.findall(heard))
            else:
                await asyncio.sleep(3600)

    async def leave_in_the_middle(self) -> None:
        async with self.connection(POST + b"Content-Length: 1000\r\n\r\n{"):
            await asyncio.sleep(0.01)

    @property
    def memory(self) -> int:
        return psutil.Process(self.pid).memory_info().rss

    @property
    def sockets(self) -> int:
        return sum(1 for each in psutil.Process(self.pid).net_connections("tcp") if each.laddr.port == self.port)


@pytest.fixture(scope="module")
def gateway(stack) -> Gateway:
    job = stack.submit(stack.user(), width=1024, height=1024)
    stack.published(job)
    ((sha256,),) = stack.sql("content", f"SELECT image_sha256 FROM content_items_all WHERE job_id = {job}")
    url = httpx.URL(stack.api.base_url)
    return Gateway(url.host, url.port or 80, stack.pid("gateway"), job, f"/api/v1/images/{sha256}")


def handshake(gateway: Gateway) -> bytes:
    key = base64.b64encode(os.urandom(16)).decode()
    return (
        f"GET /ws/jobs/{gateway.job} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
    ).encode()


Abuse = Callable[[Gateway], Awaitable[None]]
PING = b"\x89\xfd\0\0\0\0" + b"p" * 125
HALF_A_FRAME = b"\x01\xff" + (2**40).to_bytes(8) + b"\0\0\0\0" + b"x" * 1000

ABUSES: dict[str, tuple[int, Abuse]] = {
    "1,000 idle sockets": (1000, Gateway.send),
    "slow headers": (200, lambda to: to.send(GET, drip=b"X: y\r\n")),
    "long headers": (10, lambda to: to.send(GET + b"X: " + b"y" * MiB)),
    "long address": (10, lambda to: to.send(b"GET /" + b"y" * MiB)),
    "many headers": (10, lambda to: to.send(GET + b"X: y\r\n" * 100_000)),
    "slow bodies": (100, lambda to: to.send(POST + b"Content-Length: 100000\r\n\r\n", drip=b"{")),
    "chunks without end": (50, lambda to: to.send(POST + b"Transfer-Encoding: chunked\r\n\r\n", drip=b"1\r\n{\r\n")),
    "big chunks": (
        10,
        lambda to: to.send(POST + b"Transfer-Encoding: chunked\r\n\r\n", drip=b"ffff\r\n" + b"{" * 65535 + b"\r\n"),
    ),
    "two lengths": (10, lambda to: to.send(POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")),
    "bad chunks": (10, lambda to: to.send(POST + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n")),
    "pipelines": (10, lambda to: to.send((GET + b"\r\n") * 2000)),
    "left in the middle": (20, Gateway.leave_in_the_middle),
    "frames without end": (20, lambda to: to.send(handshake(to), HALF_A_FRAME)),
    "floods of pings": (20, lambda to: to.send(handshake(to), drip=PING * 500)),
    "sockets that read nothing": (50, lambda to: to.send(handshake(to), read=False)),
    "streams that read nothing": (
        50,
        lambda to: to.send(b"GET /api/v1/generation-jobs/%d/events HTTP/1.1\r\n\r\n" % to.job, read=False),
    ),
    "images that nobody reads": (50, lambda to: to.send(b"GET %s HTTP/1.1\r\n\r\n" % to.image.encode(), read=False)),
    "documents that nobody reads": (
        20,
        lambda to: to.send(b"GET /docs/scripts/swagger-ui-bundle.js HTTP/1.1\r\n\r\n", read=False),
    ),
}


async def over_and_over(abuse: Abuse, gateway: Gateway) -> None:
    while True:
        with suppress(ConnectionError):
            await abuse(gateway)
        await asyncio.sleep(0.01)


async def end(abusers: Sequence[asyncio.Task[None]]) -> None:
    """Cancels them. One that has ended by an error of its own has not abused anything."""
    failed = [abuser.exception() for abuser in abusers if abuser.done()]
    for abuser in abusers:
        abuser.cancel()
    await asyncio.wait(abusers)
    assert not any(failed), failed[0]


async def ordinary(url: str, seconds: float) -> list[float]:
    """Latencies in ms of requests of somebody else. All of them are answered as ever."""
    latencies = []
    async with httpx.AsyncClient(base_url=url, timeout=10) as client:
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            begin = time.perf_counter()
            answer = await client.get("/api/v1/content?page_size=10")
            latencies.append((time.perf_counter() - begin) * 1000)
            assert answer.status_code == 200, answer.text
            await asyncio.sleep(0.02)
    return latencies


def p95(latencies: list[float]) -> float:
    return statistics.quantiles(latencies, n=20)[-1]


async def test_others_are_served_meanwhile_and_nothing_is_left(stack, gateway, capsys) -> None:
    url = str(stack.api.base_url)
    usual = p95(await ordinary(url, SECONDS))
    before, idle_sockets = gateway.memory, gateway.sockets
    lines = [f"{'nobody':28} p95 {usual:6.1f} ms  {before // MiB:4} MB  {idle_sockets:5} sockets"]
    slow = []
    for name, (count, abuse) in ABUSES.items():
        gateway.answers.clear()
        abusers = [asyncio.create_task(over_and_over(abuse, gateway)) for _ in range(count)]
        served = p95(await ordinary(url, SECONDS))
        memory, sockets = gateway.memory, gateway.sockets
        await end(abusers)
        told = dict(sorted(gateway.answers.items()))
        lines.append(f"{name:28} p95 {served:6.1f} ms  {memory // MiB:4} MB  {sockets:5} sockets  {told or ''}")
        assert not [status for status in told if status >= 500], lines[-1]
        if served > max(SERVED_WITHIN_MS, USUAL_TIMES * usual):
            slow.append(lines[-1])
    await eventually(lambda: gateway.sockets <= idle_sockets + 5, within=20, reason="sockets are left behind")
    lines.append(f"{'afterwards':28} {'':13} {gateway.memory // MiB:4} MB  {gateway.sockets:5} sockets")
    with capsys.disabled():
        print("\n" + "\n".join(lines))
    assert slow == []
    assert gateway.memory - before < GROWTH
    assert stack.pid("gateway") == gateway.pid
    stack.wait_until_whole()


async def test_more_connections_than_there_is_room_for(stack, gateway) -> None:
    """The idle ones make room for who has something to ask."""
    usual = p95(await ordinary(str(stack.api.base_url), SECONDS))
    waiting = [asyncio.create_task(gateway.send()) for _ in range(CONNECTIONS + 300)]
    try:
        await eventually(lambda: gateway.sockets > CONNECTIONS / 2)
        latencies = await ordinary(str(stack.api.base_url), SECONDS)
        assert gateway.sockets <= CONNECTIONS + 20
    finally:
        await end(waiting)
    assert p95(latencies) < max(SERVED_WITHIN_MS, USUAL_TIMES * usual)
