"""What surrounds a request: ids, paths, routes, the line in the log, metrics."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI, Header, Query, WebSocket
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Scope
from structlog.testing import capture_logs

from genonaut.platform import metrics
from genonaut.platform.context import current_cause
from genonaut.platform.http.errors import install_errors
from genonaut.platform.http.middleware import ROUTE_KEY, RequestContext, Served, install_middleware
from genonaut.platform.http.routing import Router

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


items = Router(prefix="/items")


@items.get("")
async def listed() -> dict[str, Any]:
    cause = current_cause()
    assert cause is not None
    return {"correlation_id": cause.correlation_id, "traceparent": cause.traceparent}


@items.get("/{item_id}/parts/{part_id}")
async def part(item_id: int, part_id: int) -> int:
    return item_id + part_id


async def _paging(page: int = 1, page_size: Annotated[int, Query(alias="size")] = 10) -> int:
    return page * page_size


@items.get("/found")
async def found(paged: Annotated[int, Depends(_paging)], word: str = "", x_word: Annotated[str, Header()] = "") -> str:
    return f"{paged}{word}{x_word}"


@items.post("")
async def create(request: Request) -> int:
    return len(await request.body())


@items.get("/broken")
async def broken() -> None:
    raise RuntimeError("broken")


@items.get("/proxied")
async def proxied(request: Request) -> Response:
    request.scope[ROUTE_KEY] = "/api/v1/behind/{id}"
    return JSONResponse(1, headers={"X-Request-ID": "the upstream's", "X-Genonaut-Route": "the upstream's"})


@items.get("/stream")
async def stream() -> StreamingResponse:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"part"

    return StreamingResponse(parts())


@items.websocket("/{item_id}/live")
async def live(socket: WebSocket, item_id: int) -> None:
    cause = current_cause()
    await socket.accept()
    await socket.send_text(cause.correlation_id if cause else "")
    await socket.close()


def application(**options: Any) -> FastAPI:
    api = Router(prefix="/api/v1")
    api.include_router(items)
    app = FastAPI(redirect_slashes=False)
    app.include_router(api)

    @app.get("/")
    async def root() -> str:
        return "root"

    @app.get("/health")
    async def health() -> str:
        return "fine"

    install_errors(app, clock=lambda: datetime(2024, 12, 1, tzinfo=UTC), statement_timeout_ms=15_000)
    install_middleware(app, **options)
    return app


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with client(application()) as http:
        yield http


def client(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://items/api/v1")


@pytest.mark.parametrize("given_id", ["a", "A-Z.a_z-09", "x" * 128])
async def test_a_good_request_id_is_kept(http: httpx.AsyncClient, given_id: str) -> None:
    response = await http.get("/items", headers={"X-Request-ID": given_id})

    assert response.headers.get_list("X-Request-ID") == [given_id]
    assert response.json()["correlation_id"] == given_id


@pytest.mark.parametrize("given_id", ["", "x" * 129, "a b", "a\tb", "ä", "a/b", "a;DROP", "a,b", '"a"'])
async def test_any_other_is_replaced(http: httpx.AsyncClient, given_id: str) -> None:
    first = await http.get("/items", headers={"X-Request-ID": given_id.encode()})
    second = await http.get("/items", headers={"X-Request-ID": given_id.encode()})

    assert len(first.json()["correlation_id"]) == 36
    assert first.headers["X-Request-ID"] == first.json()["correlation_id"]
    assert first.headers["X-Request-ID"] != second.headers["X-Request-ID"]


async def test_every_response_has_an_id(http: httpx.AsyncClient) -> None:
    for path in ("/items", "/items/broken", "/nowhere", "/items/x/parts/y", "/items/stream", "http://items/health"):
        assert (await http.get(path)).headers["X-Request-ID"]
    assert (await http.post("/items", content=b"x" * 2_000_000)).headers["X-Request-ID"]


async def test_an_incoming_trace_is_carried_on_with_tracing_off(http: httpx.AsyncClient) -> None:
    carried = await http.get("/items", headers={"traceparent": TRACEPARENT})

    assert carried.json()["traceparent"] == TRACEPARENT


@pytest.mark.parametrize(
    "traceparent",
    [
        "",
        "garbage",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        TRACEPARENT.upper(),
        TRACEPARENT + "-more",
    ],
)
async def test_a_malformed_trace_is_not(http: httpx.AsyncClient, traceparent: str) -> None:
    assert (await http.get("/items", headers={"traceparent": traceparent})).json()["traceparent"] is None


async def test_the_cause_is_that_of_its_own_request_only(http: httpx.AsyncClient) -> None:
    ids = [f"request-{number}" for number in range(20)]
    answers = await asyncio.gather(*(http.get("/items", headers={"X-Request-ID": one}) for one in ids))

    assert [answer.json()["correlation_id"] for answer in answers] == ids
    assert current_cause() is None


@pytest.mark.parametrize("path", ["/items", "/items/", "/items//", "/items/1/parts/2/", "http://items/health/"])
async def test_a_trailing_slash_changes_nothing_and_redirects_nobody(http: httpx.AsyncClient, path: str) -> None:
    response = await http.get(path)

    assert response.status_code == 200
    assert response.headers["X-Genonaut-Route"] == (await http.get(path.rstrip("/"))).headers["X-Genonaut-Route"]


async def test_the_root_and_slashes_before_a_query_work(http: httpx.AsyncClient) -> None:
    assert (await http.get("http://items/")).json() == "root"
    assert (await http.get("/items/?x=/")).status_code == 200
    assert (await http.get("/items/x/parts/")).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "route"),
    [
        ("GET", "/items", "/api/v1/items"),
        ("GET", "/items/7/parts/8", "/api/v1/items/{item_id}/parts/{part_id}"),
        ("GET", "/items/x/parts/8", "/api/v1/items/{item_id}/parts/{part_id}"),
        ("PUT", "/items/7/parts/8", "/api/v1/items/{item_id}/parts/{part_id}"),
        ("GET", "/items/broken", "/api/v1/items/broken"),
        ("GET", "/items/found?word=a&made=up", "/api/v1/items/found{?page,size,word}"),
        ("GET", "http://items/", "/"),
        ("GET", "/nowhere", None),
        ("GET", "/items/proxied", "/api/v1/behind/{id}"),
    ],
)
async def test_the_route_template_is_told(http: httpx.AsyncClient, method: str, path: str, route: str | None) -> None:
    response = await http.request(method, path)

    assert response.headers.get_list("X-Genonaut-Route") == ([route] if route else [])
    assert len(response.headers.get_list("X-Request-ID")) == 1


async def test_the_observer_hears_which_parameters_the_route_knows() -> None:
    heard: list[Served] = []
    async with client(application(on_served=heard.append)) as http:
        for path in ("/items/found", "/items", "/nowhere?page=2"):
            await http.get(path)

    assert [(served.route, served.parameters) for served in heard] == [
        ("/api/v1/items/found", {"page", "size", "word"}),
        ("/api/v1/items", set()),
        (None, set()),
    ]


async def test_strangers_are_not_told_the_route() -> None:
    async with client(application(show_route=False)) as http:
        assert "X-Genonaut-Route" not in (await http.get("/items")).headers
        assert "X-Genonaut-Route" not in (await http.get("/items/proxied")).headers


async def test_one_line_per_request_at_the_level_of_its_status(http: httpx.AsyncClient) -> None:
    with capture_logs() as lines:
        await http.get("/items/1/parts/2")
        await http.get("/nowhere?token=abc")
        await http.get("/items/broken")
        await http.get("http://items/health")

    requests = [line for line in lines if line["event"] == "request"]
    assert [(line["log_level"], line["status"]) for line in requests] == [
        ("info", 200),
        ("warning", 404),
        ("error", 500),
    ]
    duration = requests[0].pop("duration_ms")
    assert duration > 0
    assert requests[0] == {
        "event": "request",
        "log_level": "info",
        "method": "GET",
        "path": "/api/v1/items/1/parts/2",
        "route": "/api/v1/items/{item_id}/parts/{part_id}",
        "status": 200,
        "bytes": 1,
    }
    assert "abc" not in str(lines)


async def test_durations_are_counted_by_route_template(http: httpx.AsyncClient) -> None:
    def counted(route: str, status: str, method: str = "GET") -> float:
        labels = {"method": method, "route": route, "status": status}
        return metrics.REGISTRY.get_sample_value("http_server_request_duration_seconds_count", labels) or 0

    route = "/api/v1/items/{item_id}/parts/{part_id}"
    before = counted(route, "200"), counted("unmatched", "404"), counted("unmatched", "404", "OTHER")
    await http.get("/items/1/parts/2")
    await http.get("/items/3/parts/4")
    await http.get("/nowhere/17")
    await http.request("BREW", "/nowhere/17")

    after = counted(route, "200"), counted("unmatched", "404"), counted("unmatched", "404", "OTHER")
    assert after == (before[0] + 2, before[1] + 1, before[2] + 1)
    assert metrics.REGISTRY.get_sample_value("http_server_active_requests") == 0
    assert not [one for one in metrics.REGISTRY.collect() for sample in one.samples if "/17" in str(sample.labels)]


async def test_an_observer_is_told_what_was_served() -> None:
    told: list[Served] = []
    async with client(application(on_served=told.append)) as http:
        await http.post("/items/", content=b"12345")
        await http.get("/items/stream")
        await http.get("http://items/health")

    assert [(one.method, one.route, one.status, one.request_bytes, one.response_bytes) for one in told] == [
        ("POST", "/api/v1/items", 200, 5, 1),
        ("GET", "/api/v1/items/stream", 200, 0, 12),
    ]
    assert all(one.duration_us > 0 and one.request_id and not one.disconnected for one in told)


async def test_limits_of_bodies_are_by_path_the_longest_prefix_first() -> None:
    app = application(max_body_bytes=10, body_limits={"/api": 20, "/api/v1/items": 30})
    async with client(app) as http:
        answers = [await http.post(f"http://items{path}", content=b"x" * size) for path, size in LIMITED]

    assert [answer.status_code for answer in answers] == [200, 413, 404, 413, 404, 413]


LIMITED = [("/api/v1/items", 30), ("/api/v1/items", 31), ("/api/x", 20), ("/api/x", 21), ("/x", 10), ("/x", 11)]


def test_errors_are_installed_before() -> None:
    with pytest.raises(TypeError, match="install_errors comes before"):
        install_middleware(FastAPI())


async def served(app: Any, scope: Scope, *messages: dict[str, Any]) -> tuple[list[Any], list[Any]]:
    """What the application sends and logs for a client that sends `messages`."""
    incoming, sent = iter(messages), []

    async def receive() -> Any:
        return next(incoming)

    async def send(message: Any) -> None:
        sent.append(message)

    with capture_logs() as lines:
        await app({"query_string": b"", "headers": [], "asgi": {"spec_version": "2.3"}, **scope}, receive, send)
    return sent, lines


async def test_a_client_that_leaves_while_it_sends_is_a_499() -> None:
    scope = {"type": "http", "method": "POST", "path": "/api/v1/items"}
    _, lines = await served(
        application(),
        scope,
        {"type": "http.request", "body": b"half", "more_body": True},
        {"type": "http.disconnect"},
    )

    assert [(line["event"], line["status"], line["log_level"]) for line in lines] == [("request", 499, "warning")]


async def test_a_client_that_leaves_during_the_answer_keeps_its_status() -> None:
    told: list[Served] = []
    left = asyncio.Event()

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"part", "more_body": True})
        assert (await receive())["type"] == "http.disconnect"
        left.set()

    scope = {"type": "http", "method": "GET", "path": "/x"}
    await served(RequestContext(app, on_served=told.append), scope, {"type": "http.disconnect"})

    assert left.is_set()
    assert (told[0].status, told[0].disconnected, told[0].response_bytes) == (200, True, 4)


async def test_reading_on_after_the_answer_is_no_disconnect() -> None:
    told: list[Served] = []

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})
        await receive()

    scope = {"type": "http", "method": "GET", "path": "/x"}
    await served(RequestContext(app, on_served=told.append), scope, {"type": "http.disconnect"})

    assert (told[0].status, told[0].disconnected) == (204, False)


async def test_a_socket_has_an_id_and_a_line_too() -> None:
    scope = {
        "type": "websocket",
        "path": "/api/v1/items/7/live/",
        "headers": [(b"x-request-id", b"socket-1")],
        "subprotocols": [],
    }
    sent, lines = await served(application(), scope, {"type": "websocket.connect"})

    assert (b"x-request-id", b"socket-1") in sent[0]["headers"]
    assert sent[1]["text"] == "socket-1"
    [line] = lines
    assert (line["method"], line["route"], line["status"]) == ("WEBSOCKET", "/api/v1/items/{item_id}/live", 101)


async def test_a_socket_that_is_not_accepted_is_a_403_in_the_log() -> None:
    scope = {"type": "websocket", "path": "/nowhere", "subprotocols": []}
    sent, lines = await served(application(), scope, {"type": "websocket.connect"})

    assert sent[0]["type"] == "websocket.close"
    assert [(line["status"], line["log_level"]) for line in lines] == [(403, "warning")]


async def test_an_application_that_raises_is_still_counted() -> None:
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        raise RuntimeError

    told: list[Served] = []
    with pytest.raises(RuntimeError):
        await served(RequestContext(app, on_served=told.append), {"type": "http", "method": "GET", "path": "/x"})

    assert [one.status for one in told] == [500]
    assert current_cause() is None


@given(path=st.text().map(lambda tail: "/" + tail))
async def test_no_path_breaks_it(path: str) -> None:
    scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode("utf-8", "surrogatepass")}
    sent, _ = await served(APPLICATION, scope, {"type": "http.request", "body": b""})

    assert sent[0]["status"] in {200, 404, 422}
    assert sent[0]["status"] == 200 or json.loads(sent[1]["body"])["status"] == sent[0]["status"]


APPLICATION = application()
