"""What is raised to be answered, and the one body that all errors have (RFC 9457, `application/problem+json`).

    Problem                          anything that is raised to be answered
     ├ BadRequestError          400  the request cannot be read
     ├ UnauthorizedError        401  who is it?
     ├ ForbiddenError           403  not theirs to do
     ├ NotFoundError            404  it does not exist, or not for this person
     ├ ConflictError            409  it does not fit the present state
     ├ PayloadTooLargeError     413  the body is over the limit
     ├ UnsupportedMediaTypeError 415 the body is not what is read here
     ├ InvalidError             422  it can be read and is wrong; `errors[]` says where
     ├ TooManyRequestsError     429  later
     ├ BadGatewayError          502  another service answered nonsense
     ├ UnavailableError         503  a part that is needed is not there; Retry-After says when to ask again
     └ TimeoutProblem           504  it took too long

Routes and commands raise them. Whatever else is raised becomes one too: nothing of it leaves, it is logged.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, ClassVar

import orjson
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Scope

from genonaut.platform.context import current_cause

MEDIA_TYPE = "application/problem+json"

ERROR_KEY = "genonaut.error_code"
"""Key of the ASGI scope under which a request that was answered with a problem has its `error_code`."""


class FieldError(BaseModel):
    """One thing that is wrong, and where: `loc` is the path from `body`, `query`, `path` or `header` on."""

    loc: list[str | int]
    msg: str
    type: str


class Problem(HTTPException):
    """What a caller is told: `detail` for people, `error_code` for programs. `extra` adds members to the body."""

    # An HTTPException, because FastAPI turns every other one that is raised while it reads a body into a 400.

    def __init__(
        self,
        status: int,
        title: str,
        detail: str,
        error_code: str,
        *,
        errors: Iterable[FieldError] | None = None,
        extra: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, detail, dict(headers) if headers else None)
        self.title = title
        self.error_code = error_code
        self.errors = list(errors) if errors is not None else None
        self.extra = dict(extra) if extra else {}


class _Declared(Problem):
    """A problem with its status and title. A more precise `error_code` may replace the usual one."""

    status: ClassVar[int]
    title_: ClassVar[str]
    usual_code: ClassVar[str]
    usual_headers: ClassVar[Mapping[str, str]] = {}

    def __init__(
        self,
        detail: str | None = None,
        *,
        error_code: str | None = None,
        errors: Iterable[FieldError] | None = None,
        extra: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(
            self.status,
            self.title_,
            detail or self.title_,
            error_code or self.usual_code,
            errors=errors,
            extra=extra,
            headers={**self.usual_headers, **(headers or {})},
        )


class BadRequestError(_Declared):
    status, title_, usual_code = 400, "Bad request", "BAD_REQUEST"


class UnauthorizedError(_Declared):
    status, title_, usual_code = 401, "Sign-in required", "UNAUTHORIZED"
    usual_headers: ClassVar = {"WWW-Authenticate": "Bearer"}


class ForbiddenError(_Declared):
    status, title_, usual_code = 403, "Not allowed", "FORBIDDEN"


class NotFoundError(_Declared):
    status, title_, usual_code = 404, "Not found", "NOT_FOUND"


class ConflictError(_Declared):
    status, title_, usual_code = 409, "Conflict", "CONFLICT"


class PayloadTooLargeError(_Declared):
    status, title_, usual_code = 413, "Body too large", "PAYLOAD_TOO_LARGE"


class UnsupportedMediaTypeError(_Declared):
    status, title_, usual_code = 415, "Unsupported media type", "UNSUPPORTED_MEDIA_TYPE"


class InvalidError(_Declared):
    """Wrong input. `loc` is the one place, e.g. `("body", "creator_id")`; several places go into `errors`."""

    status, title_, usual_code = 422, "Invalid request", "VALIDATION_ERROR"

    def __init__(
        self,
        detail: str,
        *,
        loc: Iterable[str | int] = (),
        errors: Iterable[FieldError] | None = None,
        error_code: str | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        if errors is None:
            errors = [FieldError(loc=list(loc), msg=detail, type="value_error")]
        super().__init__(detail, error_code=error_code, errors=errors, extra=extra)


class TooManyRequestsError(_Declared):
    status, title_, usual_code = 429, "Too many requests", "RATE_LIMITED"


class InternalError(_Declared):
    status, title_, usual_code = 500, "Internal error", "INTERNAL_ERROR"


class BadGatewayError(_Declared):
    status, title_, usual_code = 502, "Bad gateway", "BAD_GATEWAY"


class UnavailableError(_Declared):
    status, title_, usual_code = 503, "Temporarily unavailable", "UNAVAILABLE"

    def __init__(
        self,
        detail: str | None = None,
        *,
        retry_after: int = 2,
        error_code: str | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail, error_code=error_code, extra=extra, headers={"Retry-After": str(retry_after)})


class TimeoutProblem(_Declared):
    status, title_, usual_code = 504, "Timed out", "TIMEOUT"


class ProblemBody(BaseModel):
    """The body of every error."""

    model_config = ConfigDict(extra="allow", title="Problem")

    type: str = Field(examples=["urn:genonaut:problem:not-found"])
    title: str = Field(examples=["Not found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["There is no generation job 17"])
    instance: str = Field(description="The path that was asked for.", examples=["/api/v1/generation-jobs/17"])
    success: bool = Field(default=False, description="Always false.")
    error: str = Field(examples=["NotFound"])
    error_code: str = Field(examples=["NOT_FOUND"])
    timestamp: datetime
    request_id: str | None = Field(default=None, description="As in X-Request-ID.")
    errors: list[FieldError] | None = Field(default=None, description="What is wrong, with 422 only.")


def problem_response(problem: Problem, scope: Scope, now: datetime) -> Response:
    """The answer to a request that failed with `problem`, which its scope remembers."""
    scope[ERROR_KEY] = problem.error_code
    cause = current_cause()
    words = problem.error_code.lower().split("_")
    body: dict[str, Any] = {
        "type": f"urn:genonaut:problem:{'-'.join(words)}",
        "title": problem.title,
        "status": problem.status_code,
        "detail": _storable(problem.detail),
        "instance": _storable(scope["path"]),
        "success": False,
        "error": "".join(word.capitalize() for word in words),
        "error_code": problem.error_code,
        "timestamp": now,
    }
    if cause is not None:
        body["request_id"] = cause.correlation_id
    if problem.errors is not None:
        body["errors"] = [
            {"loc": [_storable(part) for part in error.loc], "msg": _storable(error.msg), "type": error.type}
            for error in problem.errors
        ]
    body.update(problem.extra)
    return Response(
        orjson.dumps(body, default=str, option=orjson.OPT_UTC_Z),
        problem.status_code,
        headers=dict(problem.headers or {}),
        media_type=MEDIA_TYPE,
    )


def _storable(part: Any) -> Any:
    """Text as valid UTF-8: lone surrogates in somebody's field names must not break the answer to them."""
    return part.encode("utf-8", "replace").decode() if isinstance(part, str) else part
