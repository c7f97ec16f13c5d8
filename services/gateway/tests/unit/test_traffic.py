"""What a served request becomes, and the buffer that it waits in."""

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from genonaut.contracts import Envelope
from genonaut.contracts.gateway import RequestServed
from genonaut.gateway.traffic import capture as module
from genonaut.gateway.traffic import facts
from genonaut.gateway.traffic.capture import DROPPED, Capture
from genonaut.gateway.traffic.facts import MAX_QUERY_BYTES
from genonaut.platform.bus import Message, PublishError
from genonaut.platform.context import Cause, caused_by
from genonaut.platform.http.middleware import Served
from genonaut.platform.http.problems import ERROR_KEY
from genonaut.testkit.platforms import FakeClock
from genonaut.testkit.waiting import eventually

USER = "6f1c3b7e-8a52-4a62-9d5e-0c1f8f3f0a11"


def served(path: str = "/api/v1/content", query: bytes = b"", **more: Any) -> Served:
    scope = {"path": path, "query_string": query, "headers": more.pop("headers", []), **more.pop("scope", {})}
    known = frozenset({"page", "tag", "empty", "q", "user_id", "a", "email"})
    values = {
        "route": "/api/v1/content",
        "parameters": known,
        "status": 200,
        "duration_us": 1234,
        "request_bytes": 5,
        "response_bytes": 6,
    }
    return Served(scope, more.pop("method", "GET"), more.pop("request_id", "r-1"), **(values | more))


def fact_of(request: Served) -> RequestServed:
    fact = facts.fact_of(request)
    assert fact
    return fact


def test_a_request_becomes_its_event() -> None:
    assert fact_of(served(query=b"page=2&tag=a&tag=b&tag=c&empty=&a=caf%C3%A9+x")) == RequestServed(
        method="GET",
        route="/api/v1/content",
        status_code=200,
        duration_us=1234,
        query_params={"page": "2", "tag": ["a", "b", "c"], "empty": "", "a": "café x"},
        request_bytes=5,
        response_bytes=6,
    )


def test_what_the_route_does_not_know_and_what_people_typed_is_not_told() -> None:
    fact = fact_of(served(query=b"page=2&made_up_1=1&utm=2&email=ada%40example.org&email=b&q=cat&%00=x"))

    assert fact.query_params == {"page": "2", "email": "*", "q": "*"}
    assert fact_of(served(query=b"page=2", parameters=frozenset())).query_params == {}
    assert fact_of(served(query=f"user_id={USER}".encode(), parameters=frozenset())).user_id == UUID(USER)


@pytest.mark.parametrize(
    ("query", "header", "expected"),
    [
        (f"user_id={USER}", None, USER),
        ("", USER, USER),
        (f"user_id={USER}", "6f1c3b7e-8a52-4a62-9d5e-0c1f8f3f0a12", USER),
        ("user_id=nonsense", None, None),
        ("", "nonsense", None),
        (f"user_id={USER}&user_id={USER}", None, None),
        ("", None, None),
    ],
)
def test_the_user_is_known_by_a_valid_id_only(query: str, header: str | None, expected: str | None) -> None:
    headers = [(b"x-user-id", header.encode())] if header else []
    fact = fact_of(served(query=query.encode(), headers=headers))
    assert fact.user_id == (UUID(expected) if expected else None)


@pytest.mark.parametrize(
    ("status", "more", "expected"),
    [
        (200, {}, None),
        (304, {}, None),
        (422, {"scope": {ERROR_KEY: "NAME_TAKEN"}}, "NAME_TAKEN"),
        (404, {}, "HTTP_404"),
        (200, {"scope": {ERROR_KEY: "ANSWER_CUT"}}, "ANSWER_CUT"),
        (499, {"disconnected": True}, "CLIENT_LEFT"),
    ],
)
def test_the_kind_of_failure(status: int, more: dict[str, Any], expected: str | None) -> None:
    assert fact_of(served(status=status, **more)).error_type == expected


@given(st.binary(max_size=3000), st.binary(max_size=60))
@example(b"a\0=%00&\0", b"\0")
@example(b"a=\0", b"")
def test_nothing_a_stranger_sends_makes_an_event_that_cannot_be_stored(query: bytes, header: bytes) -> None:
    capture = Capture(limit=1, clock=FakeClock())
    capture(served(query=query, headers=[(b"x-user-id", header)]))
    (message,) = capture._buffer
    envelope = Envelope.from_json(message.payload)
    assert isinstance(envelope.event(), RequestServed)
    assert b"\\u0000" not in message.payload
    assert len(message.payload) < 6 * MAX_QUERY_BYTES + 1000


def test_the_message_is_an_envelope_with_the_request_s_ids() -> None:
    clock = FakeClock()
    capture = Capture(limit=1, clock=clock, new_id=lambda: UUID(int=7))
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    with caused_by(Cause("r-1", traceparent=trace)):
        capture(served())

    (message,) = capture._buffer
    expected = Envelope.of(
        fact_of(served()),
        id=UUID(int=7),
        source="genonaut/gateway",
        subject="r-1",
        time=clock(),
        sequence=1,
        correlationid="r-1",
    )
    assert Envelope.from_json(message.payload) == expected
    assert (message.subject, message.id) == ("gateway.request.served", str(UUID(int=7)))
    assert message.headers == {"traceparent": trace}


@pytest.mark.parametrize("route", [None, "/", "/docs", "/openapi.json", "/metrics", "/apix"])
def test_only_routes_of_the_api_are_stated(route: str | None) -> None:
    capture = Capture(limit=1, clock=FakeClock())
    capture(served("/api/v1/scanned", route=route))
    assert len(capture) == 0


class FakeBus:
    """Takes what it is told to take."""

    def __init__(self) -> None:
        self.reachable = True
        self.failures = 0
        self.batches: list[list[Message]] = []

    async def publish(self, _stream: str, batch: list[Message]) -> None:
        if not self.reachable:
            raise PublishError("out of reach")
        self.batches.append(list(batch))
        if self.failures:
            self.failures -= 1
            raise PublishError("the stream is full")

    @property
    def ids(self) -> list[str]:
        return [message.id for batch in self.batches for message in batch]


@pytest.fixture
def running() -> Callable[..., Any]:
    from contextlib import asynccontextmanager

    @asynccontextmanager
    async def publishing(capture: Capture, bus: FakeBus):
        task = asyncio.create_task(capture.publish(bus))
        yield
        task.cancel()
        await asyncio.wait([task])

    return publishing


async def test_requests_share_batches(running) -> None:
    capture, bus = Capture(limit=10_000, clock=FakeClock()), FakeBus()
    for _ in range(600):
        capture(served())
    async with running(capture, bus):
        await eventually(lambda: len(capture) == 0)
    assert [len(batch) for batch in bus.batches] == [250, 250, 100]
    assert len(set(bus.ids)) == 600


async def test_a_batch_that_failed_comes_again_with_the_same_ids(running, monkeypatch) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.01)
    capture, bus = Capture(limit=10, clock=FakeClock()), FakeBus()
    bus.failures = 2
    capture(served())
    capture(served())
    async with running(capture, bus):
        await eventually(lambda: len(capture) == 0)
    first, second, third = bus.batches
    assert first == second == third


async def test_a_full_buffer_keeps_the_oldest_and_counts_the_rest(running) -> None:
    capture, bus = Capture(limit=3, clock=FakeClock()), FakeBus()
    before = DROPPED._value.get()
    for number in range(5):
        capture(served(request_id=f"r-{number}"))
    assert (len(capture), DROPPED._value.get() - before) == (3, 2)

    async with running(capture, bus):
        await eventually(lambda: len(capture) == 0)
        capture(served(request_id="r-5"))
        await eventually(lambda: len(capture) == 0)
    subjects = [Envelope.from_json(message.payload).subject for batch in bus.batches for message in batch]
    assert subjects == ["r-0", "r-1", "r-2", "r-5"]


async def test_the_end_flushes_what_the_bus_takes_and_counts_what_it_does_not(monkeypatch) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.01)
    capture, bus = Capture(limit=3, clock=FakeClock()), FakeBus()
    capture(served())
    await capture.flush(bus, within=1)
    assert len(bus.ids) == 1

    before = DROPPED._value.get()
    bus.reachable = False
    capture(served())
    await capture.flush(bus, within=0.05)
    assert DROPPED._value.get() - before == 1
