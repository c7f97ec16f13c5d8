"""No exception passes: every failure of a request leaves as one problem body, and is logged once.

The exceptions that routes and commands raise are importable from here.
"""

from typing import Any

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError, ResponseValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect
from uvicorn.protocols.utils import ClientDisconnected

from genonaut.platform.clock import Clock
from genonaut.platform.http.failures import problem_of
from genonaut.platform.http.problems import (
    MEDIA_TYPE,
    BadGatewayError,
    BadRequestError,
    ConflictError,
    FieldError,
    ForbiddenError,
    InternalError,
    InvalidError,
    NotFoundError,
    PayloadTooLargeError,
    Problem,
    ProblemBody,
    TimeoutProblem,
    TooManyRequestsError,
    UnauthorizedError,
    UnavailableError,
    UnsupportedMediaTypeError,
    problem_response,
)

__all__ = [
    "BadGatewayError",
    "BadRequestError",
    "Boundary",
    "ConflictError",
    "FieldError",
    "ForbiddenError",
    "InternalError",
    "InvalidError",
    "NotFoundError",
    "PayloadTooLargeError",
    "Problem",
    "ProblemBody",
    "TimeoutProblem",
    "TooManyRequestsError",
    "UnauthorizedError",
    "UnavailableError",
    "UnsupportedMediaTypeError",
    "install_errors",
]

log = structlog.get_logger()

INTERNAL_ERROR_CLOSE = 1011
"""The WebSocket close code for a failure of the server."""


def install_errors(app: FastAPI, *, clock: Clock, statement_timeout_ms: int | None = None) -> None:
    """Every error of `app` has the problem body, and its OpenAPI document says so.

    The statement timeout, of a process with a database, is shown in the 504 body. Middleware that may raise is
    added before this call, so that it runs inside.
    """
    answers = _Answers(clock, f"{statement_timeout_ms / 1000:g}s" if statement_timeout_ms else None)
    for kind in (HTTPException, RequestValidationError):
        app.add_exception_handler(kind, answers.handle)
    app.add_middleware(Boundary, answers=answers)
    _describe_problems(app)


class _Answers:
    def __init__(self, clock: Clock, statement_timeout: str | None) -> None:
        self._clock = clock
        self._statement_timeout = statement_timeout

    async def handle(self, connection: HTTPConnection, error: Exception) -> Response:
        return self.to(error, connection.scope)

    def to(self, error: Exception, scope: Scope) -> Response:
        problem = problem_of(error, scope, statement_timeout=self._statement_timeout)
        if isinstance(problem, InternalError):
            _log_crash(error, scope)
        elif problem is not error and problem.status_code >= 500:  # noqa: PLR2004 - the definition of a server error
            log.warning(
                "http.unavailable",
                path=scope["path"],
                error_code=problem.error_code,
                error=type(error).__name__,
                reason=str(error),
            )
        return problem_response(problem, scope, self._clock())


def _log_crash(error: Exception, scope: Scope) -> None:
    if isinstance(error, ResponseValidationError):
        # Its text has the whole answer in it, which may be somebody's data.
        wrong = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
        log.error("http.crashed", path=scope["path"], method=scope.get("method"), wrong_answer=wrong)
    else:
        log.error("http.crashed", path=scope["path"], method=scope.get("method"), exc_info=error)


class Boundary:
    """ASGI middleware that answers for what the routes raise."""

    def __init__(self, app: ASGIApp, answers: _Answers) -> None:
        self.app = app
        self._answers = answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = started or message["type"] in ("http.response.start", "websocket.accept")
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except (ClientDisconnect, ClientDisconnected, WebSocketDisconnect):
            return  # nobody is left to be answered
        except Exception as error:  # noqa: BLE001 - this is the boundary
            if not started:
                await self._answers.to(error, scope)(scope, receive, send)
                return
            _log_crash(error, scope)
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": INTERNAL_ERROR_CLOSE})
            # Of a response that has begun, the server closes the connection: it sees that the end is missing.


def _describe_problems(app: FastAPI) -> None:
    """Lets the OpenAPI document show the problem body for 4xx and 5xx, instead of FastAPI's own 422."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        if "Problem" in schemas:
            return document
        schemas["Problem"] = ProblemBody.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(schemas["Problem"].pop("$defs", {}))
        body = {"content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
        for path in document.get("paths", {}).values():
            for operation in path.values():
                responses = operation.setdefault("responses", {})
                if "HTTPValidationError" in str(responses.get("422")):
                    del responses["422"]
                responses.setdefault("4XX", {"description": "The request cannot be served", **body})
                responses.setdefault("5XX", {"description": "The server cannot serve it now", **body})
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend the document
