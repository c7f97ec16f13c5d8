"""While somebody abuses the gateway's sockets, everybody else is served, and nothing of it stays behind.

Raw bytes against the real process. Each kind goes on for some seconds beside ordinary requests, whose 95th percentile
is printed with the memory and the sockets of the gateway.
"""

import asyncio
import base64
import os
import re
import socket
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial

import httpx
import psutil
import pytest

from genonaut.testkit.waiting import eventually

CONNECTIONS = 1200
"""As in conftest."""
MiB = 1024 * 1024
SECONDS = float(os.environ.get("FUZZ_SECONDS", "1"))
"""How long each kind of abuse goes on, at least."""
SAMPLES = 30
"""Requests of somebody else meanwhile, at least: fewer have no 95th percentile."""
TOLD_WITHIN = 15
"""Seconds after which a limit that has told nobody is none."""
SERVED_WITHIN_MS = 3000
"""The 95th percentile that is still called served, on a machine that runs the abusers, too."""
HELD = 64 * MiB
"""What any of it may take of the gateway's memory while it goes on."""
GROWTH = 48 * MiB
"""What all of it may leave behind in the gateway: allocators keep what they once had."""
CLOSED = 0
"""Beside the statuses: the gateway ended the connection."""
GET = b"GET /api/v1/content?page_size=1 HTTP/1.1\r\nHost: x\r\n"
POST = b"POST /api/v1/users HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
STATUS_BYTES = len("HTTP/1.1 200 ")

pytestmark = pytest.mark.timeout(0)


@dataclass
class Gateway:
    host: str
    port: int
    pid: int
    job: int
    image: str
    answers: Counter[int] = field(default_factory=Counter)
    """What the abusers were told, as soon as they are."""

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[socket.socket]:
        with socket.socket() as connection:
            connection.setblocking(False)
            await asyncio.get_running_loop().sock_connect(connection, (self.host, self.port))
            yield connection

    async def send(self, *parts: bytes, drip: bytes = b"", read: bool = True) -> None:
        """Says the parts, then the same drop again and again, until the gateway has had enough.

        It listens meanwhile: what was said to a client that still writes is lost to it with the reset. Without `read`,
        it hears the status and nothing more.
        """
        async with self.connection() as connection:
            talking = asyncio.create_task(_talk(connection, parts, drip))
            try:
                await self._listen(connection, size=MiB if read else STATUS_BYTES, once=not read)
                if not read:
                    await asyncio.sleep(3600)
            finally:
                talking.cancel()
                await asyncio.wait([talking])

    async def _listen(self, connection: socket.socket, *, size: int = MiB, once: bool = False) -> None:
        loop, heard = asyncio.get_running_loop(), b""
        with suppress(ConnectionError):
            while more := await loop.sock_recv(connection, size):
                heard += more
                self.answers.update(int(status) for status in STATUS.findall(heard))
                if once:
                    return
                heard = heard[1 - STATUS_BYTES :]  # which may hold the beginning of the next, and no whole one
        self.answers[CLOSED] += 1

    async def leave_in_the_middle(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(0.01):
                await self.send(POST + b"Content-Length: 1000\r\n\r\n{")

    @property
    def memory(self) -> int:
        return psutil.Process(self.pid).memory_info().rss

    @property
    def sockets(self) -> int:
        return sum(1 for each in psutil.Process(self.pid).net_connections("tcp") if each.laddr.port == self.port)


async def _talk(connection: socket.socket, parts: Sequence[bytes], drip: bytes) -> None:
    loop = asyncio.get_running_loop()
    with suppress(ConnectionError):
        for part in parts:
            await loop.sock_sendall(connection, part)
        while drip:
            await loop.sock_sendall(connection, drip)
            await asyncio.sleep(0.05)


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


PING = b"\x89\xfd\0\0\0\0" + b"p" * 125
HALF_A_FRAME = b"\x01\xff" + (2**40).to_bytes(8) + b"\0\0\0\0" + b"x" * 1000
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


@dataclass(frozen=True)
class Abuse:
    count: int
    """How many do it at the same time."""
    told: set[int]
    """What they must be told, and nothing else."""
    once: Callable[[Gateway], Awaitable[None]]

    def is_told(self, told: Counter[int]) -> bool:
        return told.keys() >= self.told


ABUSES = {
    "1,000 idle sockets": Abuse(1000, {CLOSED}, Gateway.send),
    "slow headers": Abuse(200, {408, CLOSED}, lambda to: to.send(GET, drip=b"X: y\r\n")),
    "long headers": Abuse(10, {431, CLOSED}, lambda to: to.send(GET + b"X: " + b"y" * MiB)),
    "long address": Abuse(10, {431, CLOSED}, lambda to: to.send(b"GET /" + b"y" * MiB)),
    "many headers": Abuse(10, {431, CLOSED}, lambda to: to.send(GET + b"X: y\r\n" * 100_000)),
    "big chunks": Abuse(10, {413, CLOSED}, lambda to: to.send(CHUNKED, drip=b"ffff\r\n" + b"{" * 65535 + b"\r\n")),
    "two lengths": Abuse(
        10,
        {400, CLOSED},
        lambda to: to.send(POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ),
    "bad chunks": Abuse(10, {400, CLOSED}, lambda to: to.send(CHUNKED + b"xyz\r\n")),
    "pipelines": Abuse(10, {200, CLOSED}, lambda to: to.send((GET + b"\r\n") * 2000)),
    "left in the middle": Abuse(20, set(), Gateway.leave_in_the_middle),
    "frames without end": Abuse(20, {101, CLOSED}, lambda to: to.send(handshake(to), HALF_A_FRAME)),
    "floods of pings": Abuse(20, {101, CLOSED}, lambda to: to.send(handshake(to), drip=PING * 500)),
    "sockets that read nothing": Abuse(50, {101}, lambda to: to.send(handshake(to), read=False)),
    "streams that read nothing": Abuse(
        50,
        {200},
        lambda to: to.send(b"GET /api/v1/generation-jobs/%d/events HTTP/1.1\r\nHost: x\r\n\r\n" % to.job, read=False),
    ),
    "images that nobody reads": Abuse(
        50, {200}, lambda to: to.send(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % to.image.encode(), read=False)
    ),
    "documents that nobody reads": Abuse(
        20,
        {200},
        lambda to: to.send(b"GET /docs/scripts/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n", read=False),
    ),
}
LONG_ABUSES = {
    "slow bodies": Abuse(50, {408, CLOSED}, lambda to: to.send(POST + b"Content-Length: 100000\r\n\r\n", drip=b"{")),
    "chunks without end": Abuse(50, {408, CLOSED}, lambda to: to.send(CHUNKED, drip=b"1\r\n{\r\n")),
}
"""Beside all the others: a body may be slow for half a minute."""
LONG_ABUSES_WITHIN = 45


@asynccontextmanager
async def going_on(abuse: Abuse, gateway: Gateway) -> AsyncIterator[Counter[int]]:
    """The abusers, and what they are told. One that ends by an error of its own has not abused anything."""
    told: Counter[int] = Counter()
    by_them = replace(gateway, answers=told)
    abusers = [asyncio.create_task(over_and_over(abuse.once, by_them)) for _ in range(abuse.count)]
    try:
        yield told
    finally:
        failed = await end(abusers)
    assert not failed, failed[0]


async def over_and_over(once: Callable[[Gateway], Awaitable[None]], gateway: Gateway) -> None:
    while True:
        with suppress(ConnectionError):
            await once(gateway)
        await asyncio.sleep(0.01)


async def end(tasks: Sequence[asyncio.Task[None]]) -> list[BaseException]:
    """Cancels them. Gives the errors of those that have ended before."""
    failed = [error for task in tasks if task.done() and (error := task.exception())]
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    return failed


@dataclass(frozen=True)
class Served:
    latencies: list[float]
    """In ms."""
    most_memory: int

    @property
    def p95(self) -> float:
        return statistics.quantiles(self.latencies, n=20, method="inclusive")[-1]


async def ordinary(url: str, gateway: Gateway, until: Callable[[], bool] = lambda: True) -> Served:
    """Requests of somebody else for SECONDS, and on until it is so. All of them are answered as ever."""
    latencies, most = [], 0
    async with httpx.AsyncClient(base_url=url, timeout=10) as client:
        begin = time.perf_counter()
        while True:
            asked = time.perf_counter()
            answer = await client.get("/api/v1/content?page_size=10")
            now = time.perf_counter()
            latencies.append((now - asked) * 1000)
            assert answer.status_code == 200, answer.text
            most = max(most, gateway.memory)
            if len(latencies) >= SAMPLES and now - begin > SECONDS and (until() or now - begin > TOLD_WITHIN):
                return Served(latencies, most)
            await asyncio.sleep(0.02)


async def test_others_are_served_meanwhile_and_nothing_is_left(stack, gateway, capsys) -> None:
    url = str(stack.api.base_url)
    usual = await ordinary(url, gateway)
    before, idle_sockets = gateway.memory, gateway.sockets
    lines = [f"{'nobody':28} p95 {usual.p95:6.1f} ms  {before // MiB:4} MB  {idle_sockets:5} sockets"]
    faults = []

    def judge(name: str, abuse: Abuse, told: Counter[int]) -> None:
        lines[-1] += f"  {dict(sorted(told.items())) or ''}"
        if told.keys() != abuse.told:
            faults.append(f"not told {abuse.told}: {name} {dict(told)}")

    async with AsyncExitStack() as long:
        begin = time.perf_counter()
        told_late = {
            name: await long.enter_async_context(going_on(abuse, gateway)) for name, abuse in LONG_ABUSES.items()
        }
        for name, abuse in ABUSES.items():
            async with going_on(abuse, gateway) as told:
                served = await ordinary(url, gateway, until=partial(abuse.is_told, told))
                sockets = gateway.sockets
            lines.append(f"{name:28} p95 {served.p95:6.1f} ms  {served.most_memory // MiB:4} MB  {sockets:5} sockets")
            judge(name, abuse, told)
            if served.p95 > SERVED_WITHIN_MS:
                faults.append(f"not served: {lines[-1]}")
            if served.most_memory - before > HELD:
                faults.append(f"too much memory: {lines[-1]}")
        with suppress(AssertionError):  # what they were told until then is judged
            await eventually(
                lambda: all(abuse.is_told(told_late[name]) for name, abuse in LONG_ABUSES.items()),
                within=LONG_ABUSES_WITHIN - (time.perf_counter() - begin),
            )
        memory = gateway.memory
    for name, abuse in LONG_ABUSES.items():
        lines.append(f"{name:28} {'':13} {memory // MiB:4} MB {'':14}")
        judge(name, abuse, told_late[name])
    await eventually(lambda: gateway.sockets <= idle_sockets + 5, within=20, reason="sockets are left behind")
    lines.append(f"{'afterwards':28} {'':13} {gateway.memory // MiB:4} MB  {gateway.sockets:5} sockets")
    with capsys.disabled():
        print("\n" + "\n".join(lines))
    assert not faults, "\n".join(faults)
    assert gateway.memory - before < GROWTH
    assert stack.pid("gateway") == gateway.pid
    stack.wait_until_whole()


async def test_more_connections_than_there_is_room_for(stack, gateway) -> None:
    """The idle ones make room for who has something to ask."""
    waiting = [asyncio.create_task(gateway.send()) for _ in range(CONNECTIONS + 300)]
    try:
        await eventually(lambda: gateway.sockets > CONNECTIONS / 2)
        served = await ordinary(str(stack.api.base_url), gateway)
        assert gateway.sockets <= CONNECTIONS + 20
    finally:
        failed = await end(waiting)
    assert not failed, failed[0]
    assert served.p95 < SERVED_WITHIN_MS
