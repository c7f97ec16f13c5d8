"""What a generator that follows the document would never send: bytes that are no text, numbers that are none, names
twice, at every place of every operation that takes something, and on the paths that are in no document.
"""

import base64
import json
import os
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from genonaut.gateway.live.socket import NORMAL, UNKNOWN_JOB
from genonaut.gateway.routing.table import ALIASES, SERVICES, Alias
from genonaut.testkit.problems import INTERNALS, faults_of

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
NAMES = [value for value in ENCODED if value]
"""Those that make a part of a path: without any, it is another path."""
NUL = 422
"""What is said to it wherever it stands."""
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


JOB, IMAGE = "JOB", "IMAGE"
"""What a sound request names."""
UNDOCUMENTED = [
    ("generation", "GET", "/internal/jobs/{}/events", JOB),
    ("generation", "GET", "/internal/jobs/1/events?after={}", "0"),
    ("generation", "GET", "/internal/workers?x={}", ""),
    ("content", "HEAD", "/api/v1/images/{}", IMAGE),
    ("gateway", "HEAD", "/api/v1/images/{}", IMAGE),
    ("gateway", "GET", "/docs?x={}", ""),
    *(
        (server, "GET", f"{path}?x={{}}", "")
        for server in ("gateway", *SERVICES)
        for path in ("/metrics", "/health", "/ready", "/openapi.json")
    ),
]
"""Server, method and target, and a value that it takes."""
NOWHERE = ["/internal/{}", "/internal/jobs/{}/events", "/metrics/{}", "/docs/{}", "/docs/scripts/{}", "/ws/{}", "/{}"]
OPENED, NO_SOCKET = 101, 403
"""To the handshake of a WebSocket, on a path that has one and on one that has none."""
CLOSE = 0x88
"""The first byte of the frame that ends a WebSocket."""
SOCKETS = ["/ws/jobs/{}", "/ws/jobs?job_ids={}", "/ws/jobs?job_ids=JOB,{}", "/ws/jobs/JOB?user_id={}"]


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
    is_problem = "problem+json" in answer.headers.get("content-type", "")
    if answer.request.method == "HEAD" and is_problem:
        return  # whose body is not sent
    problem = answer.json() if is_problem else None
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


@pytest.fixture(scope="module")
def names(stack) -> dict[str, str]:
    job = stack.submit(stack.user())
    stack.published(job)
    ((sha256,),) = stack.sql("content", f"SELECT image_sha256 FROM content_items_all WHERE job_id = {job}")
    return {JOB: str(job), IMAGE: sha256}


@pytest.fixture(scope="module")
def servers(stack) -> Iterator[dict[str, httpx.Client]]:
    with ExitStack() as clients:
        urls = {service: stack.setting("gateway", f"{service.upper()}_URL") for service in SERVICES}
        behind = {service: clients.enter_context(httpx.Client(base_url=url)) for service, url in urls.items()}
        yield {"gateway": stack.api, **behind}


@pytest.mark.parametrize(("server", "method", "target", "sound"), UNDOCUMENTED)
def test_what_is_in_no_document(servers, names, server: str, method: str, target: str, sound: str) -> None:
    accepted = raw(servers[server], method, target.format(names.get(sound, sound)))
    assert accepted.status_code == 200
    assert list(wrong(accepted)) == []
    faults = [fault for value in ENCODED for fault in wrong(raw(servers[server], method, target.format(value)))]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("target", NOWHERE)
def test_what_is_nowhere(servers, target: str) -> None:
    """Nor is what the services tell only each other behind the gateway."""
    faults = []
    for value in NAMES:
        answer = raw(servers["gateway"], "GET", target.format(value))
        assert answer.status_code in {400, 404, NUL}, (target, value, answer.status_code)
        faults += wrong(answer)
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("alias", ALIASES, ids=lambda alias: alias.spelling)
def test_other_spellings_say_the_same(servers, alias: Alias) -> None:
    faults = []
    for value in NAMES:
        answers = [
            raw(servers["gateway"], "GET", re.sub(r"\{\w+\}", lambda _: value, path) + f"?page={value}")  # noqa: B023
            for path in (alias.spelling, alias.path)
        ]
        assert answers[0].status_code == answers[1].status_code, (alias, value)
        faults += [fault for answer in answers for fault in wrong(answer)]
    assert not faults, "\n".join(faults)


def last_words(client: httpx.Client, target: str) -> tuple[int, int, bytes]:
    """Of a WebSocket: the status, the code that it is closed with (0 when it never opened), and all that was said."""
    key = base64.b64encode(os.urandom(16)).decode()
    head = (
        f"GET {target} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
    )
    with socket.create_connection((client.base_url.host, client.base_url.port or 80), timeout=20) as connection:
        connection.sendall(head.encode("latin-1"))
        heard = bytearray()
        with connection.makefile("rb") as file:
            while (line := file.readline()).strip():
                heard += line
            status = int(heard.split()[1])
            while status == OPENED and (opening := file.read(2)):
                size = opening[1]
                if size > 125:
                    size = int.from_bytes(file.read(2 if size == 126 else 8))
                said = file.read(size)
                heard += said
                if opening[0] == CLOSE:
                    return status, int.from_bytes(said[:2]), bytes(heard)
            return status, 0, bytes(heard)


@pytest.mark.parametrize("target", SOCKETS)
def test_sockets(servers, names, target: str) -> None:
    target = target.replace(JOB, names[JOB])
    for value in ENCODED:
        status, code, heard = last_words(servers["gateway"], target.format(value))
        answer = code if status == OPENED else status
        assert answer in {UNKNOWN_JOB, NORMAL, 400, NUL, NO_SOCKET}, (value, heard[:500])
        assert not INTERNALS.search(heard.decode(errors="replace")), heard[:500]
    assert last_words(servers["gateway"], f"/ws/jobs/{names[JOB]}")[:2] == (OPENED, NORMAL)
