"""What surrounds every request: its id, its trace, its metrics and its line in the log.

Plain ASGI, so that a streamed body stays streamed and a request costs microseconds.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from time import perf_counter_ns
from uuid import uuid4

import structlog
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import get_flat_params
from fastapi.params import Query
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from genonaut.platform import metrics, telemetry
from genonaut.platform.context import Cause, caused_by
from genonaut.platform.http.errors import Boundary
from genonaut.platform.http.intake import Intake

REQUEST_ID = "X-Request-ID"
ROUTE = "X-Genonaut-Route"
"""The route of a response as a URI template (RFC 6570), e.g. `/api/v1/content/{id}{?size,format}`: its path, and the
query parameters that it knows. The gateway reads it and takes it off."""

ROUTE_KEY = "genonaut.route"
"""Key of the ASGI scope that overrides the route: the gateway puts there what a service said."""

DEFAULT_BODY_LIMIT = 1024 * 1024
INTERNAL_SERVER_ERROR = 500
CLIENT_CLOSED_REQUEST = 499

_QUIET = frozenset({"/health", "/ready", "/metrics"})
_READ_HEADERS = frozenset({b"x-request-id", b"traceparent"})
_OUR_HEADERS = frozenset({b"x-request-id", b"x-genonaut-route"})
_ANSWERS = frozenset({"http.response.start", "websocket.accept", "websocket.http.response.start"})
_SWITCHING_PROTOCOLS = 101
_REFUSED_SOCKET = 403
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")

log = structlog.get_logger()


@dataclass(slots=True)
class Served:
    """One answered request."""

    scope: Scope
    method: str
    request_id: str
    route: str | None = None
    """The template of the path; None when no route matched."""
    parameters: frozenset[str] = frozenset()
    """The query parameters that the route knows. Whatever else a query has, a stranger made up."""
    status: int = 0
    duration_us: int = 0
    """From the first byte read to the last byte sent."""
    request_bytes: int = 0
    response_bytes: int = 0
    disconnected: bool = False
    """The client left before the end."""


Observer = Callable[[Served], None]


def install_middleware(
    app: FastAPI,
    *,
    max_body_bytes: int = DEFAULT_BODY_LIMIT,
    body_limits: Mapping[str, int] | None = None,
    body_room: int | None = None,
    on_served: Observer | None = None,
    show_route: bool = True,
) -> None:
    """Surrounds `app`. Called last, after `install_errors`; the app has `redirect_slashes=False`.

    `body_limits` are bytes by path prefix, the longest prefix wins; other paths take `max_body_bytes`. `body_room` is
    bytes of all the bodies that are held at the same time; None for a server that passes them on. `on_served` is told
    about every finished HTTP request and must not block. `show_route=False` for a server that strangers talk to: then
    X-Genonaut-Route is not sent.
    """
    if not app.user_middleware or getattr(app.user_middleware[0].cls, "__name__", "") != Boundary.__name__:
        raise TypeError("install_errors comes before install_middleware: it answers for what is refused here")
    # Inside the boundary, which answers for it, and outside everything that may read a body.
    limits = {"": max_body_bytes, **(body_limits or {})}
    app.user_middleware.insert(1, Middleware(Intake, body_limits=limits, room=body_room))
    app.add_middleware(RequestContext, on_served=on_served, show_route=show_route)


class RequestContext:
    """ASGI middleware: sets `current_cause` for the request and states what became of it.

    Paths answer the same with and without a trailing slash; routes are declared without.
    """

    def __init__(self, app: ASGIApp, *, on_served: Observer | None = None, show_route: bool = True) -> None:
        self.app = app
        self._on_served = on_served
        self._show_route = show_route

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = {name: value for name, value in scope["headers"] if name in _READ_HEADERS}
        method = scope.get("method", "WEBSOCKET")
        served = Served(_without_trailing_slash(scope), method, _request_id(headers))
        traceparent = telemetry.accepted(headers.get(b"traceparent", b"").decode("latin-1"))
        started = perf_counter_ns()
        with telemetry.server_span(_bounded(method), traceparent) as span:
            # Inside the span, so that what the request states belongs to it.
            known = telemetry.current_traceparent() if telemetry.enabled() else traceparent
            with (
                caused_by(Cause(served.request_id, traceparent=known)),
                metrics.HTTP_ACTIVE.track_inprogress(),
            ):
                try:
                    await self.app(served.scope, *self._watched(served, receive, send))
                except Exception:
                    served.status = served.status or INTERNAL_SERVER_ERROR
                    raise
                finally:
                    served.duration_us = (perf_counter_ns() - started) // 1000
                    served.route, served.parameters = route_of(served.scope)
                    if served.disconnected and not served.status:
                        served.status = CLIENT_CLOSED_REQUEST
                    telemetry.describe_request(span, method=_bounded(method), route=served.route, status=served.status)
                    self._state(served)

    def _watched(self, served: Served, receive: Receive, send: Send) -> tuple[Receive, Send]:
        """The two ends of the connection; what passes through them is written into `served`."""
        complete = False

        async def received() -> Message:
            message = await receive()
            if message["type"] == "http.request":
                served.request_bytes += len(message.get("body", b""))
            elif message["type"] == "http.disconnect":
                served.disconnected = not complete
            return message

        async def sent(message: Message) -> None:
            nonlocal complete
            kind = message["type"]
            if kind == "http.response.body":
                served.response_bytes += len(message.get("body", b""))
                complete = not message.get("more_body", False)
            elif kind in _ANSWERS:
                if not served.disconnected:
                    served.status = message.get("status", _SWITCHING_PROTOCOLS)
                message = {**message, "headers": self._headers(served, message.get("headers", ()))}
            elif kind == "websocket.close" and not served.status:
                served.status = _REFUSED_SOCKET
            await send(message)

        return received, sent

    def _headers(self, served: Served, headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        ours = [(b"x-request-id", served.request_id.encode())]
        if self._show_route and (route := _uri_template(served.scope)):
            ours.append((b"x-genonaut-route", route.encode()))
        return [header for header in headers if header[0] not in _OUR_HEADERS] + ours

    def _state(self, served: Served) -> None:
        if served.scope["path"] in _QUIET:
            return
        if served.scope["type"] == "http":
            metrics.HTTP_DURATION.labels(
                _bounded(served.method), served.route or "unmatched", str(served.status)
            ).observe(served.duration_us / 1_000_000)
            if self._on_served is not None:
                self._on_served(served)
        write = log.info if served.status < 400 else log.warning if served.status < 500 else log.error  # noqa: PLR2004 - status classes
        write(
            "request",
            method=served.method,
            path=served.scope["path"],
            route=served.route,
            status=served.status,
            duration_ms=served.duration_us / 1000,
            bytes=served.response_bytes,
        )


def route_of(scope: Scope) -> tuple[str | None, frozenset[str]]:
    """The path template that the request matched, None before or without a match, and the parameters it knows."""
    return _taken_apart(template) if (template := _uri_template(scope)) else (None, frozenset())


@lru_cache(maxsize=1024)
def _taken_apart(uri_template: str) -> tuple[str, frozenset[str]]:
    path, _, names = uri_template.partition("{?")
    return path, frozenset(names.removesuffix("}").split(",")) if names else frozenset()


def _uri_template(scope: Scope) -> str | None:
    if override := scope.get(ROUTE_KEY):
        return str(override)
    # FastAPI keeps a router's routes apart from where they are included: only this context has the whole path.
    context = scope.get("fastapi", {}).get("effective_route_context")
    route = getattr(context, "starlette_route", None) or context or scope.get("route")
    path = getattr(route, "path_format", None)
    return f"{path}{_parameters(getattr(route, 'dependant', None))}" if isinstance(path, str) else None


def _parameters(dependant: Dependant | None) -> str:
    """Those of a query, e.g. `{?size,format}`; computed once for each route."""
    if dependant is None:
        return ""
    known = _PARAMETERS.get(id(dependant))
    if known is None or known[0] is not dependant:
        queries = [param.alias for param in get_flat_params(dependant) if isinstance(param.field_info, Query)]
        names = ",".join(sorted(set(queries)))
        known = _PARAMETERS[id(dependant)] = (dependant, f"{{?{names}}}" if names else "")
    return known[1]


_PARAMETERS: dict[int, tuple[Dependant, str]] = {}
"""By identity: a dependant has no hash. Routes live as long as the process."""


def _request_id(headers: dict[bytes, bytes]) -> str:
    given = headers.get(b"x-request-id", b"").decode("latin-1")
    return given if _REQUEST_ID.fullmatch(given) else str(uuid4())


def _without_trailing_slash(scope: Scope) -> Scope:
    path = scope["path"]
    if len(path) == 1 or not path.endswith("/"):
        return scope
    return {
        **scope,
        "path": path.rstrip("/") or "/",
        "raw_path": (scope.get("raw_path") or b"").rstrip(b"/") or b"/",
    }


def _bounded(method: str) -> str:
    """A label: strangers may invent methods."""
    return method if method in _METHODS else "OTHER"
