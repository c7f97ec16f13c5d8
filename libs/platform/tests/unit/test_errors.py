"""Whatever goes wrong, the answer is one problem body, and nothing of ours is in it."""

import gc
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import nats.errors
import nats.js.errors
import pytest
from fastapi import FastAPI, HTTPException, WebSocket
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.responses import StreamingResponse
from structlog.testing import capture_logs

from genonaut.platform.http import errors
from genonaut.platform.http.errors import (
    ConflictError,
    InvalidError,
    NotFoundError,
    Problem,
    UnauthorizedError,
    UnavailableError,
    install_errors,
)
from genonaut.platform.http.failures import problem_of
from genonaut.platform.http.middleware import install_middleware
from genonaut.platform.http.routing import Router
from genonaut.platform.trouble import ConcurrencyConflictError, EventTooLargeError

NOW = datetime(2024, 12, 1, 10, 0, tzinfo=UTC)
JSON = {"content-type": "application/json"}


class Thing(BaseModel):
    name: str = Field(min_length=1, max_length=20)
    weight: float = Field(default=1, ge=0)
    more: dict[str, Any] = Field(default_factory=dict)


class Answer(BaseModel):
    number: int


things = Router(prefix="/things", tags=["things"])


@things.get("")
async def listed() -> list[Thing]:
    return []


@things.get("/{number}")
async def by_number(number: int, x: str = "") -> str:
    return f"{number}{x}"


@things.post("")
async def create(thing: Thing) -> Thing:
    return thing


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
    install_middleware(app)
    return app


RAISED: dict[str, Exception] = {
    "not-found": NotFoundError("There is no generation job 17"),
    "conflict": ConflictError("This name is taken", error_code="NAME_TAKEN", extra={"name": "x"}),
    "invalid": InvalidError("There is no such user", loc=("body", "creator_id")),
    "unavailable": UnavailableError("Full", retry_after=30),
    "unknown": UnauthorizedError("Who is it?"),
    "teapot": Problem(418, "Teapot", "Short and stout", "TEAPOT"),
    "fastapi": HTTPException(403, "Not yours"),
    "odd": HTTPException(409, {"not": "text"}),
    "bug": RuntimeError("postgresql://somebody:password@host/db failed in /srv/app.py"),
    "value": ValueError("SELECT secret"),
    "file": FileNotFoundError("/etc/shadow"),
    "too-large": EventTooLargeError("content.item.created of 7 is too large"),
    "raced": ConcurrencyConflictError("user-1 is past version 3"),
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
        ("too-large", 413, "PAYLOAD_TOO_LARGE"),
        ("raced", 409, "CONFLICT"),
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
    unknown = await http.get("/things/raising/unknown")

    assert unknown.headers["WWW-Authenticate"] == "Bearer"
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


async def test_unknown_paths_and_methods_have_the_body_too(http: httpx.AsyncClient) -> None:
    nowhere = await http.get("/nothing/here")
    patch = await http.patch("/things")

    assert (nowhere.status_code, nowhere.json()["error_code"]) == (404, "NOT_FOUND")
    assert (patch.status_code, patch.json()["error_code"]) == (405, "METHOD_NOT_ALLOWED")
    assert patch.headers["Allow"] == "GET, POST"


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
    assert len(operations) == 6
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
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

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


def test_a_thousand_mistakes_are_counted_and_not_all_listed() -> None:
    mistakes = [
        {"loc": ("body", f"a{n}"), "msg": "Extra inputs are not permitted", "type": "extra"} for n in range(1000)
    ]

    problem = problem_of(RequestValidationError(mistakes), {"headers": []}, statement_timeout=None)

    assert isinstance(problem, InvalidError)
    assert len(problem.errors) == 100
    assert str(problem.detail).endswith("; and 997 more")
