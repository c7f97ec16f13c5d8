"""What is read of a request, and what is refused before anybody acts on it: all of it 4xx, none of it 500."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, Body, FastAPI, Request
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from genonaut.platform.http.errors import install_errors
from genonaut.platform.http.middleware import install_middleware
from genonaut.platform.http.routing import Router

NOW = datetime(2024, 12, 1, 10, 0, tzinfo=UTC)
JSON = {"content-type": "application/json"}


class Thing(BaseModel):
    name: str = Field(min_length=1, max_length=20)
    weight: float = Field(default=1, ge=0)
    more: dict[str, Any] = Field(default_factory=dict)


things = Router(prefix="/api/v1/things")


@things.get("/{name}")
async def by_name(name: str, x: str = "") -> str:
    return name + x


@things.post("")
async def create(thing: Thing) -> Thing:
    return thing


@things.put("")
async def rename(name: Annotated[str, Body(embed=True)]) -> str:
    return name


@things.post("/stream")
async def upload(request: Request) -> int:
    return sum([len(part) async for part in request.stream()])


def application(*routers: APIRouter) -> FastAPI:
    app = FastAPI(redirect_slashes=False)
    for router in routers:
        app.include_router(router)
    install_errors(app, clock=lambda: NOW, statement_timeout_ms=15_000)
    install_middleware(app, max_body_bytes=2000, body_limits={"/api/v1/uploads": 10_000}, body_room=15_000)
    return app


THINGS = application(things)


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(THINGS), base_url="http://things/api/v1") as http:
        yield http


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"nothing",
        b"\xff\xfe",
        b'{"name": "a", "weight": NaN}',
        b'{"name": "a", "more": {"x": Infinity}}',
        b'{"name": "\\ud800"}',
        b'{"name": "a\x00"}',
        b'{"name": "a",}',
        b"[" * 1500,
        b'{"name": "\xed\xa0\x80"}',
    ],
)
async def test_broken_json_is_a_400(http: httpx.AsyncClient, body: bytes) -> None:
    response = await http.post("/things", content=body, headers=JSON)

    assert (response.status_code, response.json()["error_code"]) == (400, "INVALID_JSON")
    assert response.json()["detail"].startswith("The body is not valid JSON")


async def test_broken_json_is_a_400_for_a_plain_router_too() -> None:
    router = APIRouter()

    @router.post("/plain")
    async def create(thing: Thing) -> Thing:
        return thing

    transport = httpx.ASGITransport(application(router))
    async with httpx.AsyncClient(transport=transport, base_url="http://plain") as http:
        answers = [await http.post("/plain", content=body, headers=JSON) for body in (b"{", b"\xff", b"[" * 1900)]

    assert [(one.status_code, one.json()["error_code"]) for one in answers] == [(400, "INVALID_JSON")] * 3


@pytest.mark.parametrize(
    ("content_type", "says"),
    [("text/plain", "not text/plain"), ("application/x-www-form-urlencoded", "not app"), (None, "not without")],
)
async def test_a_body_that_is_not_json_is_a_415(http: httpx.AsyncClient, content_type: str | None, says: str) -> None:
    headers = {"content-type": content_type} if content_type else {}
    for method, path in (("POST", "/things"), ("PUT", "/things")):
        response = await http.request(method, path, content=b'{"name": "a"}', headers=headers)

        assert (response.status_code, response.json()["error_code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")
        assert says in response.json()["detail"]
        assert response.headers["Accept"] == "application/json"


async def test_other_spellings_of_json_are_json(http: httpx.AsyncClient) -> None:
    for content_type in ("application/json; charset=utf-8", "application/vnd.genonaut+json", "Application/JSON"):
        response = await http.post("/things", content=b'{"name": "a"}', headers={"content-type": content_type})
        assert response.status_code == 200


async def test_a_missing_body_is_a_422(http: httpx.AsyncClient) -> None:
    for headers in ({}, JSON, {"content-type": "text/plain"}):
        response = await http.post("/things", headers=headers)
        assert (response.status_code, response.json()["error_code"]) == (422, "VALIDATION_ERROR")


async def test_nul_characters_are_a_422_wherever_they_are(http: httpx.AsyncClient) -> None:
    in_body = [
        b'{"name": "a\\u0000"}',
        b'{"name": "a", "more": {"x": ["\\u0000"]}}',
        b'{"name": "a", "more": {"\\u0000": 1}}',
    ]
    answers = [await http.post("/things", content=body, headers=JSON) for body in in_body]
    answers += [await http.get("/things/1?x=a%00b"), await http.get("/things/a%00b")]

    assert [answer.status_code for answer in answers] == [422] * 5
    assert [answer.json()["errors"][0]["loc"] for answer in answers] == [["body"]] * 3 + [["query"], ["path"]]


async def test_an_escaped_backslash_before_u0000_is_no_nul_character(http: httpx.AsyncClient) -> None:
    response = await http.post("/things", content=b'{"name": "\\\\u0000"}', headers=JSON)

    assert response.json()["name"] == "\\u0000"


async def test_a_body_over_the_limit_is_a_413_before_it_is_read(http: httpx.AsyncClient) -> None:
    response = await http.post("/things", content=b"x" * 2001, headers=JSON)

    assert (response.status_code, response.json()["error_code"]) == (413, "PAYLOAD_TOO_LARGE")
    assert response.json()["detail"] == "The body is larger than the 2000 bytes that this path takes."


@pytest.mark.parametrize("path", ["/things", "/things/stream"])
async def test_a_streamed_body_is_counted(http: httpx.AsyncClient, path: str) -> None:
    sent = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(100):
            sent += 100
            yield b"x" * 100

    response = await http.post(path, content=chunks(), headers=JSON)

    assert (response.status_code, response.json()["error_code"]) == (413, "PAYLOAD_TOO_LARGE")
    assert sent < 2500  # the rest was not even asked for


async def test_there_is_room_for_so_many_bytes_of_bodies_at_once() -> None:
    enough = asyncio.Event()
    arrived = asyncio.Queue[None]()

    async def body(size: int) -> AsyncIterator[bytes]:
        yield b"x" * size
        arrived.put_nowait(None)
        await enough.wait()
        yield b""

    router = Router(prefix="/api/v1")

    @router.post("/uploads")
    async def uploaded(request: Request) -> int:
        return len(await request.body())

    transport = httpx.ASGITransport(application(router, things))
    client = httpx.AsyncClient(transport=transport, base_url="http://uploads/api/v1")
    async with client as http, asyncio.TaskGroup() as tg:
        first = tg.create_task(http.post("/uploads", content=body(10_000), headers={"content-length": "10000"}))
        await arrived.get()
        refused = await http.post("/uploads", content=b"x" * 5001)
        fits = await http.post("/uploads", content=b"x" * 5000)
        usual = await http.post("/things/stream", content=b"x" * 2000)
        second = tg.create_task(http.post("/uploads", content=body(5000), headers={"content-length": "5000"}))
        await arrived.get()
        still_usual = await http.post("/things/stream", content=b"x" * 2000)
        enough.set()
        held = [(await first).json(), (await second).json()]
        again = await http.post("/uploads", content=b"x" * 10_000)

    assert (refused.status_code, refused.json()["error_code"]) == (503, "NO_ROOM")
    assert refused.headers["Retry-After"] == "2"
    assert [fits.json(), usual.json(), still_usual.json(), again.json()] == [5000, 2000, 2000, 10_000]
    assert held == [10_000, 5000]


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(body=ANYTHING | st.fixed_dictionaries({"name": st.text(max_size=25), "weight": ANYTHING, "more": ANYTHING}))
async def test_no_json_that_somebody_thinks_of_is_a_500(body: Any) -> None:
    transport = httpx.ASGITransport(THINGS)
    async with httpx.AsyncClient(transport=transport, base_url="http://things/api/v1") as http:
        response = await http.post("/things", content=json.dumps(body).encode(), headers=JSON)

    assert response.status_code in {200, 400, 413, 422}
    assert response.status_code == 200 or response.json()["success"] is False
