"""What an exception that nobody raised on purpose means to the caller. Its text never reaches them."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

from fastapi.exceptions import RequestValidationError
from fastapi.routing import RouteContext, iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.types import Scope

from genonaut.platform.http.problems import (
    BadRequestError,
    ConflictError,
    FieldError,
    InternalError,
    InvalidError,
    PayloadTooLargeError,
    Problem,
    TimeoutProblem,
    UnavailableError,
    UnsupportedMediaTypeError,
)
from genonaut.platform.trouble import (
    ConcurrencyConflictError,
    EventTooLargeError,
    is_conflict,
    is_outage,
    is_timeout,
)

TOO_SLOW = "The operation took too long to complete. Please try again or refine your request."

UNSTORABLE = {
    "22003",  # numeric value out of range
    "22021",  # not in the character repertoire: NUL in a text
    "22P05",  # untranslatable character: \u0000 in JSON
}
"""States that Postgres reports about values which passed validation and which no column can hold."""


def problem_of(error: BaseException, scope: Scope, *, statement_timeout: str | None) -> Problem:
    """The problem that `error` is to the caller; InternalError when it is our fault or unknown."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, RequestValidationError):
        return _invalid(error, scope)
    if isinstance(error, HTTPException):
        return _of_http_exception(error, scope)
    return _of_infrastructure(error, scope, statement_timeout) or InternalError(
        "The server failed to answer this request. It has been logged."
    )


def _of_infrastructure(error: BaseException, scope: Scope, statement_timeout: str | None) -> Problem | None:
    states = {str(state) for one in _chain(error) if (state := getattr(one, "sqlstate", None))}
    if "57014" in states:
        return _statement_timeout(scope, statement_timeout)
    if states & UNSTORABLE or _unencodable(error):
        return InvalidError("A value is out of range or contains characters that cannot be stored.")
    if any(isinstance(one, EventTooLargeError) for one in _chain(error)):
        return PayloadTooLargeError("This is more than can be stored at once. Make it smaller.")
    if any(isinstance(one, ConcurrencyConflictError) for one in _chain(error)):
        return ConflictError("Somebody else changed it at the same moment. Try again.")
    if any(is_outage(one) or is_timeout(one) or is_conflict(one) for one in _chain(error)):
        return UnavailableError("A part of the service is not reachable at the moment. Try again soon.")
    return None


MOST_ERRORS = 100
"""That an answer lists; its sentence says how many there are."""


def _invalid(error: RequestValidationError, scope: Scope) -> Problem:
    errors = list(error.errors())
    if errors and errors[0]["type"] == "json_invalid":
        return BadRequestError(
            f"The body is not valid JSON: {errors[0].get('ctx', {}).get('error', 'malformed')}",
            error_code="INVALID_JSON",
        )
    # FastAPI hands the bytes themselves to validation when the content type is not JSON.
    if isinstance(error.body, bytes) and error.body:
        content_type = dict(scope["headers"]).get(b"content-type", b"").decode("latin-1")
        return UnsupportedMediaTypeError(
            f"The body must be application/json, not {content_type[:100] or 'without a content type'}",
            headers={"Accept": "application/json"},
        )
    # A body of a megabyte may have tens of thousands of them: the answer would be many times as long.
    found = [FieldError(loc=list(one["loc"]), msg=one["msg"], type=one["type"]) for one in errors[:MOST_ERRORS]]
    detail = "; ".join(f"{'.'.join(map(str, one.loc))}: {one.msg}" for one in found[:3])
    if len(errors) > 3:  # noqa: PLR2004 - as many as the sentence above names
        detail += f"; and {len(errors) - 3} more"
    return InvalidError(detail or "The request is invalid.", errors=found)


_HTTP_PROBLEMS = {
    400: ("Bad request", "BAD_REQUEST"),
    401: ("Sign-in required", "UNAUTHORIZED"),
    403: ("Not allowed", "FORBIDDEN"),
    404: ("Not found", "NOT_FOUND"),
    405: ("Method not allowed", "METHOD_NOT_ALLOWED"),
    413: ("Body too large", "PAYLOAD_TOO_LARGE"),
    415: ("Unsupported media type", "UNSUPPORTED_MEDIA_TYPE"),
    416: ("Range not satisfiable", "RANGE_NOT_SATISFIABLE"),
    429: ("Too many requests", "RATE_LIMITED"),
    503: ("Temporarily unavailable", "UNAVAILABLE"),
}


def _of_http_exception(error: HTTPException, scope: Scope) -> Problem:
    """What FastAPI and Starlette raise themselves: unknown paths, methods, unreadable bodies."""
    title, code = _HTTP_PROBLEMS.get(error.status_code, ("Error", f"HTTP_{error.status_code}"))
    detail = str(error.detail)
    if error.status_code == 400 and detail == "There was an error parsing the body":  # noqa: PLR2004 - bad request
        # Neither UTF-8 nor numbers and nesting of a size that a parser takes.
        return BadRequestError("The body is not valid JSON", error_code="INVALID_JSON")
    details = {"Not Found": "Nothing is here.", "Method Not Allowed": "This path does not take this method."}
    headers = dict(error.headers or {})
    if error.status_code == 405 and "app" in scope:  # noqa: PLR2004 - method not allowed
        headers["Allow"] = ", ".join(_methods_at(scope))
    return Problem(error.status_code, title, details.get(detail, detail), code, headers=headers)


def _methods_at(scope: Scope) -> list[str]:
    """The methods that the path takes. The router names only those of the first route that it finds there."""
    routes = iter_route_contexts(scope["app"].routes)
    return sorted({method for route in routes if _matches(route, scope["path"]) for method in route.methods or ()})


def _matches(route: RouteContext, path: str) -> bool:
    return route.methods is not None and route.path_regex.match(path) is not None


def _statement_timeout(scope: Scope, duration: str | None) -> Problem:
    endpoint = getattr(scope.get("endpoint"), "__name__", None)
    context = {"path": scope["path"], "method": scope.get("method"), "endpoint": endpoint, **_user(scope)}
    return TimeoutProblem(
        TOO_SLOW,
        error_code="STATEMENT_TIMEOUT",
        extra={
            "error_type": "statement_timeout",
            "message": TOO_SLOW,
            "timeout_duration": duration,
            "details": {"context": context},
        },
    )


def _user(scope: Scope) -> dict[str, str]:
    """`user_id`, when the request says who asks."""
    said = dict(parse_qsl(scope.get("query_string", b"").decode("latin-1"))).get("user_id", "")
    try:
        return {"user_id": str(UUID(said))}
    except ValueError:
        return {}


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what it wraps."""
    seen: set[int] = set()
    todo: list[Any] = [error]
    while todo:
        one = todo.pop()
        if isinstance(one, BaseException) and id(one) not in seen:
            seen.add(id(one))
            yield one
            todo += [getattr(one, "orig", None), one.__cause__]


def _unencodable(error: BaseException) -> bool:
    """The driver could not even encode a parameter: an integer above 64 bits, a lone surrogate.

    A parameter of the wrong type is a bug of ours and has a TypeError in this place.
    """
    # By name: a service that uses no database shall not import one to catch its exceptions.
    encoding = any(
        type(one).__module__.startswith("asyncpg") and type(one).__name__ == "DataError" for one in _chain(error)
    )
    return encoding and any(isinstance(one, OverflowError | UnicodeEncodeError) for one in _chain(error))
