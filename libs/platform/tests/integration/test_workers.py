"""What long and choosy work needs of a consumer loop: a gate, waiting without being a failure, being taken over."""

import asyncio
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import pytest
from nats.js import JetStreamContext

from genonaut.contracts.content import UserRegistered
from genonaut.contracts.streams import NOTIFICATIONS_RECIPIENTS as DURABLE
from genonaut.platform import consumer_loop, lag, service
from genonaut.platform.bus import Message
from genonaut.platform.consumer_loop import ConsumerLoop
from genonaut.platform.consumers import PostponeError
from genonaut.platform.service import Service
from genonaut.platform.settings import ServiceSettings
from genonaut.testkit.envelopes import enveloped
from genonaut.testkit.waiting import eventually


async def publish(toy) -> UUID:
    user = uuid4()
    envelope = enveloped(UserRegistered(number=1, user_id=user, username="ada", email="a@example.org"), user)
    message = Message("content.user.registered", envelope.to_json(), str(envelope.id))
    await toy.platform.bus.publish("CONTENT", [message])
    return user


def loop_for(toy, effect, **options) -> ConsumerLoop:
    return ConsumerLoop(DURABLE, effect, bus=toy.platform.bus, database=toy.database, fetch=1, **options)


@asynccontextmanager
async def running(loop: ConsumerLoop):
    task = asyncio.create_task(loop.run())
    try:
        yield task
    finally:
        loop.stop()
        await asyncio.wait([task], timeout=5)
        assert task.done()


async def pending(toy) -> tuple[int, int]:
    info = await toy.platform.bus.jetstream.consumer_info("CONTENT", DURABLE.name)
    return info.num_pending, info.num_ack_pending


async def test_nothing_is_fetched_while_the_gate_is_closed(toy, monkeypatch) -> None:
    monkeypatch.setattr(consumer_loop, "GATE_SECONDS", 0.01)
    asked, is_open = [], asyncio.Event()
    handled = []

    async def gate() -> bool:
        asked.append(1)
        return is_open.is_set()

    async def effect(recorded) -> None:
        handled.append(recorded[0].event.user_id)

    user = await publish(toy)
    loop = loop_for(toy, effect, gate=gate)
    async with running(loop):
        await eventually(lambda: len(asked) > 3)
        assert await pending(toy) == (1, 0)
        loop.check()
        is_open.set()
        await eventually(lambda: handled == [user])


async def test_a_gate_that_hangs_does_not_keep_a_loop_from_ending(toy) -> None:
    asked = asyncio.Event()

    async def gate() -> bool:
        asked.set()
        await asyncio.sleep(60)
        return True

    async with running(loop_for(toy, effect=None, gate=gate)):
        await asked.wait()


async def test_what_is_postponed_comes_again_as_often_as_it_takes(toy) -> None:
    tries = []

    async def effect(recorded) -> None:
        tries.append(recorded[0].event.user_id)
        if len(tries) < 3 * consumer_loop.TRIES:
            raise PostponeError(0.01, "not my turn")

    user = await publish(toy)
    async with running(loop_for(toy, effect)):
        await eventually(lambda: len(tries) == 3 * consumer_loop.TRIES)
        await eventually(lambda: _settled(toy))

    assert set(tries) == {user}
    assert await toy.rows("SELECT * FROM dead_letters") == []


async def _settled(toy) -> bool:
    return await pending(toy) == (0, 0)


async def test_a_process_that_cannot_wait_hands_its_message_to_the_next_one(toy) -> None:
    started, handled = asyncio.Event(), asyncio.Event()

    async def endless(recorded) -> None:
        started.set()
        await asyncio.sleep(60)

    async def effect(recorded) -> None:
        handled.set()

    await publish(toy)
    async with running(loop_for(toy, effect=endless)) as task:
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with running(loop_for(toy, effect)):
            await asyncio.wait_for(handled.wait(), 5)  # well before the message's ack_wait is over


class ToySettings(ServiceSettings):
    section = "notifications"


async def test_a_service_runs_workers_inside_of_what_they_need(toy, monkeypatch) -> None:
    monkeypatch.setattr(service, "SHUTDOWN_SECONDS", 2)
    steps = []

    async def effect(recorded) -> None:
        steps.append("begun")
        await asyncio.sleep(0.2)
        steps.append("done")

    @asynccontextmanager
    async def workers(runtime):
        steps.append("opened")
        yield [ConsumerLoop(DURABLE, effect, bus=runtime.bus, database=runtime.database, fetch=1)]
        steps.append("closed")

    await publish(toy)
    toys = Service(name="content", settings=ToySettings, workers=[workers], relays=False)
    async with toy.running(toys) as process:
        await eventually(lambda: "begun" in steps)
        assert (await process.client.get("/ready")).json()["checks"]["consumers"] == "ready"

    assert steps == ["opened", "begun", "done", "closed"]


async def test_the_bus_is_asked_once_for_what_several_workers_share(toy, monkeypatch) -> None:
    monkeypatch.setattr(lag, "MEASURE_SECONDS", 3600)
    consumer_info, asked = JetStreamContext.consumer_info, []

    async def counted(jetstream, stream, consumer):
        asked.append(consumer)
        return await consumer_info(jetstream, stream, consumer)

    async def effect(recorded) -> None:
        pass

    @asynccontextmanager
    async def workers(runtime):
        yield [ConsumerLoop(DURABLE, effect, bus=runtime.bus, database=runtime.database) for _ in range(3)]

    monkeypatch.setattr(JetStreamContext, "consumer_info", counted)
    toys = Service(name="content", settings=ToySettings, workers=[workers], relays=False)
    async with toy.running(toys) as process:
        await eventually(lambda: asked)
        measured = list(asked)
        asked.clear()
        ready = await process.client.get("/ready")
        checked = list(asked)
        await toy.platform.bus.jetstream.delete_consumer("CONTENT", DURABLE.name)
        without = await process.client.get("/ready")

    assert ready.status_code == 200
    assert measured == checked == [DURABLE.name]
    assert without.json()["checks"]["consumers"] == "not ready"
