"""Whatever goes wrong, the answer is one problem body, and nothing of ours is in it."""

import gc
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated, Any

import httpx
import nats.errors
import nats.js.errors
import pytest
from fastapi import APIRouter, Body, FastAPI, HTTPException, Request, WebSocket
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field
from starlette.responses import StreamingResponse
from structlog.testing import capture_logs

from genonaut.platform.http import errors
from genonaut.platform.http.errors import (
    ConflictError,
    InvalidError,
    NotFoundError,
    Problem,
    UnavailableError,
    install_errors,
)
from genonaut.platform.http.middleware import install_middleware
from genonaut.platform.http.routing import Router

NOW = datetime(2024, 12, 1, 10, 0, tzinfo=UTC)
JSON = {"content-type": "application/json"}


class Thing(BaseModel):
    name: str = Field(min_length=1, max_length=20)
    weight: float = Field(default=1, ge=0)
    more: dict[str, Any] = Field(default_factory=dict)


class Answer(BaseModel):
    number: int


things = Router(prefix="/things", tags=["things"])


@things.get("/{number}")
async def by_number(number: int, x: str = "") -> str:
    return f"{number}{x}"


@things.post("")
async def create(thing: Thing) -> Thing:
    return thing


@things.put("")
async def rename(name: Annotated[str, Body(embed=True)]) -> str:
    return name


@things.post("/stream")
async def upload(request: Request) -> int:
    return sum([len(part) async for part in request.stream()])


@things.get("/raising/{what}")
async def raising(what: str) -> None:
    raise RAISED[what]


@things.get("/wrong-answer/of-ours")
async def wrong_answer() -> Answer:
    return {"number": "private"}  # type: ignore[return-value]


@things.get("/stream/broken")
async def broken_stream() -> StreamingResponse:
    async def parts() -> AsyncIterator[bytes]:
        yield b"first"
        raise RuntimeError("in the middle")

    return StreamingResponse(parts())


@things.websocket("/socket/{what}")
async def socket(socket: WebSocket, what: str) -> None:
    if what == "refused":
        raise NotFoundError("There is no such job")
    await socket.accept()
    if what == "broken":
        raise RuntimeError("in the middle")
    await socket.receive_text()


def application() -> FastAPI:
    api = Router(prefix="/api/v1")
    api.include_router(things)
    app = FastAPI(redirect_slashes=False)
    app.include_router(api)
    install_errors(app, clock=lambda: NOW, statement_timeout_ms=15_000)
    install_middleware(app, max_body_bytes=2000)
    return app


RAISED: dict[str, Exception] = {
    "not-found": NotFoundError("There is no generation job 17"),
    "conflict": ConflictError("This name is taken", error_code="NAME_TAKEN", extra={"name": "x"}),
    "invalid": InvalidError("There is no such user", loc=("body", "creator_id")),
    "unavailable": UnavailableError("Full", retry_after=30),
    "teapot": Problem(418, "Teapot", "Short and stout", "TEAPOT"),
    "fastapi": HTTPException(403, "Not yours"),
    "odd": HTTPException(409, {"not": "text"}),
    "bug": RuntimeError("postgresql://somebody:password@host/db failed in /srv/app.py"),
    "value": ValueError("SELECT secret"),
    "file": FileNotFoundError("/etc/shadow"),
    "connection": ConnectionResetError("10.0.0.7 hung up"),
    "timeout": TimeoutError(),
    "bus-timeout": nats.errors.TimeoutError(),
    "bus-closed": nats.errors.ConnectionClosedError(),
    "bus-no-stream": nats.js.errors.NoStreamResponseError(),
    "bus-bug": nats.js.errors.BadRequestError(),
}


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(application())
    async with httpx.AsyncClient(transport=transport, base_url="http://things/api/v1") as http:
        yield http


async def test_the_body_has_the_members_of_rfc_9457_and_of_the_old_api(http: httpx.AsyncClient) -> None:
    response = await http.get("/things/raising/not-found", headers={"X-Request-ID": "me-1"})

    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json() == {
        "type": "urn:genonaut:problem:not-found",
        "title": "Not found",
        "status": 404,
        "detail": "There is no generation job 17",
        "instance": "/api/v1/things/raising/not-found",
        "success": False,
        "error": "NotFound",
        "error_code": "NOT_FOUND",
        "timestamp": "2024-12-01T10:00:00Z",
        "request_id": "me-1",
    }


@pytest.mark.parametrize(
    ("what", "status", "code"),
    [
        ("conflict", 409, "NAME_TAKEN"),
        ("invalid", 422, "VALIDATION_ERROR"),
        ("unavailable", 503, "UNAVAILABLE"),
        ("teapot", 418, "TEAPOT"),
        ("fastapi", 403, "FORBIDDEN"),
        ("odd", 409, "HTTP_409"),
        ("bug", 500, "INTERNAL_ERROR"),
        ("value", 500, "INTERNAL_ERROR"),
        ("file", 500, "INTERNAL_ERROR"),
        ("connection", 503, "UNAVAILABLE"),
        ("timeout", 503, "UNAVAILABLE"),
        ("bus-timeout", 503, "UNAVAILABLE"),
        ("bus-closed", 503, "UNAVAILABLE"),
        ("bus-no-stream", 503, "UNAVAILABLE"),
        ("bus-bug", 500, "INTERNAL_ERROR"),
    ],
)
async def test_what_is_raised_decides_status_and_code(
    http: httpx.AsyncClient, what: str, status: int, code: str
) -> None:
    response = await http.get(f"/things/raising/{what}")

    assert (response.status_code, response.json()["error_code"]) == (status, code)
    assert response.json()["status"] == status
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["X-Request-ID"]
    assert ("Retry-After" in response.headers) == (status == 503)


@pytest.mark.parametrize("what", ["bug", "value", "file", "connection"])
async def test_nothing_of_an_unexpected_error_leaves(http: httpx.AsyncClient, what: str) -> None:
    response = await http.get(f"/things/raising/{what}")

    for word in ("postgresql", "password", "srv", "SELECT", "shadow", "10.0.0.7", "Traceback", "Error:"):
        assert word not in response.text


async def test_a_bug_is_logged_once_with_its_traceback(http: httpx.AsyncClient) -> None:
    with capture_logs() as lines:
        await http.get("/things/raising/bug")

    assert [(line["event"], line["log_level"]) for line in lines] == [("http.crashed", "error"), ("request", "error")]
    assert lines[0]["exc_info"] is RAISED["bug"]


async def test_more_members_and_headers_come_along(http: httpx.AsyncClient) -> None:
    conflict = await http.get("/things/raising/conflict")
    unavailable = await http.get("/things/raising/unavailable")
    invalid = await http.get("/things/raising/invalid")

    assert conflict.json()["name"] == "x"
    assert unavailable.headers["Retry-After"] == "30"
    assert invalid.json()["errors"] == [
        {"loc": ["body", "creator_id"], "msg": "There is no such user", "type": "value_error"}
    ]


async def test_validation_says_where_and_what_and_detail_stays_text(http: httpx.AsyncClient) -> None:
    response = await http.post("/things", json={"weight": -1, "name": ""})

    assert response.status_code == 422
    assert response.json()["error_code"] == "VALIDATION_ERROR"
    assert response.json()["detail"] == (
        "body.name: String should have at least 1 character; body.weight: Input should be greater than or equal to 0"
    )
    assert response.json()["errors"] == [
        {"loc": ["body", "name"], "msg": "String should have at least 1 character", "type": "string_too_short"},
        {
            "loc": ["body", "weight"],
            "msg": "Input should be greater than or equal to 0",
            "type": "greater_than_equal",
        },
    ]


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
    app = FastAPI()
    router = APIRouter()

    @router.post("/")
    async def create(thing: Thing) -> Thing:
        return thing

    app.include_router(router)
    install_errors(app, clock=lambda: NOW, statement_timeout_ms=15_000)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://plain") as http:
        answers = [await http.post("/", content=body, headers=JSON) for body in (b"{", b"\xff", b"[" * 100_000)]

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
    answers += [await http.get("/things/1?x=a%00b"), await http.get("/things/raising/a%00b")]

    assert [answer.status_code for answer in answers] == [422] * 5
    assert [answer.json()["errors"][0]["loc"] for answer in answers] == [["body"]] * 3 + [["query"], ["path"]]


async def test_an_escaped_backslash_before_u0000_is_no_nul_character(http: httpx.AsyncClient) -> None:
    response = await http.post("/things", content=b'{"name": "\\\\u0000"}', headers=JSON)

    assert response.json()["name"] == "\\u0000"


async def test_unknown_paths_and_methods_have_the_body_too(http: httpx.AsyncClient) -> None:
    nowhere = await http.get("/nothing/here")
    patch = await http.patch("/things")

    assert (nowhere.status_code, nowhere.json()["error_code"]) == (404, "NOT_FOUND")
    assert (patch.status_code, patch.json()["error_code"]) == (405, "METHOD_NOT_ALLOWED")
    assert patch.headers["Allow"] == "POST, PUT"


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


async def test_an_answer_of_ours_that_fits_no_model_is_a_500_whose_data_stays_here(http: httpx.AsyncClient) -> None:
    with capture_logs() as lines:
        response = await http.get("/things/wrong-answer/of-ours")

    assert (response.status_code, response.json()["error_code"]) == (500, "INTERNAL_ERROR")
    assert "private" not in response.text
    assert "private" not in str(lines)
    assert "number" in str(lines[0])


async def conversation(path: str, kind: str, *messages: dict[str, Any]) -> list[dict[str, Any]]:
    """What the application sends to a client that sends `messages`."""
    incoming, sent = iter(messages), []

    async def receive() -> dict[str, Any]:
        return next(incoming)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": kind,
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "path": path,
        "query_string": b"",
        "headers": [],
        "extensions": {"websocket.http.response": {}},
        **({"method": "GET"} if kind == "http" else {"subprotocols": []}),
    }
    await application()(scope, receive, send)  # type: ignore[arg-type]
    return sent


async def test_a_response_that_breaks_off_is_logged_once_and_left_incomplete() -> None:
    whole_request = {"type": "http.request", "body": b"", "more_body": False}
    with capture_logs() as lines:
        sent = await conversation("/api/v1/things/stream/broken", "http", *[whole_request] * 9)

    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert sent[-1]["more_body"]
    assert [line["event"] for line in lines] == ["http.crashed", "request"]


async def test_a_socket_that_is_refused_gets_the_body() -> None:
    sent = await conversation("/api/v1/things/socket/refused", "websocket", {"type": "websocket.connect"})

    assert (sent[0]["type"], sent[0]["status"]) == ("websocket.http.response.start", 404)
    assert json.loads(sent[1]["body"])["error_code"] == "NOT_FOUND"


async def test_a_socket_that_breaks_is_closed_as_our_failure() -> None:
    with capture_logs() as lines:
        sent = await conversation("/api/v1/things/socket/broken", "websocket", {"type": "websocket.connect"})

    assert [message["type"] for message in sent] == ["websocket.accept", "websocket.close"]
    assert sent[-1]["code"] == 1011
    assert [line["event"] for line in lines if line["log_level"] == "error"] == ["http.crashed"]


async def test_a_socket_whose_client_leaves_is_no_failure() -> None:
    messages = {"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1001}
    with capture_logs() as lines:
        sent = await conversation("/api/v1/things/socket/left", "websocket", *messages)

    assert [message["type"] for message in sent] == ["websocket.accept"]
    assert [line["log_level"] for line in lines] == ["info"]


async def test_errors_of_ours_do_not_keep_the_request_alive(http: httpx.AsyncClient) -> None:
    class Big:
        pass

    class CarryingError(Exception):
        def __init__(self) -> None:
            self.big = Big()

    RAISED["carrying"] = CarryingError()
    await http.get("/things/raising/carrying")
    del RAISED["carrying"]
    gc.collect()

    assert not [one for one in gc.get_objects() if isinstance(one, Big)]


def test_every_operation_of_the_document_shows_the_problem_body() -> None:
    document = application().openapi()

    operations = [operation for path in document["paths"].values() for operation in path.values()]
    assert len(operations) == 7
    for operation in operations:
        assert "422" not in operation["responses"]
        for status in ("4XX", "5XX"):
            content = operation["responses"][status]["content"]
            assert content == {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    assert "HTTPValidationError" not in document["components"]["schemas"]
    assert set(document["components"]["schemas"]["Problem"]["required"]) >= {"type", "title", "status", "detail"}
    assert "FieldError" in document["components"]["schemas"]


async def test_the_document_is_served_and_stays_the_same(http: httpx.AsyncClient) -> None:
    first = await http.get("http://things/openapi.json")
    second = await http.get("http://things/openapi.json")

    assert first.json() == second.json()
    assert "Problem" in first.json()["components"]["schemas"]


def test_a_service_without_a_database_does_not_load_one() -> None:
    program = (
        "import sys\n"
        "from genonaut.platform.http import errors, health, middleware, routing\n"
        "print(sorted({'sqlalchemy', 'asyncpg', 'nats', 'opentelemetry.sdk'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)  # noqa: S603 - our own program

    assert ran.stdout == "[]\n"


def test_every_problem_class_has_its_own_status_and_code() -> None:
    classes = [
        one
        for one in vars(errors).values()
        if isinstance(one, type) and issubclass(one, Problem) and one is not Problem
    ]
    built = [one("x") for one in classes]

    assert len({problem.status_code for problem in built}) == len(classes) == 13
    assert len({problem.error_code for problem in built}) == len(classes)
    assert all(problem.detail == "x" for problem in built)


THINGS = application()
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
