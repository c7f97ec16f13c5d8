"""From a served request to its event. Nothing a stranger sends makes an event that cannot be stored."""

from contextlib import suppress
from typing import Any
from urllib.parse import unquote_plus
from uuid import UUID

from genonaut.contracts.gateway import ANY_VALUE, FREE_TEXT, MEASURED_PREFIX, RequestServed
from genonaut.platform.http.middleware import Served
from genonaut.platform.http.problems import ERROR_KEY

MAX_QUERY_BYTES = 2048
"""What is read of a query, so that an event has a bounded size."""
MAX_ERROR_LENGTH = 100


def fact_of(served: Served) -> RequestServed | None:
    """The event of one request; None when its route is not measured, or nobody named one.

    `user_id` is there when the query or X-User-ID names a UUID.

    Of a query, only parameters that the route knows are told: others would let a stranger make up patterns.
    """
    if served.route is None or not served.route.startswith(MEASURED_PREFIX):
        return None
    query = _query(served.scope["query_string"])
    return RequestServed(
        method=served.method,
        route=served.route,
        status_code=served.status,
        duration_us=served.duration_us,
        user_id=_user_id(served, query),
        query_params={name: _told(name, query[name]) for name in query if name in served.parameters},
        request_bytes=served.request_bytes,
        response_bytes=served.response_bytes,
        error_type=_error_type(served),
    )


def _told(name: str, value: Any) -> Any:
    return ANY_VALUE if name in FREE_TEXT else value


def _query(query_string: bytes) -> dict[str, Any]:
    """A parameter that came more than once is a list."""
    if not query_string:
        return {}
    text = query_string[:MAX_QUERY_BYTES].decode("latin-1")
    encoded = "%" in text or "+" in text or "\0" in text
    params: dict[str, Any] = {}
    for pair in text.split("&"):
        name, _, value = pair.partition("=")
        if encoded:
            name, value = _decoded(name), _decoded(value)
        if not name:
            continue
        if name not in params:
            params[name] = value
        elif isinstance(params[name], list):
            params[name].append(value)
        else:
            params[name] = [params[name], value]
    return params


def _decoded(text: str) -> str:
    # Refused requests are facts too, and Postgres holds no NUL.
    return unquote_plus(text).replace("\0", "\ufffd")


def _user_id(served: Served, query: dict[str, Any]) -> UUID | None:
    given = query.get("user_id")
    if given is None:
        given = next((value.decode("latin-1") for name, value in served.scope["headers"] if name == b"x-user-id"), None)
    if isinstance(given, str):
        with suppress(ValueError):
            return UUID(given)
    return None


def _error_type(served: Served) -> str | None:
    """The `error_code` of the problem that was answered, else the kind of failure by its status."""
    if code := served.scope.get(ERROR_KEY):
        return str(code)[:MAX_ERROR_LENGTH]
    if served.disconnected:
        return "CLIENT_LEFT"
    return f"HTTP_{served.status}" if served.status >= 400 or not served.status else None  # noqa: PLR2004 - errors
