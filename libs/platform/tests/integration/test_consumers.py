"""A message is acked after its effect is committed, repeated harmlessly, and retried with patience."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from nats.aio.msg import Msg

from genonaut.contracts import Envelope
from genonaut.contracts.streams import GENERATION_USERS
from genonaut.contracts.streams import NOTIFICATIONS_RECIPIENTS as DURABLE
from genonaut.platform import consumer_loop, lag, metrics
from genonaut.platform.consumer_loop import ConsumerLoop
from genonaut.platform.consumers import Consumer
from genonaut.platform.context import current_cause
from genonaut.platform.projections import Recorded
from genonaut.platform.provisioning import ensure_durable, provision_bus
from genonaut.platform.serving import end
from genonaut.testkit.servers import as_superuser
from genonaut.testkit.waiting import eventually

pytestmark = pytest.mark.usefixtures("quick_retries")


async def nothing(store, connection, event, envelope) -> None:
    pass


@pytest.mark.parametrize("batch", [1, 100])
async def test_every_event_has_its_effect(toy, greetings_consumer, batch: int) -> None:
    users = [uuid4() for _ in range(20)]

    async with toy.consuming(greetings_consumer(batch)):
        await toy.publish(*(toy.envelope(user) for user in users))
        await toy.platform.settled(DURABLE)

    assert await toy.greeted() == dict.fromkeys(users, 1)


@pytest.mark.parametrize("batch", [1, 100])
async def test_a_repeated_event_changes_nothing(toy, greetings_consumer, batch: int) -> None:
    user = uuid4()
    once = toy.envelope(user)

    async with toy.consuming(greetings_consumer(batch)):
        await toy.publish(once, once, once, ids=["a", "b", "c"])  # ids that the stream does not recognise
        await toy.platform.settled(DURABLE)
        await toy.publish(once, ids=["d"])
        await toy.platform.settled(DURABLE)

    assert await toy.greeted() == {user: 1}


async def test_a_crash_between_commit_and_ack_repeats_without_effect(toy, greetings_consumer) -> None:
    user = uuid4()
    consumer = greetings_consumer(1)
    await toy.publish(toy.envelope(user))
    subscription = await toy.platform.bus.jetstream.pull_subscribe_bind(consumer=DURABLE.name, stream="CONTENT")
    message = (await subscription.fetch(1, timeout=5))[0]
    await consumer.effect(toy.database, toy.store)([Recorded.of(Envelope.from_json(message.data))])
    await message.nak()  # what the server does by itself when the ack never comes

    async with toy.consuming(consumer):
        await toy.platform.settled(DURABLE)

    assert await toy.greeted() == {user: 1}


async def test_what_fails_is_tried_again(toy) -> None:
    failures = iter([ValueError("not yet"), ValueError("not yet")])
    handled: list[UUID] = []

    async def react(store, connection, event, envelope) -> None:
        if error := next(failures, None):
            raise error
        handled.append(event.user_id)

    user = uuid4()
    async with toy.consuming(Consumer.react(DURABLE, react)):
        await toy.publish(toy.envelope(user))
        await toy.platform.settled(DURABLE)

    assert handled == [user]
    assert await toy.letters() == []


async def test_failures_of_what_others_finish_are_forgotten(toy, monkeypatch) -> None:
    durable = replace(DURABLE, max_ack_pending=3)

    async def effect(recorded: Sequence[Recorded]) -> None:
        raise ValueError("not here")

    async def finished_elsewhere(message: Msg, delay: float | None = None) -> None:
        await message.ack()

    monkeypatch.setattr(Msg, "nak", finished_elsewhere)
    events = [toy.envelope(uuid4()) for _ in range(5)]
    async with toy.consuming(Consumer.react(durable, nothing), effect=effect) as loop:
        await toy.publish(*events)
        await toy.platform.settled(DURABLE)

        assert list(loop._failures) == [str(each.id) for each in events[-3:]]


async def test_the_figures_show_what_stands_still(toy, monkeypatch) -> None:
    """A lag that is stated only when something is handled says least when it matters most."""
    monkeypatch.setattr(lag, "MEASURE_SECONDS", 0.02)
    blocked = asyncio.Event()

    async def react(store, connection, event, envelope) -> None:
        await blocked.wait()

    def figure(name: str) -> float:
        return metrics.REGISTRY.get_sample_value(name, {"consumer": DURABLE.name}) or 0.0

    measuring = asyncio.create_task(lag.measure_lag(toy.platform.bus, DURABLE))
    async with toy.consuming(Consumer.react(DURABLE, react)):
        await toy.publish(toy.envelope(uuid4()), toy.envelope(uuid4()))
        await eventually(lambda: figure("consumer_lag_seconds") > 0.5 and figure("consumer_pending_messages") == 2)
        blocked.set()
        await eventually(lambda: figure("consumer_pending_messages") == figure("consumer_lag_seconds") == 0)
    await end([measuring])


async def test_what_comes_after_another_durable_waits_for_it(toy) -> None:
    handled: list[UUID] = []

    async def react(store, connection, event, envelope) -> None:
        handled.append(event.user_id)

    jetstream, first, second = toy.platform.bus.jetstream, uuid4(), uuid4()
    await toy.publish(toy.envelope(first))
    async with toy.consuming(Consumer.react(DURABLE, react, after=GENERATION_USERS)):
        await eventually(lambda: _in_hand(jetstream))
        assert handled == []
        async with toy.consuming(Consumer.react(GENERATION_USERS, nothing)):
            await toy.publish(toy.envelope(second))
            await eventually(lambda: handled == [first, second])


async def test_what_comes_after_another_durable_does_not_wait_for_what_comes_later(toy) -> None:
    """There is always something newer; what was there when the message came is what counts."""
    handled, stop = asyncio.Event(), asyncio.Event()

    async def react(store, connection, event, envelope) -> None:
        handled.set()

    async def slowly(store, connection, event, envelope) -> None:
        await asyncio.sleep(0.02)

    async def keep_coming() -> None:
        while not stop.is_set():
            await toy.publish(toy.envelope(uuid4()))
            await asyncio.sleep(0.02)

    coming = asyncio.create_task(keep_coming())
    async with (
        toy.consuming(Consumer.react(GENERATION_USERS, slowly)),
        toy.consuming(Consumer.react(DURABLE, react, after=GENERATION_USERS)),
    ):
        await asyncio.wait_for(handled.wait(), 10)
        stop.set()
        await coming


async def test_the_wait_for_another_durable_ends_when_its_stream_is_made_anew(toy) -> None:
    """The new stream counts from 1, and may never come to where the old one was."""
    handled = asyncio.Event()

    async def react(store, connection, event, envelope) -> None:
        handled.set()

    jetstream = toy.platform.bus.jetstream
    await toy.publish(toy.envelope(uuid4()))
    async with toy.consuming(Consumer.react(DURABLE, react, after=GENERATION_USERS)):
        await eventually(lambda: _in_hand(jetstream))
        await jetstream.delete_stream("CONTENT")
        await eventually(lambda: _is_none(toy.platform.bus.end_of(GENERATION_USERS)))
        assert not handled.is_set()
        await provision_bus(toy.platform.nats_url)
        await asyncio.wait_for(handled.wait(), 10)


async def _is_none(answer) -> bool:
    return await answer is None


async def test_a_wait_for_another_durable_that_does_not_end_shows_as_not_ready(toy) -> None:
    await toy.publish(toy.envelope(uuid4()))
    loop = ConsumerLoop(
        DURABLE, nothing, bus=toy.platform.bus, database=toy.database, after=GENERATION_USERS, patience=0.1
    )
    task = asyncio.create_task(loop.run())

    def stands_still() -> bool:
        try:
            loop.check()
        except TimeoutError:
            return True
        return False

    await eventually(stands_still)
    loop.stop()
    await asyncio.wait_for(task, 10)


async def _in_hand(jetstream) -> bool:
    return (await jetstream.consumer_info("CONTENT", DURABLE.name)).num_ack_pending == 1


@pytest.mark.parametrize(("batch", "in_hand"), [(2, 4), (1, 1)])
async def test_the_next_batch_comes_while_one_is_at_work(toy, greetings_consumer, batch: int, in_hand: int) -> None:
    """What is taken one by one does not: somebody else may be free for it."""
    go_on = asyncio.Event()
    begun = asyncio.Event()

    async def effect(_) -> None:
        begun.set()
        await go_on.wait()

    await toy.publish(*(toy.envelope(uuid4()) for _ in range(5)))
    async with toy.consuming(greetings_consumer(batch), effect=effect, fetch=batch):
        await begun.wait()
        jetstream = toy.platform.bus.jetstream

        async def taken() -> bool:
            return (await jetstream.consumer_info("CONTENT", DURABLE.name)).num_ack_pending == in_hand

        await eventually(taken)
        go_on.set()
        await toy.platform.settled(DURABLE)


async def test_an_outage_of_the_database_is_waited_out_and_counts_as_no_try(toy, greetings_consumer, postgres) -> None:
    user = uuid4()
    name = toy.database.url.database
    as_superuser(postgres, f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
    as_superuser(postgres, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    async with toy.consuming(greetings_consumer(1)):
        await toy.publish(toy.envelope(user))

        async def tried_often() -> bool:
            info = await toy.platform.bus.jetstream.consumer_info("CONTENT", DURABLE.name)
            return info.delivered.consumer_seq > consumer_loop.TRIES + 2

        await eventually(tried_often)
        as_superuser(postgres, f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
        await toy.platform.settled(DURABLE)

    assert await toy.greeted() == {user: 1}
    assert await toy.letters() == []


async def test_long_work_stays_ours_though_a_heartbeat_fails(toy, monkeypatch) -> None:
    """The handler takes longer than ack_wait; nobody else gets the message meanwhile."""
    troubles = iter([OSError("no buffer space")])
    in_progress = Msg.in_progress

    async def unreliable(message: Msg) -> None:
        if trouble := next(troubles, None):
            raise trouble
        await in_progress(message)

    monkeypatch.setattr(Msg, "in_progress", unreliable)
    short = replace(DURABLE, ack_wait=timedelta(seconds=0.6))
    await ensure_durable(toy.platform.bus.jetstream, short)
    consumer = Consumer.react(short, nothing)
    release = asyncio.Event()
    started = 0

    async def effect(recorded: Sequence[Recorded]) -> None:
        nonlocal started
        started += 1
        await release.wait()

    async with toy.consuming(consumer, effect=effect), toy.consuming(consumer, effect=effect):
        await toy.publish(toy.envelope(uuid4()))
        await eventually(lambda: started)
        await asyncio.sleep(2)  # three times ack_wait: what is shown is that nothing happens
        assert started == 1
        assert next(troubles, None) is None
        release.set()
        await toy.platform.settled(DURABLE)
    assert started == 1


async def test_a_stopping_loop_finishes_what_it_has_and_hands_back_the_rest(toy) -> None:
    begun, release = asyncio.Event(), asyncio.Event()
    handled: list[str] = []

    async def effect(recorded: Sequence[Recorded]) -> None:
        begun.set()
        await release.wait()
        handled.append(recorded[0].envelope.subject)

    await toy.publish(*(toy.envelope(uuid4()) for _ in range(3)))
    loop = ConsumerLoop(DURABLE, effect, bus=toy.platform.bus, database=toy.database)
    task = asyncio.create_task(loop.run())
    await asyncio.wait_for(begun.wait(), 5)
    loop.stop()
    release.set()
    await asyncio.wait_for(task, 5)

    assert len(handled) == 1
    info = await toy.platform.bus.jetstream.consumer_info("CONTENT", DURABLE.name)
    assert info.num_pending + info.num_redelivered + info.num_ack_pending >= 2


async def test_a_reaction_carries_on_who_caused_it(toy) -> None:
    seen = []

    async def react(store, connection, event, envelope) -> None:
        seen.append(current_cause())

    cause = toy.envelope(uuid4(), correlation="request-7")
    async with toy.consuming(Consumer.react(DURABLE, react)):
        await toy.publish(cause, traceparent="00-" + "a" * 32 + "-" + "b" * 16 + "-01")
        await toy.platform.settled(DURABLE)

    assert (seen[0].correlation_id, seen[0].causation_id) == ("request-7", cause.id)
    assert seen[0].traceparent == "00-" + "a" * 32 + "-" + "b" * 16 + "-01"


async def test_it_goes_on_when_its_durable_comes_back(toy, greetings_consumer) -> None:
    user = uuid4()
    async with toy.consuming(greetings_consumer(1)) as loop:
        await toy.platform.settled(DURABLE)
        await toy.platform.bus.jetstream.delete_consumer("CONTENT", DURABLE.name)
        await toy.publish(toy.envelope(user))
        await ensure_durable(toy.platform.bus.jetstream, DURABLE)
        await toy.platform.settled(DURABLE)
        loop.check()

    assert await toy.greeted() == {user: 1}


async def test_a_loop_that_is_stuck_in_an_effect_is_not_ready(toy, monkeypatch) -> None:
    release, begun = asyncio.Event(), asyncio.Event()

    async def effect(recorded: Sequence[Recorded]) -> None:
        begun.set()
        await release.wait()

    async with toy.consuming(Consumer.react(DURABLE, nothing), effect=effect) as loop:
        loop.check()
        await toy.publish(toy.envelope(uuid4()))
        await asyncio.wait_for(begun.wait(), 10)
        loop.patience = 0.0
        with pytest.raises(TimeoutError, match="stuck in one effect"):
            loop.check()
        release.set()
        await toy.platform.settled(DURABLE)
        loop.check()


def test_a_consumer_follows_or_reacts() -> None:
    with pytest.raises(TypeError, match="one of the two"):
        Consumer(DURABLE)
