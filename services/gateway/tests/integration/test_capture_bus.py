"""Served requests on the real bus: all of them once, also when the bus was away."""

from collections.abc import AsyncIterator
from time import perf_counter

import pytest
import pytest_asyncio

from genonaut.contracts import Envelope
from genonaut.contracts.gateway import RequestServed
from genonaut.contracts.streams import STREAMS
from genonaut.gateway.traffic.capture import DROPPED
from genonaut.platform.bus import Bus, PublishError
from genonaut.platform.provisioning import provision_bus
from genonaut.testkit.waiting import eventually


@pytest_asyncio.fixture
async def bus(nats: str) -> AsyncIterator[Bus]:
    """A connection to empty streams."""
    bus = await Bus.connect(nats, name="test")
    names = {info.config.name for info in await bus.jetstream.streams_info()}
    for stream in STREAMS:
        if stream.name in names:
            await bus.jetstream.delete_stream(stream.name)
    await provision_bus(nats)
    yield bus
    await bus.close()


async def captured(bus: Bus, count: int) -> list[Envelope]:
    """The envelopes in the stream, once there are `count`."""

    async def messages() -> int:
        return (await bus.jetstream.stream_info("REQUESTS")).state.messages

    async def enough() -> bool:
        return await messages() >= count

    await eventually(enough, reason=f"{count} captured requests never came")
    found = []
    for sequence in range(1, await messages() + 1):
        message = await bus.jetstream.get_msg("REQUESTS", sequence, direct=True)
        found.append(Envelope.from_json(message.data or b""))
    return found


async def ask(front, count: int, *, start: int = 0) -> None:
    for number in range(start, start + count):
        async with front.get("/api/v1/content", headers={"X-Request-ID": str(number)}) as response:
            await response.read()


async def test_every_kind_of_request_is_stated(front_of, upstream, reply, bus, nats) -> None:
    upstream.answers["/api/v1/content/7"] = reply(
        {}, headers={"x-genonaut-route": "/api/v1/content/{id}{?user_id,page}"}
    )
    upstream.answers["/api/v1/content/8"] = reply(
        {"error_code": "NOT_FOUND"},
        status=404,
        headers={"content-type": "application/problem+json", "x-genonaut-route": "/api/v1/content/{id}"},
    )
    upstream.answers["/api/v1/content/no/such"] = reply({}, status=404)
    user = "6f1c3b7e-8a52-4a62-9d5e-0c1f8f3f0a11"
    async with front_of({"": upstream.url}, nats_url=nats) as front:
        async with front.get(
            f"/api/v1/content/7?user_id={user}&page=2&made=up", headers={"X-Request-ID": "one"}
        ) as response:
            size = len(await response.read())
        async with front.client.post(f"{front.url}/api/v1/content", data=b"12345", headers={"X-User-ID": "bad"}):
            pass
        for path in (
            "/api/v1/content/8",
            "/api/v1/content/no/such",
            "/api/v1/nothing",
            "/api/v1/health",
            "/docs",
            "/",
            "/metrics",
        ):
            async with front.get(path):
                pass
        stated = [envelope.event() for envelope in await captured(bus, 4)]
        first = (await captured(bus, 4))[0]

    assert (first.subject, first.correlationid, first.source) == ("one", "one", "genonaut/gateway")
    assert all(isinstance(event, RequestServed) for event in stated)
    seen = [(e.method, e.route, e.status_code, e.error_type) for e in stated if isinstance(e, RequestServed)]
    assert seen == [
        ("GET", "/api/v1/content/{id}", 200, None),
        ("POST", "/api/v1/content", 200, None),
        ("GET", "/api/v1/content/{id}", 404, "NOT_FOUND"),
        ("GET", "/api/v1/health", 503, "HTTP_503"),
    ]
    served = stated[0]
    assert isinstance(served, RequestServed)
    assert str(served.user_id) == user
    assert served.query_params == {"user_id": user, "page": "2"}
    assert served.response_bytes == size
    assert 0 < served.duration_us < 5_000_000
    posted = stated[1]
    assert isinstance(posted, RequestServed)
    assert (posted.request_bytes, posted.user_id) == (5, None)


async def test_a_service_that_is_away_is_stated_too(front_of, bus, nats, closed_port) -> None:
    async with front_of({"": f"http://127.0.0.1:{closed_port}"}, nats_url=nats) as front:
        await ask(front, 1)
        (envelope,) = await captured(bus, 1)
    assert (envelope.data["status_code"], envelope.data["error_type"]) == (503, "UNAVAILABLE")
    assert envelope.data["route"] == "/api/v1/content"


async def test_the_end_of_the_process_loses_nothing(front_of, upstream, bus, nats) -> None:
    async with front_of({"": upstream.url}, nats_url=nats) as front:
        await eventually(lambda: front.runtime.bus)
        await ask(front, 300)
    assert len(await captured(bus, 300)) == 300


async def test_an_outage_of_the_bus_loses_nothing_up_to_the_limit(front_of, upstream, bus, nats, wire_to) -> None:
    before = DROPPED._value.get()
    async with wire_to(nats) as (wire, url), front_of({"": upstream.url}, nats_url=url, capture_limit=60) as front:
        await eventually(lambda: front.runtime.bus)
        await ask(front, 10)
        await captured(bus, 10)
        await wire.cut()
        await eventually(lambda: not front.runtime.bus.client.is_connected)
        await ask(front, 80, start=10)
        assert len(front.runtime.capture) == 60
        assert DROPPED._value.get() - before == 20

        await wire.mend()
        await eventually(lambda: len(front.runtime.capture) == 0)
        await ask(front, 5, start=90)
        found = await captured(bus, 75)
    numbers = [int(envelope.subject) for envelope in found]
    assert numbers == [*range(70), *range(90, 95)]


async def test_what_the_bus_took_without_saying_so_is_not_counted_twice(
    front_of, upstream, bus, nats, wire_to, monkeypatch
) -> None:
    """The wire is cut after the batch has left and before the acknowledgement is heard."""
    async with wire_to(nats) as (wire, url), front_of({"": upstream.url}, nats_url=url) as front:
        connected = await eventually(lambda: front.runtime.bus)
        publish = connected.publish
        tries = 0

        class NotHeardError(PublishError):
            pass

        async def deaf(stream, batch) -> None:
            nonlocal tries
            tries += 1
            await publish(stream, batch)
            if tries == 1:
                await wire.cut()
                await wire.mend()
                raise NotHeardError

        monkeypatch.setattr(connected, "publish", deaf)
        await ask(front, 20)
        await eventually(lambda: len(front.runtime.capture) == 0)
        found = await captured(bus, 20)
    assert tries > 1
    assert sorted(int(envelope.subject) for envelope in found) == list(range(20))


async def test_the_gateway_serves_before_the_bus_is_there(front_of, upstream, bus, nats, wire_to) -> None:
    async with wire_to(nats) as (wire, url):
        await wire.cut()
        async with front_of({"": upstream.url}, nats_url=url) as front:
            await ask(front, 3)
            assert front.runtime.bus is None
            await wire.mend()
            assert len(await captured(bus, 3)) == 3


async def test_taking_a_request_in_costs_less_than_a_millisecond(front_of, upstream, bus, nats) -> None:
    async with front_of({"": upstream.url}, nats_url=nats) as front:
        capture = front.runtime.capture
        durations: list[float] = []
        original = type(capture)._message

        def timed(self, served, fact):
            begin = perf_counter()
            message = original(self, served, fact)
            durations.append(perf_counter() - begin)
            return message

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(capture), "_message", timed)
            await ask(front, 200)
    assert sorted(durations)[len(durations) // 2] < 0.001
    assert len(durations) == 200
