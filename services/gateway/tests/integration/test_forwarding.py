"""Requests through the gateway to a real server and back, also when that server misbehaves."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Self

import aiohttp
import pytest
from yarl import URL

from genonaut.testkit.problems import faults_of
from genonaut.testkit.waiting import eventually


async def problem_of(response: aiohttp.ClientResponse) -> dict[str, Any]:
    """The body, which must be a whole problem that tells nothing of the inside."""
    assert response.headers["Content-Type"] == "application/problem+json"
    body: dict[str, Any] = await response.json()
    assert [*faults_of(response.status, response.headers, body)] == []
    assert body["request_id"] == response.headers["X-Request-ID"]
    return body


async def left(receive) -> None:
    """Returns when the other side has closed the connection."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def test_a_request_reaches_its_service_and_the_answer_comes_back(front, upstream, reply) -> None:
    upstream.answers[""] = reply({"id": 7}, headers={"etag": '"x"', "x-genonaut-route": "/api/v1/content/{id}"})

    async with front.get("/api/v1/content/7?a=1&a=2&b=", headers={"Accept-Language": "cy"}) as response:
        assert (response.status, await response.json()) == (200, {"id": 7})

    assert (upstream.last["method"], upstream.last["path"]) == ("GET", "/api/v1/content/7")
    assert upstream.last["query"] == {"a": ["1", "2"], "b": [""]}
    assert upstream.last["headers"]["accept-language"] == "cy"
    assert response.headers["ETag"] == '"x"'
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "X-Genonaut-Route" not in response.headers
    assert len(response.headers.getall("Date")) == 1


async def test_ids_and_traces_go_along(front, upstream) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    async with front.get("/api/v1/tags", headers={"X-Request-ID": "mine-1", "traceparent": trace}) as response:
        assert response.headers.getall("X-Request-ID") == ["mine-1"]
    assert upstream.last["headers"]["x-request-id"] == "mine-1"
    assert upstream.last["headers"]["traceparent"] == trace

    async with front.get("/api/v1/tags", headers={"traceparent": "nonsense"}) as response:
        given = response.headers["X-Request-ID"]
    assert upstream.last["headers"]["x-request-id"] == given
    assert "traceparent" not in upstream.last["headers"]


async def test_what_strangers_say_about_themselves_does_not_pass(front, upstream) -> None:
    forged = {
        "X-Forwarded-For": "10.0.0.1",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Prefix": "/internal",
        "Forwarded": "for=10.0.0.1",
        "X-Real-IP": "10.0.0.1",
        "X-Genonaut-User": "admin",
        "X-Genonaut-Route": "/x",
    }
    async with front.get("/api/v1/tags", headers={**forged, "Host": "api.example"}):
        pass

    seen = upstream.last["headers"]
    assert seen["x-forwarded-host"] == "api.example"
    assert {name for name in seen if name.startswith(("x-forwarded", "x-genonaut", "x-real", "forwarded"))} == {
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
    }


async def test_cookies_pass_and_are_not_kept(front, upstream, reply) -> None:
    upstream.answers[""] = reply({}, headers={"set-cookie": "a=1"})
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as client:
        async with client.get(f"{front.url}/api/v1/tags", headers={"Cookie": "mine=2"}) as response:
            assert response.headers["Set-Cookie"] == "a=1"
        assert upstream.last["headers"]["cookie"] == "mine=2"
        async with client.get(f"{front.url}/api/v1/tags"):
            assert "cookie" not in upstream.last["headers"]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_every_method(front, upstream, method: str) -> None:
    async with front.client.request(method, f"{front.url}/api/v1/tags/x/rate") as response:
        assert response.status == 200
        assert await response.read() == (b"" if method == "HEAD" else b'{"ok": true}')
    assert upstream.last["method"] == method


async def test_a_small_body_arrives_whole_and_unread(front, upstream, reply) -> None:
    bodies = []

    async def echo(scope, receive, send) -> None:
        bodies.append((await receive())["body"])
        await reply({}, status=201)(scope, receive, send)

    upstream.answers[""] = echo
    async with front.client.post(
        f"{front.url}/api/v1/content", data=b"{broken json", headers={"Content-Type": "application/json"}
    ) as response:
        assert response.status == 201
    assert bodies == [b"{broken json"]
    assert upstream.last["headers"]["content-type"] == "application/json"
    assert upstream.last["headers"]["content-length"] == "12"


async def test_an_upload_is_passed_on_while_it_arrives(front, upstream, reply) -> None:
    arrived: list[bytes] = []

    async def collect(scope, receive, send) -> None:
        more = True
        while more:
            message = await receive()
            arrived.append(message.get("body", b""))
            more = message.get("more_body", False)
        await reply({"bytes": len(b"".join(arrived))})(scope, receive, send)

    upstream.answers[""] = collect

    async def body():
        for number in range(5):
            yield bytes([number]) * 100_000
            await eventually(lambda n=number: len(b"".join(arrived)) == (n + 1) * 100_000)

    async with front.client.post(f"{front.url}/api/v1/images", data=body()) as response:
        assert await response.json() == {"bytes": 500_000}
    assert b"".join(arrived) == b"".join(bytes([number]) * 100_000 for number in range(5))


async def test_an_answer_is_passed_on_while_it_arrives(front, upstream) -> None:
    goes_on = asyncio.Event()

    async def slowly(_scope, _receive, send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        await asyncio.wait_for(goes_on.wait(), 5)
        await send({"type": "http.response.body", "body": b"second"})

    upstream.answers[""] = slowly
    async with front.get("/api/v1/images/abc") as response:
        assert await response.content.read(5) == b"first"
        goes_on.set()
        assert await response.read() == b"second"


async def test_a_large_answer_waits_for_its_reader(front, upstream) -> None:
    chunk = b"x" * 65536
    sent = 0

    async def flood(_scope, _receive, send) -> None:
        nonlocal sent
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(1024):
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            sent += 1
        await send({"type": "http.response.body", "body": b""})

    upstream.answers[""] = flood
    reader, writer = await asyncio.open_connection("127.0.0.1", int(front.url.rpartition(":")[2]), limit=1024)
    writer.write(b"GET /api/v1/images/abc HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.readline()

    async def stands_still() -> bool:
        before = sent
        await asyncio.sleep(0.2)
        return before == sent > 0

    await eventually(stands_still)
    assert sent < 1024  # 64 MB would have been held somewhere

    writer.transport.abort()


async def test_compressed_bytes_pass_as_they_are(front, upstream, reply) -> None:
    upstream.answers[""] = reply(raw=b"\x1f\x8bnot really", headers={"content-encoding": "gzip"})
    async with front.get("/api/v1/content") as response:
        assert await response.read() == b"\x1f\x8bnot really"
        assert response.headers["Content-Encoding"] == "gzip"
    assert upstream.last["headers"].get("accept-encoding") == "gzip, deflate"


@pytest.mark.parametrize("status", [204, 304])
async def test_answers_without_a_body(front, upstream, status: int) -> None:
    async def bare(_scope, _receive, send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": [(b"etag", b'"v"')]})
        await send({"type": "http.response.body", "body": b""})

    upstream.answers[""] = bare
    async with front.get("/api/v1/images/abc") as response:
        assert (response.status, await response.read()) == (status, b"")


async def test_redirects_are_the_clients_business(front, upstream, reply) -> None:
    upstream.answers[""] = reply({}, status=307, headers={"location": "/api/v1/content"})
    async with front.get("/api/v1/gallery", allow_redirects=False) as response:
        assert response.status == 404  # not in the table
    async with front.get("/api/v1/content/x", allow_redirects=False) as response:
        assert (response.status, response.headers["Location"]) == (307, "/api/v1/content")


async def test_a_service_s_own_problems_pass(front, upstream, reply) -> None:
    body = {"status": 422, "error_code": "NAME_TAKEN", "detail": "taken", "errors": []}
    upstream.answers[""] = reply(body, status=422, headers={"content-type": "application/problem+json"})
    async with front.get("/api/v1/users") as response:
        assert (response.status, await response.json(content_type=None)) == (422, body)


@pytest.mark.parametrize("status", [500, 502, 599])
async def test_other_server_errors_are_replaced(front, upstream, reply, status: int) -> None:
    upstream.answers[""] = reply(
        raw=b"Traceback: secret at 127.0.0.1", status=status, headers={"content-type": "text/html"}
    )
    async with front.get("/api/v1/users") as response:
        assert response.status == 502
        body = await problem_of(response)
    assert body["error_code"] == "BAD_GATEWAY"
    assert "secret" not in str(body)


async def test_other_client_errors_pass(front, upstream, reply) -> None:
    upstream.answers[""] = reply(raw=b"", status=416, headers={"content-range": "bytes */12"})
    async with front.get("/api/v1/images/abc") as response:
        assert (response.status, response.headers["Content-Range"]) == (416, "bytes */12")


async def test_a_service_that_is_not_there(front_of, closed_port: int) -> None:
    async with (
        front_of({"": f"http://127.0.0.1:{closed_port}"}) as front,
        front.get("/api/v1/content") as response,
    ):
        assert response.status == 503
        assert response.headers["Retry-After"] == "2"
        body = await problem_of(response)
    assert (body["error_code"], body["instance"]) == ("UNAVAILABLE", "/api/v1/content")
    assert "content service" in body["detail"]


async def test_a_service_that_says_nothing(front_of, upstream) -> None:
    async def silent(_scope, receive, _send) -> None:
        await left(receive)

    upstream.answers[""] = silent
    async with (
        front_of({"": upstream.url}, silence_timeout_seconds=0.2) as front,
        front.get("/api/v1/analytics/routes") as response,
    ):
        assert response.status == 504
        body = await problem_of(response)
    assert body["error_type"] == "service_timeout"
    assert body["timeout_duration"] == "0.2s"
    assert body["details"]["context"] == {"path": "/api/v1/analytics/routes", "method": "GET"}
    assert body["message"] == body["detail"]


async def test_a_service_that_falls_silent_in_its_answer(front_of, upstream) -> None:
    async def stalls(_scope, receive, send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"100")]})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        await left(receive)

    upstream.answers[""] = stalls
    async with (
        front_of({"": upstream.url}, silence_timeout_seconds=0.2) as front,
        front.get("/api/v1/content") as response,
    ):
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()


async def test_a_service_that_breaks_off(front, upstream) -> None:
    async def breaks(scope, _receive, send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise RuntimeError("a crash in the middle")

    upstream.answers[""] = breaks
    async with front.get("/api/v1/content") as response:
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()
    async with front.get("/api/v1/health") as response:
        assert response.status == 503  # the gateway itself goes on


@pytest.fixture
def raw_service() -> Callable[..., Any]:
    """A server that sends exactly these bytes for each request, then closes; counts its requests."""

    class Raw:
        def __init__(self) -> None:
            self.requests = 0
            self.script: list[bytes] = []

        async def __aenter__(self) -> Self:
            self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
            self.url = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}"
            return self

        async def __aexit__(self, *_: object) -> None:
            self.server.close()

        async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while True:
                head = await reader.read(65536)
                if not head:
                    break
                self.requests += 1
                answer = self.script.pop(0) if self.script else b""
                writer.write(answer)
                if not answer.startswith(b"HTTP/1.1 200 OK"):
                    break
            writer.close()

    return Raw


GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def test_a_connection_that_went_stale_is_no_failure(front_of, raw_service) -> None:
    async with raw_service() as service, front_of({"": service.url}) as front:
        service.script = [GOOD, b"", GOOD]
        for _ in range(2):
            async with front.get("/api/v1/content") as response:
                assert (response.status, await response.read()) == (200, b"ok")
        assert service.requests == 3


async def test_what_changes_something_is_never_sent_twice(front_of, raw_service) -> None:
    async with raw_service() as service, front_of({"": service.url}) as front:
        service.script = [GOOD, b"", GOOD]
        async with front.client.post(f"{front.url}/api/v1/content", data=b"{}") as response:
            assert response.status == 200
        async with front.client.post(f"{front.url}/api/v1/content", data=b"{}") as response:
            assert response.status == 502
            assert "may have done so" in (await problem_of(response))["detail"]
        assert service.requests == 2


@pytest.mark.parametrize(
    "answer", [b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 900 What\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"]
)
async def test_an_answer_that_is_no_http(front_of, raw_service, answer: bytes) -> None:
    async with raw_service() as service, front_of({"": service.url}) as front:
        service.script = [answer] * 2
        async with front.get("/api/v1/content") as response:
            assert response.status == 502
            await problem_of(response)


async def test_a_client_that_leaves_ends_the_request_at_the_service(front, upstream) -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def long(_scope, receive, _send) -> None:
        began.set()
        await left(receive)
        ended.set()

    upstream.answers[""] = long
    request = asyncio.create_task(front.client.get(f"{front.url}/api/v1/content"))
    await asyncio.wait_for(began.wait(), 5)
    request.cancel()
    await asyncio.wait_for(ended.wait(), 5)


async def test_a_client_that_leaves_in_its_upload_ends_it_at_the_service(front, upstream) -> None:
    ended = asyncio.Event()

    async def collect(_scope, receive, _send) -> None:
        await left(receive)
        ended.set()

    upstream.answers[""] = collect
    _, writer = await asyncio.open_connection("127.0.0.1", int(front.url.rpartition(":")[2]))
    writer.write(b"POST /api/v1/images HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 200_000)
    await eventually(lambda: upstream.seen)
    writer.transport.abort()
    await asyncio.wait_for(ended.wait(), 5)


@pytest.mark.parametrize("length", [1000, 1_000_000])
async def test_a_body_that_does_not_come_is_not_waited_for(front_of, upstream, length: int) -> None:
    async def collect(_scope, receive, _send) -> None:
        await left(receive)

    upstream.answers[""] = collect
    async with front_of({"": upstream.url}, upload_timeout_seconds=0.2) as front:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(front.url.rpartition(":")[2]))
        writer.write(f"POST /api/v1/images HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\nhalf".encode())
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        assert b"408 Request Timeout" in head
        writer.close()


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_over_the_cap_is_refused(front_of, upstream, reply, chunked: bool) -> None:
    async def collect(scope, receive, send) -> None:
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            more = message.get("more_body", False)
        await reply({})(scope, receive, send)

    upstream.answers[""] = collect

    async def body():
        for _ in range(30):
            yield b"x" * 10_000

    async with front_of({"": upstream.url}, max_body_bytes=200_000) as front:
        data = body() if chunked else b"x" * 300_000
        async with front.client.post(f"{front.url}/api/v1/images", data=data) as response:
            assert response.status == 413
            assert (await problem_of(response))["error_code"] == "PAYLOAD_TOO_LARGE"


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/../../internal/jobs/1/events",
        "/api/v1/content/../../../metrics",
        "/api/v1/content/%2e%2e/%2E%2e/internal",
        "/api/v1/generation-jobs/..%2f..%2f..%2finternal/jobs/1",
        "/api/v1/content/a%5cb",
        "/api/v1//content",
        "//internal/jobs/1/events",
        "/api/v1/content/./x",
    ],
)
async def test_no_path_that_can_be_read_in_two_ways_passes(front, upstream, path: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(front.url.rpartition(":")[2]))
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"AMBIGUOUS_PATH" in answer
    assert upstream.seen == []
    writer.close()


@pytest.mark.parametrize("path", ["/internal/jobs/1/events", "/api/v2/content", "/apiv1", "/internal", "/api/v1"])
async def test_what_is_not_public_is_not_there(front, upstream, path: str) -> None:
    async with front.get(path) as response:
        assert response.status == 404
        await problem_of(response)
    assert upstream.seen == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/internal/v1/credentials/verify"),
        ("POST", "/internal/v1/credentials/verify/"),
        ("PUT", "/internal/v1/users/6f/password"),
        ("POST", "/INTERNAL/v1/credentials/verify"),
        ("POST", "/%69nternal/v1/credentials/verify"),
    ],
)
async def test_passwords_are_neither_set_nor_verified_for_strangers(front, upstream, method: str, path: str) -> None:
    async with front.client.request(
        method, URL(f"{front.url}{path}", encoded=True), json={"login": "ada", "password": "correct horse"}
    ) as response:
        assert response.status == 404
        await problem_of(response)
    assert upstream.seen == []


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/users/../../../internal/v1/credentials/verify",
        "/api/v1/users/%2e%2e/%2e%2e/%2e%2e/internal/v1/credentials/verify",
        "/api/v1/users/..%2f..%2f..%2finternal/v1/credentials/verify",
        "//internal/v1/credentials/verify",
    ],
)
async def test_nobody_gets_to_passwords_in_a_roundabout_way(front, upstream, path: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(front.url.rpartition(":")[2]))
    body = b'{"login":"ada","password":"correct horse"}'
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    writer.write(head.encode() + b"Connection: close\r\n\r\n" + body)
    assert (await reader.read()).startswith(b"HTTP/1.1 400")
    assert upstream.seen == []
    writer.close()


async def test_with_and_without_trailing_slash(front, upstream) -> None:
    for path in ("/api/v1/content", "/api/v1/content/"):
        async with front.get(path, allow_redirects=False) as response:
            assert response.status == 200
        assert upstream.last["path"] == "/api/v1/content"


async def test_encoded_characters_stay_as_they_are(front, upstream) -> None:
    url = URL(f"{front.url}/api/v1/tags/by-name/caf%C3%A9%20%26%3Fx?q=%2e%2e%2F", encoded=True)
    async with front.client.get(url) as response:
        assert response.status == 200
    assert upstream.last["path"] == "/api/v1/tags/by-name/caf%C3%A9%20%26%3Fx"
    assert upstream.last["query"] == {"q": ["../"]}


async def test_old_spellings_reach_the_new_paths(front, upstream) -> None:
    async with front.get("/api/v1/recommendations/user/a%20b/recommendations?page=2"):
        pass
    assert upstream.last["path"] == "/api/v1/users/a%20b/recommendations"
    assert upstream.last["query"] == {"page": ["2"]}


async def test_pages_of_other_origins_may_read(front, upstream) -> None:
    asked = {
        "Origin": "https://app.example",
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "x-a",
    }
    async with front.client.options(f"{front.url}/api/v1/content/1", headers=asked) as response:
        assert response.status == 200
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        assert "PUT" in response.headers["Access-Control-Allow-Methods"]
        assert response.headers["Access-Control-Allow-Headers"] == "x-a"
    assert upstream.seen == []

    async with front.get("/api/v1/content", headers={"Origin": "https://app.example"}) as response:
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        assert response.headers["Access-Control-Expose-Headers"] == "X-Request-ID"
    async with front.get("/nothing", headers={"Origin": "https://app.example"}) as response:
        assert (response.status, response.headers["Access-Control-Allow-Origin"]) == (404, "*")
    async with front.get("/api/v1/content") as response:
        assert "Access-Control-Allow-Origin" not in response.headers
        assert response.headers["Vary"] == "Origin"


async def test_origins_can_be_limited(front_of, upstream) -> None:
    async with front_of({"": upstream.url}, cors_origins=["https://app.example"]) as front:
        async with front.get("/api/v1/content", headers={"Origin": "https://app.example"}) as response:
            assert response.headers["Access-Control-Allow-Origin"] == "https://app.example"
        async with front.get("/api/v1/content", headers={"Origin": "https://evil.example"}) as response:
            assert "Access-Control-Allow-Origin" not in response.headers


async def test_many_at_once_share_few_connections(front, upstream) -> None:
    peers: set[int] = set()

    async def note(scope, receive, send) -> None:
        from starlette.responses import JSONResponse

        peers.add(scope["client"][1])
        await JSONResponse({})(scope, receive, send)

    upstream.answers[""] = note
    for _ in range(5):
        for response in await asyncio.gather(*(front.client.get(f"{front.url}/api/v1/tags") for _ in range(10))):
            assert response.status == 200
            response.release()
    assert len(upstream.seen) == 50
    assert len(peers) <= 10


async def test_a_client_that_stops_reading_is_cut_off(front, upstream, monkeypatch) -> None:
    connections = front.server.server_state
    monkeypatch.setattr(connections, "limits", replace(connections.limits, stuck_seconds=0.2))
    ended = asyncio.Event()

    async def flood(_scope, receive, send) -> None:
        leaving = asyncio.create_task(left(receive))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while not leaving.done():
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
            await asyncio.sleep(0)
        ended.set()

    upstream.answers[""] = flood
    reader, writer = await asyncio.open_connection("127.0.0.1", int(front.url.rpartition(":")[2]), limit=1024)
    writer.write(b"GET /api/v1/images/abc HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.readline()
    await asyncio.wait_for(ended.wait(), 10)
    writer.transport.abort()
