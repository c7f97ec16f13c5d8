"""Every endpoint of the merged OpenAPI document answers bad input with the agreed 4xx body, and nothing leaks.

The endpoints are read from the document itself, so a new one is covered when it appears.
"""

import json
import re
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

FIELDS = {"type", "title", "status", "detail", "instance", "success", "error", "error_code", "timestamp"}
LEAKS = re.compile(r"Traceback|SELECT |asyncpg|sqlalchemy|/site-packages/|\.py\b|127\.0\.0\.1|postgres", re.IGNORECASE)
UNKNOWN = {"integer": "999999999", "string": str(uuid4())}
OVERSIZED = b'{"prompt": "' + b"x" * (2 * 1024 * 1024) + b'"}'


@pytest.fixture(scope="module")
def operations(stack) -> list[tuple[str, str, dict[str, Any]]]:
    """Method, path template and description of every operation of the API."""
    document = stack.json("GET", "/openapi.json")
    found = [
        (method.upper(), path, operation)
        for path, methods in document["paths"].items()
        if path.startswith("/api/")
        for method, operation in methods.items()
        if method in {"get", "post", "put", "delete", "patch"}
    ]
    assert len(found) >= 25, sorted(path for _, path, _ in found)
    return found


def assert_problem(answer: httpx.Response, *statuses: int, code: str | None = None) -> None:
    told = f"{answer.request.method} {answer.request.url} → {answer.status_code} {answer.text[:300]}"
    assert answer.status_code in statuses, told
    assert answer.headers["content-type"].startswith("application/problem+json"), told
    body = answer.json()
    assert body.keys() >= FIELDS, told
    assert (body["status"], body["success"]) == (answer.status_code, False), told
    assert isinstance(body["detail"], str), told
    assert not LEAKS.search(json.dumps({**body, "instance": ""})), told
    assert answer.headers["X-Request-ID"], told
    if code:
        assert body["error_code"] == code, told


def parameters(operation: dict[str, Any], where: str) -> Iterator[tuple[str, dict[str, Any], bool]]:
    for each in operation.get("parameters", []):
        if each["in"] == where:
            yield each["name"], each.get("schema", {}), each.get("required", False)


def sound_query(operation: dict[str, Any]) -> dict[str, str]:
    """A value for every required query parameter."""
    values = {"user_id": str(uuid4()), "route": "/api/v1/content"}
    return {name: values.get(name, "1") for name, _, required in parameters(operation, "query") if required}


def filled(path: str, operation: dict[str, Any], value: str | None = None) -> str:
    """The path with every parameter unknown but well-formed, or all of them `value`."""
    for name, schema, _ in parameters(operation, "path"):
        kinds = [schema.get("type"), *(option.get("type") for option in schema.get("anyOf", []))]
        known = "0" * 64 if "sha" in name else UNKNOWN["integer" if "integer" in kinds else "string"]
        path = path.replace("{" + name + "}", value if value is not None else known)
    return path


def has_json_body(operation: dict[str, Any]) -> bool:
    return "application/json" in operation.get("requestBody", {}).get("content", {})


def test_broken_json(stack, operations) -> None:
    tried = 0
    for method, path, operation in operations:
        if has_json_body(operation):
            tried += 1
            for body in (b'{"a": ', b"\xff\xfe", b'{"a": NaN}'):
                answer = stack.api.request(
                    method, filled(path, operation), content=body, headers={"Content-Type": "application/json"}
                )
                assert_problem(answer, 400, code="INVALID_JSON")
    assert tried >= 6


def test_a_body_of_the_wrong_type(stack, operations) -> None:
    for method, path, operation in operations:
        if has_json_body(operation):
            answer = stack.api.request(
                method, filled(path, operation), content=b"<a/>", headers={"Content-Type": "application/xml"}
            )
            assert_problem(answer, 415)


def test_a_body_that_is_too_large(stack, operations) -> None:
    for method, path, operation in operations:
        if has_json_body(operation):
            answer = stack.api.request(
                method, filled(path, operation), content=OVERSIZED, headers={"Content-Type": "application/json"}
            )
            assert_problem(answer, 413)


@pytest.mark.parametrize("body", [None, [], "text", 7, {}])
def test_a_body_of_the_wrong_shape(stack, operations, body: object) -> None:
    for method, path, operation in operations:
        if has_json_body(operation) and operation["requestBody"].get("required"):
            answer = stack.api.request(method, filled(path, operation), json=body, params=sound_query(operation))
            assert answer.status_code in {404, 422} or (answer.is_success and body == {}), (method, path, answer.text)
            if answer.is_error:
                assert_problem(answer, 404, 422)


def test_unknown_ids(stack, operations) -> None:
    tried = 0
    for method, path, operation in operations:
        if method == "GET" and "{" in path and not re.search(r"by-|users/\{[a-z_]+\}/", path):
            tried += 1
            answer = stack.api.get(filled(path, operation), params=sound_query(operation))
            assert_problem(answer, 404)
    assert tried >= 5


@pytest.mark.parametrize("value", ["not-an-id", "99999999999999999999999", "-1", "1.5", "%00", "%F0%9F%98%80"])
def test_malformed_ids(stack, operations, value: str) -> None:
    for method, path, operation in operations:
        if "{" in path:
            request: dict[str, Any] = {"params": sound_query(operation)}
            if has_json_body(operation):
                request["json"] = {}
            answer = stack.api.request(method, filled(path, operation, value), **request)
            assert_problem(answer, 400, 404, 422)


@pytest.mark.parametrize(
    ("name", "value", "status", "code"),
    [
        ("cursor", "nonsense", 400, "INVALID_CURSOR"),
        ("cursor", "e30", 400, "INVALID_CURSOR"),
        ("page_size", "1001", 422, "INVALID_PAGE_SIZE"),
        ("page", "999999", 404, "PAGE_OUT_OF_RANGE"),
        ("page", "0", 422, None),
        ("page", "many", 422, None),
        ("sort_field", "password; DROP TABLE users", 422, None),
        ("sort_order", "sideways", 422, None),
        ("user_id", "not-a-uuid", 422, None),
        ("days", "0", 422, None),
    ],
)
def test_bad_parameters(stack, operations, name: str, value: str, status: int, code: str | None) -> None:
    tried = 0
    for method, path, operation in operations:
        names = [each for each, _, _ in parameters(operation, "query")]
        if method == "GET" and name in names and "{" not in path:
            tried += 1
            answer = stack.api.get(path, params={**sound_query(operation), name: value})
            assert_problem(answer, status, code=code)
    assert tried


def test_a_route_or_method_that_does_not_exist(stack) -> None:
    assert_problem(stack.api.get("/api/v1/nothing"), 404)
    assert_problem(stack.api.get("/nothing"), 404)
    assert_problem(stack.api.patch("/api/v1/content/unified"), 405)


@pytest.mark.parametrize(
    "path",
    [
        "/internal/jobs/1/events",
        "/api/v1/../internal/jobs/1/events",
        "/api/v1/%2e%2e/%2e%2e/internal/jobs/1/events",
        "/api/v1/generation-jobs/..%2f..%2f..%2finternal/jobs/1/events",
        "//internal/jobs/1/events",
        "/metrics/",
    ],
)
def test_what_is_internal_stays_inside(stack, path: str) -> None:
    raw = httpx.Request("GET", str(stack.api.base_url).rstrip("/") + "/")
    raw.url = raw.url.copy_with(raw_path=path.encode())
    answer = stack.api.send(raw)
    assert answer.status_code in {400, 404, 422} or path == "/metrics/", (answer.status_code, answer.text[:200])


def test_with_and_without_trailing_slash(stack, operations) -> None:
    for method, path, operation in operations:
        if method == "GET" and "{" not in path and "/events" not in path:
            bare = stack.api.get(path, params=sound_query(operation))
            slashed = stack.api.get(f"{path}/", params=sound_query(operation))
            assert (slashed.status_code, slashed.history) == (bare.status_code, []), path
