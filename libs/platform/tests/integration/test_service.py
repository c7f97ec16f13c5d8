"""A service as its process runs it: from a request to another service's table, ready and ended in good order."""

import asyncio
from dataclasses import replace
from typing import ClassVar
from uuid import UUID, uuid4

import pytest

from genonaut.contracts.content import UserRegistered
from genonaut.contracts.streams import NOTIFICATIONS_RECIPIENTS
from genonaut.platform import consumer_loop
from genonaut.platform.bus import Message
from genonaut.platform.consumers import Consumer
from genonaut.platform.http.routing import Router
from genonaut.platform.redrive import redrive
from genonaut.platform.service import RuntimeDep, Service
from genonaut.platform.settings import ServiceSettings
from genonaut.testkit.waiting import eventually


class ToySettings(ServiceSettings):
    section: ClassVar[str] = "notifications"


@pytest.fixture
def service(person, people_projection, greetings_projection) -> Service[ToySettings]:
    router = Router()

    @router.post("/people/{user_id}", status_code=201)
    async def register(user_id: UUID, runtime: RuntimeDep) -> dict[str, int]:
        event = UserRegistered(number=1, user_id=user_id, username=f"u{user_id.hex[:8]}", email="a@example.org")
        outcome = await runtime.store.execute(person, user_id, event)
        return {"appended": len(outcome.appended)}

    return Service(
        name="content",
        settings=ToySettings,
        routers=[router],
        projections=[people_projection, greetings_projection],
        consumers=[Consumer.follow(greetings_projection)],
    )


async def test_a_request_becomes_an_event_becomes_a_row_elsewhere(toy, service) -> None:
    user = uuid4()
    trace = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
    async with toy.running(service) as running:
        answer = await running.client.post(f"/people/{user}", headers={"X-Request-ID": "req-9", "traceparent": trace})

        assert (answer.status_code, answer.json()) == (201, {"appended": 1})
        assert answer.headers["X-Request-ID"] == "req-9"
        await eventually(lambda: toy.rows(f"SELECT 1 FROM greeted WHERE user_id = '{user}'"))

    assert await toy.rows("SELECT correlation_id, traceparent FROM events") == [("req-9", trace)]


async def test_readiness_names_what_does_not_work(toy, service) -> None:
    async with toy.running(service) as running:
        assert (await running.client.get("/ready")).json()["checks"] == dict.fromkeys(
            ["database", "bus", "consumers", "outbox"], "ready"
        )
        await toy.platform.bus.jetstream.delete_consumer("CONTENT", NOTIFICATIONS_RECIPIENTS.name)
        answer = await running.client.get("/ready")

    assert answer.status_code == 503
    assert answer.json()["checks"]["consumers"] == "not ready"
    assert answer.json()["checks"]["database"] == "ready"


async def test_metrics_count_what_happened(toy, service) -> None:
    async with toy.running(service) as running:
        await running.client.post(f"/people/{uuid4()}")
        counted = (
            'events_appended_total{type="content.user.registered"}',
            'events_relayed_total{type="content.user.registered"}',
            'outcome="ack"',
        )

        async def all_told() -> bool:  # a consumer may have an event before the relay has counted it
            text = (await running.client.get("/metrics")).text
            return all(each in text for each in counted)

        await eventually(all_told)


async def test_the_end_waits_for_the_message_in_hand(toy, service, greetings_projection) -> None:
    begun, release, finished = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow(store, connection, event, envelope) -> None:
        begun.set()
        await release.wait()
        finished.set()

    slow_service = replace(service, consumers=[Consumer.react(NOTIFICATIONS_RECIPIENTS, slow)])
    async with toy.running(slow_service) as running:
        await running.client.post(f"/people/{uuid4()}")
        await asyncio.wait_for(begun.wait(), 10)
        asyncio.get_running_loop().call_later(0.2, release.set)

    assert finished.is_set()


async def test_a_dead_letter_is_redriven_once_its_cause_is_gone(toy, service, monkeypatch) -> None:
    monkeypatch.setattr(consumer_loop, "TRIES", 1)
    broken = True
    handled: list[UUID] = []

    async def react(store, connection, event, envelope) -> None:
        if broken:
            raise ValueError("not today")
        handled.append(event.user_id)

    user = uuid4()
    repairable = replace(service, consumers=[Consumer.react(NOTIFICATIONS_RECIPIENTS, react)])
    async with toy.running(repairable) as running:
        await running.client.post(f"/people/{user}")
        await eventually(lambda: toy.rows("SELECT 1 FROM dead_letters"))
        (letter_id,) = (await toy.rows("SELECT id FROM dead_letters"))[0]

        assert await redrive(running.runtime, letter_id) == "failed again: ValueError: not today"
        broken = False
        assert await redrive(running.runtime, letter_id) is None
        assert (await redrive(running.runtime, letter_id) or "").startswith("already handled")
        assert await redrive(running.runtime, 999) == "no such dead letter"

    assert handled == [user]


async def test_what_cannot_be_decoded_stays_a_dead_letter(toy, service) -> None:
    async with toy.running(service) as running:
        await toy.platform.bus.publish("CONTENT", [Message("content.user.registered", b"nonsense", "1")])
        await eventually(lambda: toy.rows("SELECT 1 FROM dead_letters"))
        (letter_id,) = (await toy.rows("SELECT id FROM dead_letters"))[0]

        assert (await redrive(running.runtime, letter_id) or "").startswith("still cannot be decoded")
    assert await toy.scalar("SELECT redriven_at FROM dead_letters") is None
