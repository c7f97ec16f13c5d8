"""What a generator that follows the document would never send: bytes that are no text, numbers that are none, names
twice, at every place of every operation that takes something.
"""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from genonaut.testkit.problems import faults_of

pytestmark = pytest.mark.timeout(0)

LONG = 10
"""Examples from which on everything is tried."""
ENCODED = [
    "%00",
    "a%00b",
    "%ff%fe",
    "%ed%a0%80",  # a surrogate
    "%c0%af",  # a slash, overlong
    "%",
    "%zz",
    "%25%30%30",
    "%0d%0aX-Injected:%20yes",
    quote("🦄" * 100),
    quote("'; DROP TABLE events; --"),
    quote("${jndi:ldap://x}{{7*7}}"),
    "9" * 400,
    "-9223372036854775809",
    "9223372036854775808",
    "1e400",
    "NaN",
    "0x10",
    "1_000",
    "%D9%A1",  # an Arabic digit
    "true",
    "",
    "[]",
    "9999-12-31T23:59:59.9999999999Z",
    "0000-00-00",
    "00000000-0000-0000-0000-00000000000g",
    "x" * 8000,
]
BODIES = [
    b"",
    b"null",
    b"[]",
    b"0",
    b'""',
    b"{",
    b"{}",
    b"\xff\xfe{}",
    b"\xef\xbb\xbf{}",
    b'{"a": "\xff"}',
    b'{"\\ud800": 1}',
    b'{"a": "\\u0000"}',
    b'{"a": NaN, "b": -Infinity, "c": 1e999}',
    b'{"a": ' + b"9" * 5000 + b"}",
    b"[" * 100_000 + b"]" * 100_000,
    b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    b"{" + b",".join(b'"%d": 0' % n for n in range(50_000)) + b"}",
]
HEADERS = [
    {"X-User-ID": "\xff"},
    {"X-User-ID": "x" * 5000},
    {"X-Request-ID": "'; --"},
    {"traceparent": "00-zz-zz-zz"},
    {"Last-Event-ID": "9" * 400},
    {"If-None-Match": '"' * 500},
    {"Range": "bytes=-0,5-1,99999999999999999999-"},
    {"Accept": "application/xml"},
    {"Accept-Encoding": "br;q=99, *;q=x"},
    {"Content-Type": "application/json; charset=utf-7"},
    {"Origin": "null"},
    {"Host": "evil.example:99999"},
]


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def filled(path: str, value: str = "1") -> str:
    return "/".join(value if part.startswith("{") else part for part in path.split("/"))


def wrong(answer: httpx.Response) -> Iterator[str]:
    told = f"{answer.request.method} {str(answer.request.url)[:300]} → {answer.status_code} {answer.text[:300]}"
    if answer.status_code >= 500:
        yield told
    problem = answer.json() if "problem+json" in answer.headers.get("content-type", "") else None
    for fault in faults_of(answer.status_code, answer.headers, problem):
        yield f"{fault}: {told}"


def raw(client: httpx.Client, method: str, target: str, **options: Any) -> httpx.Response:
    """With the target as it is: httpx would quote it, and quotes no percent sign."""
    url = client.base_url.copy_with(raw_path=target.encode("latin-1"))
    with client.stream(method, url, **options) as answer:
        if answer.headers.get("content-type", "").startswith("text/event-stream"):
            return httpx.Response(answer.status_code, headers=answer.headers, request=answer.request)
        answer.read()
        return answer


@pytest.fixture(scope="module")
def document(stack) -> dict[str, Any]:
    return stack.json("GET", "/openapi.json")


def test_every_parameter_of_a_path_and_a_query(stack, document, examples, capsys) -> None:
    """In short, every third value: each of them at many places, and each place with many of them."""
    step = 1 if examples >= LONG else 3
    asked, thought_of, faults = 0, 0, []
    for method, path, operation in operations(document):
        targets = [filled(path, value) for value in ENCODED] if "{" in path else []
        for parameter in operation.get("parameters", []):
            if parameter["in"] == "query":
                name = parameter["name"]
                targets += [f"{filled(path)}?{name}={value}" for value in ENCODED]
                targets.append(f"{filled(path)}?{'&'.join([f'{name}=1'] * 200)}")
        for target in targets:
            thought_of += 1
            if thought_of % step == 0:
                faults += wrong(raw(stack.api, method, target))
                asked += 1
    with capsys.disabled():
        print(f"\n{asked} requests")
    assert not faults, "\n".join(faults)
    assert asked > 1000


def test_every_body(stack, document) -> None:
    tried, faults = 0, []
    for method, path, operation in operations(document):
        if "requestBody" in operation:
            tried += 1
            kinds = ["application/json", "text/plain", "multipart/form-data; boundary=", "application/json; charset=x"]
            for body in BODIES:
                for kind in kinds[: 4 if len(body) < 100 else 1]:
                    faults += wrong(raw(stack.api, method, filled(path), content=body, headers={"Content-Type": kind}))
    assert not faults, "\n".join(faults)
    assert tried >= 8


def test_names_twice_are_one_value_and_no_confusion(stack) -> None:
    """Every reader of it takes the last one."""
    body = b'{"username": "a", "username": "twice_%d", "email": "t@example.org"}' % stack.submit(stack.user())
    created = stack.api.post("/api/v1/users", content=body, headers={"Content-Type": "application/json"})

    assert created.status_code == 201
    assert created.json()["username"] == json.loads(body)["username"]


def test_every_header(stack, document) -> None:
    faults = []
    for method, path, _ in operations(document):
        for headers in HEADERS:
            encoded = {name: value.encode("latin-1") for name, value in headers.items()}
            faults += wrong(raw(stack.api, method, filled(path), headers=encoded))
    assert not faults, "\n".join(faults)


def test_methods_that_nobody_knows(stack, document) -> None:
    faults = []
    for path in document["paths"]:
        for method in ("PROPFIND", "TRACE", "LINK", "SUBSCRIBE"):
            answer = raw(stack.api, method, filled(path))
            assert answer.status_code in {404, 405}, (method, path, answer.status_code)
            faults += wrong(answer)
    assert not faults, "\n".join(faults)
