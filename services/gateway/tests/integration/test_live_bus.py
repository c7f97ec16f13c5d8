"""Live streams and sockets over real connections and the real bus, before a generation service with a script."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import aiohttp
import pytest
import pytest_asyncio

from genonaut.contracts import Envelope, Event
from genonaut.contracts.generation import JobPublished, JobStarted
from genonaut.contracts.live import JobProgress, job_progress_subject
from genonaut.contracts.streams import GENERATION, STREAMS
from genonaut.gateway.live import stream
from genonaut.platform.bus import Bus, Message
from genonaut.platform.provisioning import provision_bus
from genonaut.testkit.envelopes import enveloped
from genonaut.testkit.jobs import IMAGE, job_completed, job_requested
from genonaut.testkit.waiting import eventually

USER = UUID(int=0xADA)


def life_of(job_id: int, *, private: bool = False) -> list[Event]:
    whose = {"job_id": job_id, "user_id": USER}
    return [
        job_requested(**whose, is_private=private),
        JobStarted(**whose, attempt=1, worker="gpu", comfyui_prompt_id=UUID(int=2), queue_wait_ms=3),
        job_completed(**whose),
        JobPublished(**whose, content_ids=[41]),
    ]


@dataclass
class Generation:
    """The generation service as the gateway knows it: logs that grow, and the bus that tells of it."""

    bus: Bus
    logs: dict[int, list[Envelope]] = field(default_factory=dict)
    private: set[int] = field(default_factory=set)
    reads: int = 0

    def job(self, job_id: int, *, events: int, private: bool = False) -> None:
        if private:
            self.private.add(job_id)
        self.logs[job_id] = [self._envelope(job_id, number) for number in range(1, events + 1)]

    async def goes_on(self, job_id: int, *, told: bool = True) -> None:
        """The next event of the job: committed, then published."""
        envelope = self._envelope(job_id, len(self.logs[job_id]) + 1)
        self.logs[job_id].append(envelope)
        if told:
            subject = GENERATION.subject(envelope.type, envelope.subject)
            await self.bus.publish(GENERATION.name, [Message(subject, envelope.to_json(), str(envelope.id))])

    async def progress(self, job_id: int, step: int, *, attempt: int = 1) -> None:
        message = JobProgress(
            job_id=job_id, attempt=attempt, timestamp=datetime.now(UTC), step=step, steps=9, fraction=step / 9
        )
        await self.bus.publish_live(job_progress_subject(job_id), message.model_dump_json().encode())

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.reads += 1
        job_id = int(scope["path"].split("/")[3])
        after = int(scope["query_string"].decode().removeprefix("after="))
        if job_id not in self.logs:
            await _reply(send, 404, {"error_code": "NOT_FOUND"})
            return
        events = [json.loads(envelope.to_json()) for envelope in self.logs[job_id][after:]]
        await _reply(send, 200, {"events": events})

    def _envelope(self, job_id: int, sequence: int) -> Envelope:
        event = life_of(job_id, private=job_id in self.private)[sequence - 1]
        return enveloped(event, job_id, sequence=sequence)


async def _reply(send: Any, status: int, body: Any) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})


@pytest_asyncio.fixture
async def generation(upstream, nats: str) -> AsyncIterator[Generation]:
    bus = await Bus.connect(nats, name="test")
    names = {info.config.name for info in await bus.jetstream.streams_info()}
    for each in STREAMS:
        if each.name in names:
            await bus.jetstream.delete_stream(each.name)
    await provision_bus(nats)
    script = Generation(bus)
    upstream.answers[""] = script
    yield script
    await bus.close()


@pytest_asyncio.fixture
async def live(front_of, upstream, generation, nats) -> AsyncIterator[Any]:
    """A gateway that listens to the bus. Its poll is too slow to help."""
    async with front_of({"": upstream.url}, nats_url=nats, live_poll_seconds=600) as front:
        await listening(front)
        yield front


async def listening(front) -> None:
    await eventually(lambda: front.runtime.feed._bus)
    await front.runtime.bus.client.flush()


class Reader:
    """An EventSource."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self.events = self._read()

    async def _read(self) -> AsyncIterator[tuple[int | None, dict[str, Any]]]:
        block: dict[str, str] = {}
        async for raw in self.response.content:
            line = raw.decode().rstrip("\n")
            if line:
                name, _, value = line.partition(": ")
                block[name] = value
            elif "data" in block:
                assert block["event"] == "job"
                yield int(block["id"]) if "id" in block else None, json.loads(block["data"])
                block = {}
            else:
                block = {}

    async def next(self) -> tuple[int | None, str]:
        """The id and the status of the next event."""
        position, message = await asyncio.wait_for(anext(self.events), 10)
        return position, message["status"]

    async def rest(self) -> list[tuple[int | None, str]]:
        async with asyncio.timeout(10):
            return [(position, message["status"]) async for position, message in self.events]


@asynccontextmanager
async def events(front, job_id: int, *, after: int | None = None) -> AsyncIterator[Reader]:
    headers = {"Last-Event-ID": str(after)} if after is not None else {}
    async with front.get(f"/api/v1/generation-jobs/{job_id}/events", headers=headers) as response:
        assert response.status == 200, await response.text()
        assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert response.headers["Cache-Control"] == "no-store"
        yield Reader(response)


LIFE = [(1, "pending"), (2, "started"), (3, "completed")]


async def test_a_life_as_it_happens(live, generation) -> None:
    generation.job(7, events=1)
    async with events(live, 7) as reader:
        assert await reader.next() == LIFE[0]
        await generation.goes_on(7)
        assert await reader.next() == LIFE[1]
        for step in (3, 9):
            await generation.progress(7, step)
            assert await reader.next() == (None, "processing")
        await generation.goes_on(7)
        assert await reader.rest() == [LIFE[2]]
    assert generation.reads == 1


@pytest.mark.parametrize("position", range(4))
async def test_a_reconnect_misses_and_repeats_nothing(live, generation, position: int) -> None:
    """The job goes on while nobody is there; the client comes back with the position it had."""
    generation.job(7, events=position or 1)
    seen: list[tuple[int | None, str]] = []
    if position:
        async with events(live, 7) as reader:
            seen = [await reader.next() for _ in range(position)]
    while len(generation.logs[7]) < 4:
        await generation.goes_on(7)
    headers = {"Last-Event-ID": str(position)} if position else {}
    async with live.get("/api/v1/generation-jobs/7/events", headers=headers) as response:
        assert response.status == (204 if position == 3 else 200)
        seen += await Reader(response).rest()
    assert seen == LIFE


@pytest.mark.parametrize("cut", range(1, 6))
async def test_a_stream_that_is_cut_again_and_again(live, generation, cut: int) -> None:
    """Cut after every `cut` messages, while the job goes on."""
    generation.job(7, events=1)
    seen: list[tuple[int | None, str]] = []
    last: int | None = None

    async def happens() -> None:
        await generation.goes_on(7)
        for step in range(6):
            await generation.progress(7, step)
            await asyncio.sleep(0.01)
        await generation.goes_on(7)

    job = asyncio.create_task(happens())
    while not seen or seen[-1][1] != "completed":
        async with events(live, 7, after=last) as reader:
            for _ in range(cut):
                try:
                    seen.append(await reader.next())
                except StopAsyncIteration:
                    break
                last = seen[-1][0] or last
    await job
    assert [each for each in seen if each[0]] == LIFE


async def test_the_position_may_be_in_the_query_and_the_header_wins(live, generation) -> None:
    generation.job(7, events=3)
    async with live.get("/api/v1/generation-jobs/7/events?last_event_id=2") as response:
        assert await Reader(response).rest() == LIFE[2:]
    async with live.get("/api/v1/generation-jobs/7/events?last_event_id=2", headers={"Last-Event-ID": "1"}) as response:
        assert await Reader(response).rest() == LIFE[1:]


async def test_who_comes_late_gets_the_latest_progress(live, generation) -> None:
    generation.job(7, events=2)
    for step in range(5):
        await generation.progress(7, step)
    await generation.bus.client.flush()
    async with events(live, 7) as reader:
        assert [await reader.next() for _ in range(2)] == LIFE[:2]
        position, message = await asyncio.wait_for(anext(reader.events), 10)
        assert (position, message["progress"]["step"]) == (None, 4)


async def test_events_that_the_bus_tells_in_disorder_and_twice(live, generation) -> None:
    generation.job(7, events=1)
    async with events(live, 7) as reader:
        assert await reader.next() == LIFE[0]
        await generation.goes_on(7, told=False)
        await generation.goes_on(7)
        assert await reader.rest() == LIFE[1:]
    second = generation.logs[7][1]
    generation.job(8, events=2)
    async with events(live, 8) as reader:
        assert [await reader.next() for _ in range(2)] == LIFE[:2]
        # An earlier event of the job comes once more, as a relay may send it after a crash.
        await generation.bus.client.publish("generation.job.started.8", generation.logs[8][1].to_json())
        await generation.bus.client.publish("generation.job.started.8", b"{nonsense")
        await generation.bus.client.publish("live.job.8", b"{nonsense")
        await generation.bus.client.publish("generation.job.started.x", second.to_json())
        await generation.goes_on(8)
        assert await reader.rest() == LIFE[2:]


async def test_without_the_bus_streams_go_on(front_of, upstream, generation) -> None:
    generation.job(7, events=1)
    async with front_of({"": upstream.url}, live_outage_poll_seconds=0.05) as front, events(front, 7) as reader:
        assert await reader.next() == LIFE[0]
        await generation.goes_on(7)
        assert await reader.next() == LIFE[1]
        await generation.goes_on(7)
        assert await reader.rest() == [LIFE[2]]


async def test_what_happened_while_the_bus_was_away_is_told_when_it_is_back(
    front_of, upstream, generation, nats, wire_to
) -> None:
    generation.job(7, events=1)
    async with (
        wire_to(nats) as (wire, url),
        front_of({"": upstream.url}, nats_url=url, live_poll_seconds=600, live_outage_poll_seconds=600) as front,
    ):
        await listening(front)
        async with events(front, 7) as reader:
            assert await reader.next() == LIFE[0]
            await wire.cut()
            await generation.goes_on(7)
            await wire.mend()
            assert await reader.next() == LIFE[1]
            await front.runtime.bus.client.flush()
            await generation.goes_on(7)
            assert await reader.rest() == [LIFE[2]]


async def test_many_clients_of_one_job(live, generation) -> None:
    generation.job(7, events=1)

    async def follow() -> list[tuple[int | None, str]]:
        async with events(live, 7) as reader:
            return await reader.rest()

    clients = [asyncio.create_task(follow()) for _ in range(60)]
    await eventually(lambda: live.runtime.feed._clients == 60)
    await generation.goes_on(7)
    await generation.goes_on(7)
    assert await asyncio.gather(*clients) == [LIFE] * 60
    assert generation.reads == 1
    await eventually(lambda: live.runtime.feed._clients == 0)


async def test_a_client_that_left_is_forgotten(live, generation) -> None:
    generation.job(7, events=1)
    async with events(live, 7) as reader:
        assert await reader.next() == LIFE[0]
        assert live.runtime.feed._clients == 1
    await eventually(lambda: live.runtime.feed._clients == 0 and not live.runtime.feed._channels)


async def test_silence_is_filled(live, generation, monkeypatch) -> None:
    monkeypatch.setattr(stream, "KEEP_ALIVE_SECONDS", 0.05)
    generation.job(7, events=1)
    async with live.get("/api/v1/generation-jobs/7/events") as response:
        async with asyncio.timeout(5):
            await response.content.readuntil(b": keep-alive\n\n")
            await response.content.readuntil(b": keep-alive\n\n")


@pytest.mark.parametrize(
    ("path", "headers", "status", "code"),
    [
        ("/api/v1/generation-jobs/99/events", {}, 404, "NOT_FOUND"),
        ("/api/v1/generation-jobs/abc/events", {}, 422, "VALIDATION_ERROR"),
        ("/api/v1/generation-jobs/0/events", {}, 422, "VALIDATION_ERROR"),
        ("/api/v1/generation-jobs/99999999999999999999/events", {}, 422, "VALIDATION_ERROR"),
        ("/api/v1/generation-jobs/7/events", {"Last-Event-ID": "x"}, 400, "INVALID_LAST_EVENT_ID"),
        ("/api/v1/generation-jobs/7/events", {"Last-Event-ID": "-1"}, 400, "INVALID_LAST_EVENT_ID"),
        ("/api/v1/generation-jobs/7/events", {"Last-Event-ID": "²"}, 400, "INVALID_LAST_EVENT_ID"),
        ("/api/v1/generation-jobs/7/events", {"Last-Event-ID": "9" * 5000}, 400, "INVALID_LAST_EVENT_ID"),
        ("/api/v1/generation-jobs/7/events", {"Last-Event-ID": "2"}, 400, "INVALID_LAST_EVENT_ID"),
        ("/api/v1/generation-jobs/7/events?last_event_id=1.5", {}, 400, "INVALID_LAST_EVENT_ID"),
    ],
)
async def test_what_cannot_be_followed(live, generation, path: str, headers: Any, status: int, code: str) -> None:
    generation.job(7, events=1)
    async with live.get(path, headers=headers) as response:
        assert (response.status, (await response.json(content_type=None))["error_code"]) == (status, code)


OWNER, STRANGER, NOBODY = f"user_id={USER}", f"user_id={UUID(int=0xB0B)}", ""
SEES = [
    pytest.param(True, OWNER, True, id="private-owner"),
    pytest.param(True, f"user_id={str(USER).upper()}", True, id="private-owner-in-capitals"),
    pytest.param(True, STRANGER, False, id="private-stranger"),
    pytest.param(True, NOBODY, False, id="private-nobody"),
    pytest.param(False, OWNER, True, id="public-owner"),
    pytest.param(False, STRANGER, True, id="public-stranger"),
    pytest.param(False, NOBODY, True, id="public-nobody"),
]
"""Whether the job is private, who looks, and whether they see it."""


@pytest.mark.parametrize(("private", "viewer", "sees"), SEES)
async def test_the_stream_of_a_private_job_is_there_for_its_user_only(
    live, generation, private: bool, viewer: str, sees: bool
) -> None:
    generation.job(7, events=3, private=private)
    async with live.get(f"/api/v1/generation-jobs/7/events?{viewer}") as response:
        if sees:
            assert response.status == 200
            assert await Reader(response).rest() == LIFE
        else:
            body = await response.json(content_type=None)
            assert (response.status, body["error_code"]) == (404, "NOT_FOUND")
            assert body["detail"] == "There is no generation job 7"


@pytest.mark.parametrize("viewer", [STRANGER, NOBODY])
async def test_how_far_a_private_job_is_cannot_be_found_out(live, generation, viewer: str) -> None:
    """Its user follows it meanwhile, and the position that is asked for is one it may have or not."""
    generation.job(7, events=1, private=True)
    async with live.get(f"/api/v1/generation-jobs/7/events?{OWNER}") as stream:
        reader = Reader(stream)
        assert await reader.next() == LIFE[0]
        for position in (1, 2):
            path = f"/api/v1/generation-jobs/7/events?{viewer}&last_event_id={position}"
            async with live.get(path) as response:
                assert response.status == 404
        await generation.goes_on(7)
        assert await reader.next() == LIFE[1]


async def test_when_the_log_cannot_be_read(front_of, upstream, reply, closed_port) -> None:
    async with (
        front_of({"": f"http://127.0.0.1:{closed_port}"}) as front,
        front.get("/api/v1/generation-jobs/7/events") as response,
    ):
        assert (response.status, (await response.json(content_type=None))["error_code"]) == (503, "UNAVAILABLE")
    async with front_of({"": upstream.url}) as front:
        for body, status in ((reply({"events": "what"}), 502), (reply({}, status=500), 503)):
            upstream.answers[""] = body
            async with front.get("/api/v1/generation-jobs/7/events") as response:
                assert response.status == status


async def test_the_end_of_the_process_ends_streams_and_sockets_at_once(front_of, upstream, generation, nats) -> None:
    generation.job(7, events=1)
    async with (
        front_of({"": upstream.url}, nats_url=nats) as front,
        events(front, 7) as reader,
        front.client.ws_connect(f"{front.url}/ws/jobs/7") as socket,
    ):
        assert await reader.next() == LIFE[0]
        await socket.receive_json(timeout=5)
        begin = asyncio.get_running_loop().time()
        front.server.should_exit = True
        assert await reader.rest() == []
        while (message := await socket.receive(timeout=5)).type is aiohttp.WSMsgType.TEXT:
            pass
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1012)
        assert asyncio.get_running_loop().time() - begin < 3


# WebSockets


async def test_a_socket_greets_tells_the_state_and_then_what_happens(live, generation) -> None:
    generation.job(7, events=2)
    async with live.client.ws_connect(f"{live.url}/ws/jobs/7/") as socket:
        assert await socket.receive_json(timeout=5) == {"type": "connection", "job_id": 7, "status": "connected"}
        snapshot = await socket.receive_json(timeout=5)
        assert (snapshot["type"], snapshot["job_id"], snapshot["status"]) == ("snapshot", 7, "started")
        await generation.progress(7, 4)
        running = await socket.receive_json(timeout=5)
        assert (running["type"], running["status"], running["progress"]["step"]) == ("job", "processing", 4)
        await generation.goes_on(7)
        done = await socket.receive_json(timeout=5)
        assert (done["type"], done["status"], done["sequence"]) == ("job", "completed", 3)
        assert done["images"] == [IMAGE.model_dump()]
        assert done["timestamp"]
        assert (await socket.receive(timeout=5)).type is aiohttp.WSMsgType.CLOSE
        assert socket.close_code == 1000


async def test_a_socket_of_a_job_that_is_over(live, generation) -> None:
    generation.job(7, events=4)
    async with live.client.ws_connect(f"{live.url}/ws/jobs/7") as socket:
        assert (await socket.receive_json(timeout=5))["type"] == "connection"
        snapshot = await socket.receive_json(timeout=5)
        assert (snapshot["status"], snapshot["content_id"], len(snapshot["images"])) == ("completed", 41, 1)
        await socket.receive(timeout=5)
        assert socket.close_code == 1000


async def test_ping(live, generation) -> None:
    generation.job(7, events=1)
    async with live.client.ws_connect(f"{live.url}/ws/jobs/7") as socket:
        for _ in range(2):
            await socket.receive_json(timeout=5)
        for said in ("{broken", "[]", '{"type":"other"}', '"ping"'):
            await socket.send_str(said)
        await socket.send_bytes(b"\x00")
        await socket.send_json({"type": "ping"})
        assert await socket.receive_json(timeout=5) == {"type": "pong"}


@pytest.mark.parametrize(
    "path",
    [
        "/ws/jobs/99",
        "/ws/jobs/abc",
        "/ws/jobs/99999999999999999999",
        "/ws/jobs",
        "/ws/jobs?job_ids=7,99",
        "/ws/jobs?job_ids=" + ",".join(map(str, range(1, 60))),
    ],
)
async def test_a_socket_of_a_job_that_is_not_there(live, generation, path: str) -> None:
    generation.job(7, events=1)
    async with live.client.ws_connect(f"{live.url}{path}") as socket:
        assert (await socket.receive(timeout=5)).type is aiohttp.WSMsgType.CLOSE
        assert socket.close_code == 4404
    assert live.runtime.feed._clients == 0


@pytest.mark.parametrize(("private", "viewer", "sees"), SEES)
@pytest.mark.parametrize("path", ["/ws/jobs/7?", "/ws/jobs?job_ids=7&", "/ws/jobs?job_ids=8,7&"])
async def test_a_socket_of_a_private_job_is_there_for_its_user_only(
    live, generation, path: str, private: bool, viewer: str, sees: bool
) -> None:
    """Job 8 is public: it does not let anybody in to the other one."""
    generation.job(7, events=2, private=private)
    generation.job(8, events=2)
    async with live.client.ws_connect(f"{live.url}{path}{viewer}") as socket:
        if sees:
            told = [await socket.receive_json(timeout=5) for _ in range(4 if "8" in path else 2)]
            assert (7, "started") in [(message["job_id"], message["status"]) for message in told]
        else:
            assert (await socket.receive(timeout=5)).type is aiohttp.WSMsgType.CLOSE
            assert socket.close_code == 4404


async def test_a_socket_when_the_log_cannot_be_read(front_of, closed_port) -> None:
    async with (
        front_of({"": f"http://127.0.0.1:{closed_port}"}) as front,
        front.client.ws_connect(f"{front.url}/ws/jobs/7") as socket,
    ):
        await socket.receive(timeout=5)
        assert socket.close_code == 1013


async def test_one_socket_for_several_jobs(live, generation) -> None:
    generation.job(7, events=2)
    generation.job(8, events=3)
    async with live.client.ws_connect(f"{live.url}/ws/jobs?job_ids=7,8,7") as socket:
        first = [await socket.receive_json(timeout=5) for _ in range(4)]
        assert sorted((message["job_id"], message["status"]) for message in first) == [
            (7, "connected"),
            (7, "started"),
            (8, "completed"),
            (8, "connected"),
        ]
        await generation.goes_on(7)
        assert (await socket.receive_json(timeout=5))["status"] == "completed"
        await socket.receive(timeout=5)
        assert socket.close_code == 1000


async def test_a_socket_that_left_is_forgotten(live, generation) -> None:
    generation.job(7, events=1)
    async with live.client.ws_connect(f"{live.url}/ws/jobs/7") as socket:
        await socket.receive_json(timeout=5)
        assert live.runtime.feed._clients == 1
    await eventually(lambda: live.runtime.feed._clients == 0 and not live.runtime.feed._channels)


async def test_a_message_that_is_too_large_ends_the_socket(live, generation) -> None:
    generation.job(7, events=1)
    async with live.client.ws_connect(f"{live.url}/ws/jobs/7") as socket:
        await socket.send_str("x" * 100_000)
        while (await socket.receive(timeout=5)).type is aiohttp.WSMsgType.TEXT:
            pass
        assert socket.close_code == 1009
    await eventually(lambda: live.runtime.feed._clients == 0)


async def test_a_client_that_stops_reading_is_cut_off(live, generation, monkeypatch) -> None:
    monkeypatch.setattr(stream, "SEND_SECONDS", 0.2)
    generation.job(7, events=2)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(live.url.rpartition(":")[2]), limit=1024)
    writer.write(b"GET /api/v1/generation-jobs/7/events HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.readline()
    feed = live.runtime.feed
    await eventually(lambda: feed._clients == 1 and 7 in feed._channels)

    def flooded() -> bool:
        if 7 in feed._channels:
            message = JobProgress(job_id=7, attempt=1, timestamp=datetime.now(UTC), preview="x" * 500_000)
            feed._channels[7].channel.hear_progress(message)
        return feed._clients == 0

    await eventually(flooded)
    writer.transport.abort()
