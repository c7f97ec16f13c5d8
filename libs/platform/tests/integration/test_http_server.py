"""The same promises through a real server and real sockets."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI
from pydantic import BaseModel
from starlette.responses import StreamingResponse
from structlog.testing import capture_logs

from genonaut.platform.http.errors import install_errors
from genonaut.platform.http.middleware import Served, install_middleware
from genonaut.platform.http.routing import Router
from genonaut.testkit.serving import serving

SERVED: asyncio.Queue[Served] = asyncio.Queue()

router = Router(prefix="/api/v1/things")


class Thing(BaseModel):
    name: str


@router.post("")
async def create(thing: Thing) -> Thing:
    return thing


@router.get("/broken")
async def broken() -> StreamingResponse:
    async def parts() -> AsyncIterator[bytes]:
        yield b"first"
        raise RuntimeError("in the middle")

    return StreamingResponse(parts())


@router.get("/endless")
async def endless() -> StreamingResponse:
    async def parts() -> AsyncIterator[bytes]:
        while True:
            yield b"more"
            await asyncio.sleep(0.001)

    return StreamingResponse(parts())


@pytest_asyncio.fixture(scope="module")
async def address() -> AsyncIterator[tuple[str, int]]:
    app = FastAPI(redirect_slashes=False)
    app.include_router(router)
    install_errors(app, clock=lambda: datetime(2024, 12, 1, tzinfo=UTC), statement_timeout_ms=15_000)
    install_middleware(app, max_body_bytes=1000, on_served=SERVED.put_nowait)
    async with serving(app) as (_, server):
        yield server.servers[0].sockets[0].getsockname()[:2]


@pytest_asyncio.fixture
async def http(address: tuple[str, int]) -> AsyncIterator[httpx.AsyncClient]:
    host, port = address
    async with httpx.AsyncClient(base_url=f"http://{host}:{port}/api/v1/things") as http:
        yield http


async def test_a_request_and_its_answer(http: httpx.AsyncClient) -> None:
    response = await http.post("/", json={"name": "a"}, headers={"X-Request-ID": "r-1"})

    assert response.json() == {"name": "a"}
    assert response.headers["X-Request-ID"] == "r-1"
    assert response.headers["X-Genonaut-Route"] == "/api/v1/things"
    assert "server" not in response.headers


async def test_who_waits_to_be_asked_for_a_body_over_the_limit_is_never_asked(address: tuple[str, int]) -> None:
    reader, writer = await asyncio.open_connection(*address)
    writer.write(
        b"POST /api/v1/things HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Content-Length: 100000\r\nExpect: 100-continue\r\n\r\n"
    )
    async with asyncio.timeout(5):
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        body = json.loads(await reader.readexactly(length))
    writer.close()

    assert head.startswith(b"HTTP/1.1 413 ")
    assert body["error_code"] == "PAYLOAD_TOO_LARGE"


async def test_after_a_body_over_the_limit_the_client_goes_on(http: httpx.AsyncClient) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 1000

    large = await http.post("", content=b"x" * 100_000, headers={"Content-Type": "application/json"})
    chunked = await http.post("", content=chunks(), headers={"Content-Type": "application/json"})
    after = await http.post("", json={"name": "a"})

    assert [large.status_code, chunked.status_code, after.status_code] == [413, 413, 200]


async def test_an_answer_that_breaks_off_is_seen_to_be_broken(
    http: httpx.AsyncClient, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An earlier test may have sent what libraries say to our log: here the two are apart.
    monkeypatch.setattr(logging.getLogger(), "handlers", [caplog.handler])
    with (
        capture_logs() as lines,
        caplog.at_level(logging.ERROR),
        pytest.raises(httpx.RemoteProtocolError),
    ):
        await http.get("/broken")

    assert [line["event"] for line in lines] == ["http.crashed", "request"]
    assert not [record for record in caplog.records if record.exc_info]  # the traceback is in our log, once


async def test_a_client_that_leaves_a_stream_ends_it(http: httpx.AsyncClient) -> None:
    with capture_logs() as lines:
        async with http.stream("GET", "/endless") as response:
            assert await anext(response.aiter_raw())
        async with asyncio.timeout(5):
            while (served := await SERVED.get()).route != "/api/v1/things/endless":
                pass

    assert (served.status, served.disconnected) == (200, True)
    assert [(line["event"], line["log_level"]) for line in lines] == [("request", "info")]


@pytest.mark.parametrize("path", ["/%00", "/..%2f..%2fetc/passwd", "/%ff%fe", "/%ed%a0%80", "/?x=%00", "/?x=%ff"])
async def test_odd_paths_are_answered(http: httpx.AsyncClient, path: str) -> None:
    response = await http.get(f"http://{http.base_url.host}:{http.base_url.port}{path}")

    assert response.status_code in {404, 422}
    assert response.json()["status"] == response.status_code
