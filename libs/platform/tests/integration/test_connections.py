"""What a stranger may hold of a server: raw bytes over real sockets."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from genonaut.platform.http.connections import REFUSED, Connection, Limits
from genonaut.platform.serving import Server
from genonaut.testkit.serving import serving
from genonaut.testkit.waiting import eventually

LIMITS = Limits(
    connections=4,
    head_bytes=1000,
    head_seconds=1,
    body_seconds=1,
    body_bytes_per_second=1000,
    whole_body_seconds=3,
    stuck_seconds=1,
)
GET = b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\n"


class App:
    """Says how many bytes a body had; `/endless` and `/held` last, and `/early` answers before the body is there."""

    def __init__(self) -> None:
        self.release = asyncio.Event()
        self.seen: list[str] = []
        self.disconnected = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        self.seen.append(scope["path"])
        if scope["path"] == "/endless":
            await self._endless(send)
            return
        if scope["path"] == "/big":
            await self._answer(send, b"x" * 5_000_000)
            return
        size, more = 0, scope["path"] != "/early"
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.disconnected += 1
                return
            size += len(message["body"])
            more = message["more_body"]
        if scope["path"] == "/held":
            await self.release.wait()
        await self._answer(send, str(size).encode())

    async def _answer(self, send: Send, body: bytes) -> None:
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _endless(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while not self.release.is_set():
            await send({"type": "http.response.body", "body": b"x" * 10_000, "more_body": True})
            await asyncio.sleep(0)


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def say(self, *parts: bytes) -> None:
        for part in parts:
            self.writer.write(part)
            await self.writer.drain()

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the next answer that has a length."""
        head = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 10)).decode()
        line, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value for name, value in (one.split(": ", 1) for one in lines)}
        return int(line.split(" ")[1]), headers, await self.reader.readexactly(int(headers["content-length"]))

    async def is_closed(self, *, within: float = 5) -> bool:
        """Whether the server ends the connection and says nothing more."""
        try:
            return await asyncio.wait_for(self.reader.read(), within) == b""
        except ConnectionError:
            return True
        except TimeoutError:
            return False


class World:
    def __init__(self, app: App, server: Server) -> None:
        self.app, self.server = app, server
        self.clients: list[Client] = []

    async def connect(self, *parts: bytes) -> Client:
        port = self.server.servers[0].sockets[0].getsockname()[1]
        client = Client(*await asyncio.open_connection("127.0.0.1", port, limit=2**20))
        self.clients.append(client)
        await client.say(*parts)
        return client

    async def get(self, path: bytes = b"") -> tuple[int, dict[str, str], bytes]:
        return await (await self.connect(GET % path)).answer()

    @property
    def connections(self) -> set[Any]:
        return self.server.server_state.connections


@asynccontextmanager
async def world(limits: Limits) -> AsyncIterator[World]:
    app = App()
    async with serving(app, limits=limits) as (_, server):
        world = World(app, server)
        try:
            yield world
        finally:
            app.release.set()
            for client in world.clients:
                client.writer.transport.abort()


@pytest.fixture
async def small() -> AsyncIterator[World]:
    async with world(LIMITS) as small:
        yield small


def refused(reason: str) -> float:
    return REFUSED.labels(reason)._value.get()


@pytest.fixture
def newly_refused() -> Callable[[str], float]:
    samples = [sample for metric in REFUSED.collect() for sample in metric.samples]
    # Each count comes with the time since when there is one.
    before = {sample.labels["reason"]: sample.value for sample in samples if sample.name.endswith("_total")}
    return lambda reason: refused(reason) - before.get(reason, 0)


def assert_problem(answer: tuple[int, dict[str, str], bytes], status: int, code: str) -> None:
    got, headers, body = answer
    problem = json.loads(body)
    assert (got, problem["status"], problem["error_code"]) == (status, status, code)
    assert headers["content-type"] == "application/problem+json"
    assert headers["connection"] == "close"
    assert headers["x-request-id"] == problem["request_id"]
    assert problem["success"] is False


# The head


async def test_a_head_of_exactly_the_limit_is_read_and_one_byte_more_is_a_431(small: World) -> None:
    start, end = b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: ", b"\r\n\r\n"
    fill = LIMITS.head_bytes - len(start) - len(end)

    for parts in ([start + b"y" * fill + end], [start, b"y" * fill, end]):
        assert (await (await small.connect(*parts)).answer())[0] == 200
    client = await small.connect(start + b"y" * (fill + 1) + end)

    assert_problem(await client.answer(), 431, "HEAD_TOO_LARGE")
    assert await client.is_closed()
    assert small.app.seen == ["/", "/"]


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"a" * 100_000,
        b"GET / HTTP/1.1\r\nX: " + b"a" * 100_000,
        b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * 20_000,
        b"GET / HTTP/1.1\r\n" + b"X" * 100_000,
    ],
    ids=["address", "value", "headers", "name"],
)
async def test_a_head_without_end_is_a_431(small: World, head: bytes) -> None:
    assert_problem(await (await small.connect(head)).answer(), 431, "HEAD_TOO_LARGE")


async def test_the_limit_holds_for_each_head_and_not_for_bodies(small: World) -> None:
    client = await small.connect()
    for _ in range(3):
        await client.say(POST + b"X: " + b"y" * 500 + b"\r\nContent-Length: 50000\r\n\r\n" + b"b" * 50_000)
        assert (await client.answer())[2] == b"50000"
    await client.say(POST + b"X: " + b"y" * 1000)

    assert_problem(await client.answer(), 431, "HEAD_TOO_LARGE")


async def test_a_head_that_does_not_end_in_time_is_a_408(small: World, newly_refused) -> None:
    client = await small.connect(b"GET / HTTP/1.1\r\n")
    for _ in range(4):
        await client.say(b"X: y\r\n")
        await asyncio.sleep(0.2)

    assert_problem(await client.answer(), 408, "REQUEST_TIMEOUT")
    assert newly_refused("head_too_slow") == 1


async def test_who_says_nothing_or_nothing_but_line_ends_is_left(small: World) -> None:
    silent = await small.connect()
    kept = await small.connect(GET % b"")
    await kept.answer()
    for _ in range(4):
        await kept.say(b"\r\n")
        await asyncio.sleep(0.2)

    assert await silent.is_closed()
    assert_problem(await kept.answer(), 408, "REQUEST_TIMEOUT")
    await eventually(lambda: not small.connections)
    assert not small.server.server_state.waiting


@pytest.mark.parametrize(
    "request_",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 50,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"POST / HTTP/1.1\r\nContent-Length: +3\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nContent-Length: -3\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nabc\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n folded: y\r\n\r\n",
        b"GET / HTTP/1.1\nHost: x\n\n",
        b"GET / HTTP/1.1\r\nX: a\x00b\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\n\r\n",
        b"CONNECT example.org:80 HTTP/1.1\r\n\r\n",
        b"GET http:// HTTP/1.1\r\n\r\n",
        b"GET\r\n\r\n",
    ],
)
async def test_what_is_no_request_or_could_be_two_is_a_400(small: World, request_: bytes) -> None:
    client = await small.connect(request_)

    assert_problem(await client.answer(), 400, "MALFORMED_REQUEST")
    assert await client.is_closed()


# The body


async def test_a_body_slower_than_the_limit_is_a_408_and_the_app_hears_that_the_client_is_gone(small: World) -> None:
    for framing in (b"Content-Length: 5000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n1\r\n"):
        client = await small.connect(POST + framing + b"x")
        assert_problem(await client.answer(), 408, "REQUEST_TIMEOUT")
    await eventually(lambda: small.app.disconnected == 2)


async def test_a_body_as_slow_as_allowed_is_read(small: World) -> None:
    client = await small.connect(POST + b"Content-Length: 4000\r\n\r\n")
    for _ in range(20):
        await client.say(b"x" * 200)
        await asyncio.sleep(0.1)

    assert (await client.answer())[2] == b"4000"


async def test_a_body_that_began_fast_has_to_end_in_time(small: World) -> None:
    client = await small.connect(POST + b"Content-Length: 100000\r\n\r\n" + b"x" * 99_000)

    assert_problem(await client.answer(), 408, "REQUEST_TIMEOUT")
    await eventually(lambda: small.app.disconnected == 1)


async def test_a_slow_answer_is_not_the_clients_fault(small: World) -> None:
    whole = await small.connect(POST.replace(b"/ ", b"/held ") + b"Content-Length: 3\r\n\r\nabc")
    await eventually(lambda: small.app.seen)
    await asyncio.sleep(2.5)
    small.app.release.set()

    assert (await whole.answer())[2] == b"3"


async def test_after_an_early_answer_the_rest_of_the_body_has_little_time(small: World) -> None:
    early = POST.replace(b"/ ", b"/early ") + b"Content-Length: 1000000\r\n\r\n"
    client = await small.connect(early)
    assert (await client.answer())[0] == 200
    await client.say(b"x" * 1_000_000, GET % b"next")
    assert (await client.answer())[0] == 200  # it was taken and thrown away
    client.writer.transport.abort()
    await eventually(lambda: not small.connections)

    long_after = await small.connect(early)
    assert (await long_after.answer())[0] == 200
    await long_after.say(b"x" * 1_000_000)
    await eventually(lambda: any(each._head_left == LIMITS.head_bytes and each.cycle for each in small.connections))
    await long_after.say(POST + b"X: " + b"y" * 1000)
    assert_problem(await long_after.answer(), 431, "HEAD_TOO_LARGE")

    stuck = await small.connect(early)
    assert (await stuck.answer())[0] == 200
    assert await stuck.is_closed()


# One after the other


async def test_requests_sent_before_the_answer_are_not_kept(small: World) -> None:
    client = await small.connect(GET % b"held", GET % b"more")
    await eventually(lambda: small.app.seen)
    small.app.release.set()

    status, headers, _ = await client.answer()
    assert (status, headers["connection"]) == (200, "close")
    assert await client.is_closed()
    assert small.app.seen == ["/held"]


async def test_a_flood_of_requests_on_one_connection_is_one_request(small: World) -> None:
    flood = await small.connect(GET % b"held", (GET % b"more") * 20_000)
    await eventually(lambda: small.app.seen)
    (connection,) = small.connections
    assert not connection.pipeline
    small.app.release.set()

    await eventually(lambda: not small.connections)
    assert small.app.seen == ["/held"]
    assert flood.reader.at_eof() or flood.reader.exception() or await flood.reader.read()


async def test_a_client_that_leaves_behind_a_second_request_is_noticed(small: World) -> None:
    client = await small.connect(POST + b"Content-Length: 5\r\n\r\nab")
    await eventually(lambda: small.app.seen)
    client.writer.close()

    await eventually(lambda: small.app.disconnected == 1)


# The reader


async def test_a_client_that_reads_nothing_is_cut_off(small: World, newly_refused) -> None:
    client = await small.connect(GET % b"endless")
    client.reader._transport.pause_reading()  # type: ignore[attr-defined]

    await eventually(lambda: newly_refused("stuck") == 1, reason="it may hold what it does not read for ever")
    await eventually(lambda: not small.connections)


async def test_a_client_that_reads_slowly_is_served() -> None:
    async with world(Limits(stuck_seconds=1)) as served:
        client = await served.connect(GET % b"endless")
        for _ in range(30):
            assert await client.reader.readexactly(200_000)
            await asyncio.sleep(0.1)


async def test_who_has_read_all_is_not_stuck_later(small: World) -> None:
    client = await small.connect(GET % b"big")
    assert len((await client.answer())[2]) == 5_000_000
    await client.say(GET % b"held")
    await asyncio.sleep(3)
    small.app.release.set()

    assert (await client.answer())[0] == 200


# Room


async def test_at_the_limit_the_longest_silent_connection_makes_room(small: World, newly_refused) -> None:
    silent = [await small.connect() for _ in range(LIMITS.connections)]
    await eventually(lambda: len(small.connections) == LIMITS.connections)

    assert (await small.get())[0] == 200
    assert await silent[0].is_closed(within=0.5)
    assert newly_refused("displaced") == 1
    assert not await silent[1].is_closed(within=0.1)


async def test_when_all_are_busy_a_new_connection_is_a_503(small: World, newly_refused) -> None:
    busy = [await small.connect(GET % b"held") for _ in range(LIMITS.connections)]
    await eventually(lambda: len(small.app.seen) == LIMITS.connections)

    status, headers, body = await small.get()
    assert_problem((status, headers, body), 503, "NO_ROOM")
    assert headers["retry-after"] == "2"
    assert newly_refused("no_room") == 1
    assert len(small.connections) == LIMITS.connections  # who is turned away takes nobody's place
    small.app.release.set()
    assert [(await client.answer())[0] for client in busy] == [200] * LIMITS.connections
    assert (await small.get())[0] == 200


async def test_every_connection_of_a_flood_is_forgotten(small: World) -> None:
    for _ in range(20):
        await asyncio.gather(*(small.connect(GET[:10]) for _ in range(25)))
    assert len(small.connections) <= LIMITS.connections + 25
    for client in small.clients:
        client.writer.transport.abort()

    await eventually(lambda: not small.connections)
    assert not small.server.server_state.waiting
    assert not [task for task in small.server.server_state.tasks if not task.done()]
    assert isinstance(small.server.config.http_protocol_class, type(Connection))
