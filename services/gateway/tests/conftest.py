"""A gateway on a real socket, in front of services that are real servers and do what a test tells them."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import aiohttp
import pytest
import pytest_asyncio
from starlette.types import Receive, Scope, Send

from genonaut.gateway.runtime import Runtime
from genonaut.gateway.service import service
from genonaut.gateway.settings import GatewaySettings
from genonaut.platform.http.sockets import Socket
from genonaut.platform.serving import Server
from genonaut.stack.ports import free_port
from genonaut.testkit.serving import serving

Answer = Callable[[Scope, Receive, Send], Awaitable[None]]


NAMED = {"x-genonaut-route": "/api/v1/content"}


@dataclass
class Upstream:
    """Stands for the four services. `answer` is what the next requests get; `seen` is what came."""

    url: str = ""
    seen: list[dict[str, Any]] = field(default_factory=list)
    answers: dict[str, Answer] = field(default_factory=dict)
    """By path; "" for all others."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        self.seen.append(
            {
                "method": scope["method"],
                "path": scope["raw_path"].decode(),
                "query": parse_qs(scope["query_string"].decode(), keep_blank_values=True),
                "headers": {name.decode(): value.decode("latin-1") for name, value in scope["headers"]},
            }
        )
        answer = self.answers.get(scope["path"]) or self.answers.get("") or replying({"ok": True}, headers=NAMED)
        await answer(scope, receive, send)

    @property
    def last(self) -> dict[str, Any]:
        return self.seen[-1]


def replying(
    body: Any = None, *, status: int = 200, headers: dict[str, str] | None = None, raw: bytes | None = None
) -> Answer:
    """An answer with a JSON body, or with `raw` bytes."""
    payload = json.dumps(body).encode() if raw is None else raw
    sent = {"content-type": "application/json", "content-length": str(len(payload)), **(headers or {})}

    async def answer(_scope: Scope, _receive: Receive, send: Send) -> None:
        raw_headers = [(name.encode(), value.encode("latin-1")) for name, value in sent.items()]
        await send({"type": "http.response.start", "status": status, "headers": raw_headers})
        await send({"type": "http.response.body", "body": payload})

    return answer


@dataclass
class Front:
    """A running gateway and a client of it."""

    url: str
    client: aiohttp.ClientSession
    runtime: Runtime
    server: Server

    def get(self, path: str, **options: Any) -> Any:
        return self.client.get(f"{self.url}{path}", **options)


@asynccontextmanager
async def fronting(urls: dict[str, str], *, nats_url: str | None = None, **settings: Any) -> AsyncIterator[Front]:
    """A gateway before services at `urls`. Without `nats_url` its bus never answers."""
    values = {
        "app_env": "test",
        "nats_url": nats_url or f"nats://127.0.0.1:{free_port()}",
        "api_secret_key": "a test's secret key, long enough to sign with",
        "connect_timeout_seconds": 0.5,
        **{
            f"{name}_url": urls.get(name) or urls[""]
            for name in ("content", "generation", "analytics", "notifications")
        },
        **settings,
    }
    app = service.app(GatewaySettings(**values))
    async with serving(app, sockets=Socket) as (url, server), aiohttp.ClientSession(auto_decompress=False) as client:
        yield Front(url, client, app.state.runtime, server)


@pytest.fixture
def reply() -> Callable[..., Answer]:
    return replying


@pytest.fixture
def closed_port() -> int:
    return free_port()


@pytest.fixture
def at() -> Callable[..., Any]:
    """`async with at(app) as (url, server)`: any ASGI application on a socket."""
    return serving


@pytest.fixture
def front_of() -> Callable[..., Any]:
    """`async with front_of(urls, **settings) as front`: a gateway with settings of its own."""
    return fronting


@pytest_asyncio.fixture(scope="module")
async def module_upstream() -> AsyncIterator[Upstream]:
    stand_in = Upstream()
    async with serving(stand_in) as (url, _):
        stand_in.url = url
        yield stand_in


@pytest.fixture
def upstream(module_upstream: Upstream) -> Upstream:
    module_upstream.seen.clear()
    module_upstream.answers.clear()
    return module_upstream


@pytest_asyncio.fixture(scope="module")
async def front(module_upstream: Upstream) -> AsyncIterator[Front]:
    """A gateway whose services are all `upstream`, without a bus."""
    async with fronting({"": module_upstream.url}) as running:
        yield running


@dataclass
class Wire:
    """A TCP connection to a server, which can be cut and mended."""

    target: tuple[str, int]
    port: int = field(default_factory=free_port)
    _server: asyncio.Server | None = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    async def mend(self) -> None:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", self.port)

    async def cut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._writers):
            writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(*self.target)
        self._writers |= {writer, far_writer}
        await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        self._writers -= {writer, far_writer}


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while chunk := await reader.read(65536):
            writer.write(chunk)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


@pytest.fixture
def wire_to() -> Callable[[str], Any]:
    """`async with wire_to(nats_url) as (wire, url)`: the same server through a wire that can be cut."""

    @asynccontextmanager
    async def through(url: str) -> AsyncIterator[tuple[Wire, str]]:
        head, _, address = url.rpartition("@")
        host, _, port = address.partition(":")
        wire = Wire((host, int(port)))
        await wire.mend()
        try:
            yield wire, f"{head}@127.0.0.1:{wire.port}"
        finally:
            await wire.cut()

    return through
