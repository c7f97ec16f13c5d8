"""Every endpoint of the merged OpenAPI document answers bad input with the agreed 4xx body, and nothing leaks.

The endpoints are read from the document itself, so a new one is covered when it appears.
"""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from genonaut.testkit.problems import faults_of

UNKNOWN = {"integer": "999999999", "uuid": str(uuid4()), "string": "0" * 64}
OVERSIZED = b'{"prompt": "' + b"x" * (2 * 1024 * 1024) + b'"}'


@pytest.fixture(scope="module")
def document(stack) -> dict[str, Any]:
    return stack.json("GET", "/openapi.json")


@pytest.fixture(scope="module")
def operations(document) -> list[tuple[str, str, dict[str, Any]]]:
    """Method, path template and description of every operation of the API."""
    found = [
        (method.upper(), path, operation)
        for path, methods in document["paths"].items()
        if path.startswith("/api/")
        for method, operation in methods.items()
        if method in {"get", "post", "put", "delete", "patch"}
    ]
    assert len(found) >= 25, sorted(path for _, path, _ in found)
    return found


@pytest.fixture(scope="module")
def known(stack) -> dict[str, str]:
    """Parts of path templates, and what they are for something that is there and has lists."""
    user_id = stack.user()
    stack.settle()
    item = {"title": "Known", "content_type": "image", "prompt": "known", "creator_id": user_id}
    regular, auto = (stack.api.post(f"/api/v1/{path}", json=item).json()["id"] for path in ("content", "content-auto"))
    return {
        "/users/{id}": f"/users/{user_id}",
        "/users/{user_id}": f"/users/{user_id}",
        "/by-user/{user_id}": f"/by-user/{user_id}",
        "/unserved/{user_id}": f"/unserved/{user_id}",
        "/content/{id}": f"/content/{regular}",
        "/content-auto/{id}": f"/content-auto/{auto}",
        "/by-content/{content_id}": f"/by-content/{regular}",
    }


def assert_problem(answer: httpx.Response, *statuses: int, code: str | None = None) -> None:
    told = f"{answer.request.method} {answer.request.url} → {answer.status_code} {answer.text[:300]}"
    assert answer.status_code in statuses, told
    assert answer.headers["content-type"].startswith("application/problem+json"), told
    body = answer.json()
    assert not list(faults_of(answer.status_code, answer.headers, body)), told
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


def sound_body(operation: dict[str, Any], document: dict[str, Any]) -> Any:
    """What the document gives as an example."""
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    for each in (schema, *schema.get("anyOf", [])):
        if "$ref" in each:
            return document["components"]["schemas"][each["$ref"].rpartition("/")[2]].get("examples", [{}])[0]
    return {}


def sound_request(operation: dict[str, Any], document: dict[str, Any], **query: str) -> dict[str, Any]:
    """What a client passes beside the path, and `query`."""
    request: dict[str, Any] = {"params": {**sound_query(operation), **query}}
    return request | ({"json": sound_body(operation, document)} if has_json_body(operation) else {})


def options(schema: dict[str, Any]) -> list[dict[str, Any]]:
    return schema.get("anyOf", [schema])


def takes_any_word(schema: dict[str, Any]) -> bool:
    return any(each["type"] == "string" and not each.keys() & {"enum", "format", "pattern"} for each in options(schema))


def well_formed(schema: dict[str, Any]) -> str:
    """A value of a path parameter, the name of nothing that is there."""
    if "enum" in schema:
        return schema["enum"][0]
    kinds = {each.get("format", each["type"]) for each in options(schema)}
    return next(value for kind, value in UNKNOWN.items() if kind in kinds)


def filled(
    path: str, operation: dict[str, Any], value: str | None = None, *, known: dict[str, str] | None = None
) -> str:
    """The path with every parameter unknown but well-formed, or all of them `value`; save for what is `known`."""
    for template, real in (known or {}).items():
        path = path.replace(template, real)
    for name, schema, _ in parameters(operation, "path"):
        path = path.replace("{" + name + "}", value if value is not None else well_formed(schema))
    return path


def has_json_body(operation: dict[str, Any]) -> bool:
    return "application/json" in operation.get("requestBody", {}).get("content", {})


def required_fields(operation: dict[str, Any], document: dict[str, Any]) -> list[str]:
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    if reference := schema.get("$ref"):
        schema = document["components"]["schemas"][reference.rpartition("/")[2]]
    return schema.get("required", ["its items"] if schema.get("type") != "object" else [])


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
        if "requestBody" in operation:
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


@pytest.mark.parametrize("body", ["", "null", "[]", '"text"', "7", "{}"])
def test_a_body_of_the_wrong_shape(stack, document, operations, body: str) -> None:
    """Nor may it be missing, where it has to be there."""
    for method, path, operation in operations:
        if has_json_body(operation):
            if body == "{}" and not required_fields(operation, document):
                continue  # nothing has to be in it
            answer = stack.api.request(
                method,
                filled(path, operation),
                content=body,
                params=sound_query(operation),
                headers={"Content-Type": "application/json"},
            )
            may_be_left_out = not operation["requestBody"].get("required") and body in {"", "null", "{}"}
            assert_problem(answer, 404 if may_be_left_out else 422)


def test_unknown_ids(stack, document, operations) -> None:
    stack.settle()  # while there may be news of users, nobody is called unknown
    tried = set()
    for method, path, operation in operations:
        if "{" in path and "/by-" not in path:  # a list by something is empty, not missing
            tried.add((method, path))
            answer = stack.api.request(method, filled(path, operation), **sound_request(operation, document))
            assert_problem(answer, 404, code="NOT_FOUND")
    assert tried >= {
        ("GET", "/api/v1/users/{id}/generation-jobs"),
        ("PUT", "/api/v1/users/{id}/preferences"),
        ("POST", "/api/v1/generation-jobs/{id}/cancel"),
        ("PUT", "/api/v1/notifications/{id}/read"),
    }


@pytest.mark.parametrize("value", ["not-an-id", "99999999999999999999999", "-1", "1.5", "%00", "%F0%9F%98%80"])
def test_malformed_ids(stack, document, operations, value: str) -> None:
    for method, path, operation in operations:
        if "{" in path:
            answer = stack.api.request(method, filled(path, operation, value), **sound_request(operation, document))
            may_be_a_name = any(takes_any_word(schema) for _, schema, _ in parameters(operation, "path"))
            if may_be_a_name and "/by-" in path and answer.status_code == 200:
                assert answer.json()["total"] == 0  # a list by something is empty, not missing
                continue
            assert_problem(answer, *((404, 422) if may_be_a_name else (422,)))


@pytest.mark.parametrize(
    ("name", "value", "status", "code"),
    [
        ("cursor", "nonsense", 400, "INVALID_CURSOR"),
        ("cursor", "e30", 400, "INVALID_CURSOR"),
        ("page_size", "1001", 422, "INVALID_PAGE_SIZE"),
        ("page_size", "0", 422, "INVALID_PAGE_SIZE"),
        ("page_size", "many", 422, "VALIDATION_ERROR"),
        ("page", "999999", 404, "PAGE_OUT_OF_RANGE"),
        ("page", "0", 422, None),
        ("page", "many", 422, None),
        ("sort_field", "password; DROP TABLE users", 422, None),
        ("sort_order", "sideways", 422, None),
        ("user_id", "not-a-uuid", 422, None),
        ("days", "0", 422, None),
    ],
)
def test_bad_parameters(
    stack, document, operations, known, name: str, value: str, status: int, code: str | None
) -> None:
    """Everything else about the request is sound, so that nothing but the parameter can be what is wrong."""
    tried = set()
    for method, path, operation in operations:
        if name in [each for each, _, _ in parameters(operation, "query")]:
            tried.add(path)
            request = sound_request(operation, document, **{name: value})
            answer = stack.api.request(method, filled(path, operation, known=known), **request)
            assert_problem(answer, status, code=code)
    assert tried
    if name in {"cursor", "page", "page_size"}:
        assert tried >= {"/api/v1/users/{id}/generation-jobs", "/api/v1/generation-jobs/by-status/{status}"}


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
        "/api/v1/content/../../../metrics",
        "/api/v1/content/%2e%2e/%2e%2e/%2e%2e/ready",
        "//metrics",
    ],
)
def test_what_is_internal_stays_inside(stack, path: str) -> None:
    """The path is sent as it is written here, where a client would tidy it up first."""
    assert_problem(stack.api.get("/", extensions={"target": path.encode()}), 400, 404)


@pytest.mark.parametrize("slash", ["", "/"])
def test_the_probes_at_the_gateway_are_its_own(stack, slash: str) -> None:
    """They are meant to be there. What the services say at theirs is not to be had."""
    assert stack.json("GET", f"/health{slash}") == {"status": "healthy"}
    assert stack.json("GET", f"/ready{slash}") == {"status": "ready", "checks": {}}
    metrics = stack.api.get(f"/metrics{slash}")
    assert (metrics.status_code, metrics.headers["content-type"].partition(";")[0]) == (200, "text/plain")
    assert "gateway_live_clients" in metrics.text
    assert "consumer_lag_seconds{" not in metrics.text


def test_with_and_without_trailing_slash(stack, operations, known) -> None:
    for method, path, operation in operations:
        if method == "GET":
            real = filled(path, operation, known=known)
            bare = stack.api.get(real, params=sound_query(operation))
            slashed = stack.api.get(f"{real}/", params=sound_query(operation))
            assert (slashed.status_code, slashed.history) == (bare.status_code, []), path
