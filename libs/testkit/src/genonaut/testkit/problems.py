"""What every error answer has to be, and what none may tell."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

FIELDS = {"type", "title", "status", "detail", "instance", "success", "error", "error_code", "timestamp"}
INTERNALS = re.compile(
    r"Traceback|\bSELECT |INSERT INTO|asyncpg|sqlalchemy|pydantic|/site-packages/|\.py\b|127\.0\.0\.1|localhost"
    r"|postgres",
    re.IGNORECASE,
)
"""What no error may tell."""


def faults_of(status: int, headers: Mapping[str, Any], problem: Any) -> Iterator[str]:
    """What our own rules say about an answer. `problem` is its body, when it is one."""
    if "x-request-id" not in headers:
        yield "no X-Request-ID"
    if status < 400:  # noqa: PLR2004 - not an error
        return
    if not isinstance(problem, dict):
        yield f"an error as {headers.get('content-type')}"
    elif not _is_whole(problem) or problem["status"] != status:
        yield f"no whole problem: {problem}"
    elif found := INTERNALS.search(json.dumps(_ours(problem))):
        yield f"{found.group()!r} in {problem}"


def _is_whole(problem: dict[str, Any]) -> bool:
    return problem.keys() >= FIELDS and problem["success"] is False and isinstance(problem["detail"], str)


def _ours(problem: dict[str, Any]) -> dict[str, Any]:
    """Without what the client sent: its path, and the names of its fields."""
    context = {"instance": "", "details": None, "errors": [error["msg"] for error in problem.get("errors", ())]}
    return {**problem, **context}
