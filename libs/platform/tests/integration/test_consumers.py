"""A message is acked after its effect is committed, repeated harmlessly, retried with patience and never lost."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from nats.aio.msg import Msg
from sqlalchemy import bindparam, text

from genonaut.contracts import Envelope
from genonaut.contracts.content import UserRegistered
from genonaut.contracts.streams import GENERATION_USERS
from genonaut.contracts.streams import NOTIFICATIONS_RECIPIENTS as DURABLE
from genonaut.platform import consumer_loop, dead_letters, lag, metrics
from genonaut.platform.bus import Message
from genonaut.platform.consumer_loop import ConsumerLoop
from genonaut.platform.consumers import Consumer
from genonaut.platform.context import current_cause
from genonaut.platform.projections import Recorded
from genonaut.platform.provisioning import ensure_durable, provision_bus
from genonaut.platform.serving import end
from genonaut.testkit.envelopes import enveloped
from genonaut.testkit.servers import as_superuser
from genonaut.testkit.waiting import eventually

SUBJECT = "content.user.registered"


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch) -> None:
    monkeypatch.setattr(consumer_loop.random, "uniform", lambda low, high: 0.01)


@asynccontextmanager
async def consuming(toy, consumer: Consumer, *, effect=None, fetch: int = 64) -> AsyncIterator[ConsumerLoop]:
    loop = ConsumerLoop(
        consumer.durable,
        effect or consumer.effect(toy.database, toy.store),
        bus=toy.platform.bus,
        database=toy.database,
        batch=consumer.batch,
        fetch=fetch,
        after=consumer.after,
    )
    task = asyncio.create_task(loop.run())
    try:
        yield loop
    finally:
        loop.stop()
        await asyncio.wait_for(task, 10)


def envelope(user_id: UUID, *, sequence: int = 1, correlation: str = "request-1") -> Envelope:
    event = UserRegistered(user_id=user_id, username=f"u{user_id.hex[:8]}", email="a@example.org")
    return enveloped(event, user_id, sequence=sequence, correlationid=correlation)


async def nothing(store, connection, event, envelope) -> None:
    pass


async def publish(toy, *envelopes: Envelope, ids: Sequence[str] | None = None, traceparent: str | None = None) -> None:
    headers = {"traceparent": traceparent} if traceparent else {}
    for index, each in enumerate(envelopes):
        message_id = ids[index] if ids else str(each.id)
        await toy.platform.bus.publish("CONTENT", [Message(SUBJECT, each.to_json(), message_id, headers)])


async def greetings(toy) -> dict[UUID, int]:
    return dict(await toy.rows("SELECT user_id, greetings FROM greeted"))  # type: ignore[arg-type]


async def letters(toy) -> list[dead_letters.DeadLetter]:
    async with toy.database.reading() as connection:
        return await dead_letters.waiting(connection)


@pytest.mark.parametrize("batch", [1, 100])
async def test_every_event_has_its_effect(toy, greetings_consumer, batch: int) -> None:
    users = [uuid4() for _ in range(20)]

    async with consuming(toy, greetings_consumer(batch)):
        await publish(toy, *(envelope(user) for user in users))
        await toy.platform.settled(DURABLE)

    assert await greetings(toy) == dict.fromkeys(users, 1)


@pytest.mark.parametrize("batch", [1, 100])
async def test_a_repeated_event_changes_nothing(toy, greetings_consumer, batch: int) -> None:
    user = uuid4()
    once = envelope(user)

    async with consuming(toy, greetings_consumer(batch)):
        await publish(toy, once, once, once, ids=["a", "b", "c"])  # ids that the stream does not recognise
        await toy.platform.settled(DURABLE)
        await publish(toy, once, ids=["d"])
        await toy.platform.settled(DURABLE)

    assert await greetings(toy) == {user: 1}


async def test_a_crash_between_commit_and_ack_repeats_without_effect(toy, greetings_consumer) -> None:
    user = uuid4()
    consumer = greetings_consumer(1)
    await publish(toy, envelope(user))
    subscription = await toy.platform.bus.jetstream.pull_subscribe_bind(consumer=DURABLE.name, stream="CONTENT")
    message = (await subscription.fetch(1, timeout=5))[0]
    await consumer.effect(toy.database, toy.store)([Recorded.of(Envelope.from_json(message.data))])
    await message.nak()  # what the server does by itself when the ack never comes

    async with consuming(toy, consumer):
        await toy.platform.settled(DURABLE)

    assert await greetings(toy) == {user: 1}


async def test_what_fails_is_tried_again(toy) -> None:
    failures = iter([ValueError("not yet"), ValueError("not yet")])
    handled: list[UUID] = []

    async def react(store, connection, event, envelope) -> None:
        if error := next(failures, None):
            raise error
        handled.append(event.user_id)

    user = uuid4()
    async with consuming(toy, Consumer.react(DURABLE, react)):
        await publish(toy, envelope(user))
        await toy.platform.settled(DURABLE)

    assert handled == [user]
    assert await letters(toy) == []


async def test_failures_of_what_others_finish_are_forgotten(toy, monkeypatch) -> None:
    durable = replace(DURABLE, max_ack_pending=3)

    async def effect(recorded: Sequence[Recorded]) -> None:
        raise ValueError("not here")

    async def finished_elsewhere(message: Msg, delay: float | None = None) -> None:
        await message.ack()

    monkeypatch.setattr(Msg, "nak", finished_elsewhere)
    events = [envelope(uuid4()) for _ in range(5)]
    async with consuming(toy, Consumer.react(durable, nothing), effect=effect) as loop:
        await publish(toy, *events)
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
    async with consuming(toy, Consumer.react(DURABLE, react)):
        await publish(toy, envelope(uuid4()), envelope(uuid4()))
        await eventually(lambda: figure("consumer_lag_seconds") > 0.5 and figure("consumer_pending_messages") == 2)
        blocked.set()
        await eventually(lambda: figure("consumer_pending_messages") == figure("consumer_lag_seconds") == 0)
    await end([measuring])


async def test_what_comes_after_another_durable_waits_for_it(toy) -> None:
    handled: list[UUID] = []

    async def react(store, connection, event, envelope) -> None:
        handled.append(event.user_id)

    jetstream, first, second = toy.platform.bus.jetstream, uuid4(), uuid4()
    await publish(toy, envelope(first))
    async with consuming(toy, Consumer.react(DURABLE, react, after=GENERATION_USERS)):
        await eventually(lambda: _in_hand(jetstream))
        assert handled == []
        async with consuming(toy, Consumer.react(GENERATION_USERS, nothing)):
            await publish(toy, envelope(second))
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
            await publish(toy, envelope(uuid4()))
            await asyncio.sleep(0.02)

    coming = asyncio.create_task(keep_coming())
    async with (
        consuming(toy, Consumer.react(GENERATION_USERS, slowly)),
        consuming(toy, Consumer.react(DURABLE, react, after=GENERATION_USERS)),
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
    await publish(toy, envelope(uuid4()))
    async with consuming(toy, Consumer.react(DURABLE, react, after=GENERATION_USERS)):
        await eventually(lambda: _in_hand(jetstream))
        await jetstream.delete_stream("CONTENT")
        await eventually(lambda: _is_none(toy.platform.bus.end_of(GENERATION_USERS)))
        assert not handled.is_set()
        await provision_bus(toy.platform.nats_url)
        await asyncio.wait_for(handled.wait(), 10)


async def _is_none(answer) -> bool:
    return await answer is None


async def test_a_wait_for_another_durable_that_does_not_end_shows_as_not_ready(toy) -> None:
    await publish(toy, envelope(uuid4()))
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


async def test_poison_is_parked_whole_and_its_neighbours_go_on(toy) -> None:
    bad, good = uuid4(), uuid4()
    handled: list[UUID] = []

    async def react(store, connection, event, envelope) -> None:
        if event.user_id == bad:
            raise ValueError("I never work")
        handled.append(event.user_id)

    def dead() -> float:
        labels = {"consumer": DURABLE.name, "type": UserRegistered.type, "outcome": "dead"}
        return metrics.REGISTRY.get_sample_value("events_consumed_total", labels) or 0.0

    poison, before = envelope(bad), dead()
    async with consuming(toy, Consumer.react(DURABLE, react)):
        await publish(toy, poison, envelope(good), traceparent="00-" + "a" * 32 + "-" + "b" * 16 + "-01")
        await toy.platform.settled(DURABLE)

    assert handled == [good]
    assert dead() == before + 1
    (letter,) = await letters(toy)
    assert (letter.consumer, letter.subject) == (DURABLE.name, SUBJECT)
    assert letter.error == "ValueError: I never work"
    assert Envelope.from_json(letter.payload) == poison
    assert letter.headers["traceparent"].startswith("00-aaaa")
    assert letter.deliveries == consumer_loop.TRIES


@pytest.mark.parametrize(("batch", "in_hand"), [(2, 4), (1, 1)])
async def test_the_next_batch_comes_while_one_is_at_work(toy, greetings_consumer, batch: int, in_hand: int) -> None:
    """What is taken one by one does not: somebody else may be free for it."""
    go_on = asyncio.Event()
    begun = asyncio.Event()

    async def effect(_) -> None:
        begun.set()
        await go_on.wait()

    await publish(toy, *(envelope(uuid4()) for _ in range(5)))
    async with consuming(toy, greetings_consumer(batch), effect=effect, fetch=batch):
        await begun.wait()
        jetstream = toy.platform.bus.jetstream

        async def taken() -> bool:
            return (await jetstream.consumer_info("CONTENT", DURABLE.name)).num_ack_pending == in_hand

        await eventually(taken)
        go_on.set()
        await toy.platform.settled(DURABLE)


async def test_poison_in_a_batch_does_not_take_the_batch_along(toy, greetings_consumer) -> None:
    bad, users = uuid4(), [uuid4() for _ in range(5)]
    consumer = greetings_consumer(100)
    sound = consumer.effect(toy.database, toy.store)

    async def effect(recorded: Sequence[Recorded]) -> None:
        if any(each.envelope.subject == str(bad) for each in recorded):
            raise ValueError("poison")
        await sound(recorded)

    await publish(toy, *(envelope(user) for user in [*users[:3], bad, *users[3:]]))
    async with consuming(toy, consumer, effect=effect):
        await toy.platform.settled(DURABLE)

    assert await greetings(toy) == dict.fromkeys(users, 1)
    assert len(await letters(toy)) == 1


@pytest.mark.parametrize(
    "payload",
    [b"", b"\xff\xfe", b"null", b"[]", b'{"specversion":"1.0"}', b"{" * 1000],
    ids=["empty", "not text", "null", "list", "half an envelope", "nonsense"],
)
async def test_what_cannot_be_decoded_is_parked_at_once(toy, greetings_consumer, payload: bytes) -> None:
    async with consuming(toy, greetings_consumer(1)):
        await toy.platform.bus.publish("CONTENT", [Message(SUBJECT, payload, uuid4().hex)])
        await toy.platform.settled(DURABLE)

    (letter,) = await letters(toy)
    assert (letter.payload, letter.deliveries) == (payload, 1)
    assert letter.error.startswith("InvalidEventError")


async def test_what_the_driver_refuses_to_send_is_parked_not_waited_out(toy, monkeypatch) -> None:
    """It is an error of the connection's class, but no trouble of the connection."""
    monkeypatch.setattr(consumer_loop, "TRIES", 1)
    more_than_a_statement_takes = list(range(2**15))
    query = text("SELECT 1 WHERE 1 IN :ids").bindparams(bindparam("ids", expanding=True))

    async def react(store, connection, event, envelope) -> None:
        await connection.execute(query, {"ids": more_than_a_statement_takes})

    async with consuming(toy, Consumer.react(DURABLE, react)):
        await publish(toy, envelope(uuid4()))
        await eventually(lambda: parked(toy, 1))


async def test_an_unknown_version_is_parked_not_guessed_at(toy, greetings_consumer) -> None:
    async with consuming(toy, greetings_consumer(1)):
        await publish(toy, envelope(uuid4()).model_copy(update={"dataversion": 99}))
        await toy.platform.settled(DURABLE)

    assert (await letters(toy))[0].error.startswith("UnknownEventError")


async def test_an_outage_of_the_database_is_waited_out_and_counts_as_no_try(toy, greetings_consumer, postgres) -> None:
    user = uuid4()
    name = toy.database.url.database
    as_superuser(postgres, f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
    as_superuser(postgres, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    async with consuming(toy, greetings_consumer(1)):
        await publish(toy, envelope(user))

        async def tried_often() -> bool:
            info = await toy.platform.bus.jetstream.consumer_info("CONTENT", DURABLE.name)
            return info.delivered.consumer_seq > consumer_loop.TRIES + 2

        await eventually(tried_often)
        as_superuser(postgres, f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
        await toy.platform.settled(DURABLE)

    assert await greetings(toy) == {user: 1}
    assert await letters(toy) == []


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

    async with consuming(toy, consumer, effect=effect), consuming(toy, consumer, effect=effect):
        await publish(toy, envelope(uuid4()))
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

    await publish(toy, *(envelope(uuid4()) for _ in range(3)))
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

    cause = envelope(uuid4(), correlation="request-7")
    async with consuming(toy, Consumer.react(DURABLE, react)):
        await publish(toy, cause, traceparent="00-" + "a" * 32 + "-" + "b" * 16 + "-01")
        await toy.platform.settled(DURABLE)

    assert (seen[0].correlation_id, seen[0].causation_id) == ("request-7", cause.id)
    assert seen[0].traceparent == "00-" + "a" * 32 + "-" + "b" * 16 + "-01"


async def test_it_goes_on_when_its_durable_comes_back(toy, greetings_consumer) -> None:
    user = uuid4()
    async with consuming(toy, greetings_consumer(1)) as loop:
        await toy.platform.settled(DURABLE)
        await toy.platform.bus.jetstream.delete_consumer("CONTENT", DURABLE.name)
        await publish(toy, envelope(user))
        await ensure_durable(toy.platform.bus.jetstream, DURABLE)
        await toy.platform.settled(DURABLE)
        loop.check()

    assert await greetings(toy) == {user: 1}


async def test_a_parked_letter_is_parked_once(toy) -> None:
    async def park() -> None:
        async with toy.database.transaction() as connection:
            await dead_letters.park(
                connection,
                consumer="c",
                stream_sequence=1,
                stored_at=toy.clock.now,
                subject="s",
                headers={},
                payload=b"\x00\xff",
                error="nul \x00 in it",
                deliveries=1,
            )

    await park()
    await park()

    (letter,) = await letters(toy)
    assert letter.payload == b"\x00\xff"
    async with toy.database.transaction() as connection:
        assert await dead_letters.waiting_ids(connection) == [letter.id]
        await dead_letters.mark_redriven(connection, letter.id, toy.clock.now)
        assert await dead_letters.waiting_ids(connection) == []


async def test_a_parked_letter_that_fails_again_waits_again(toy) -> None:
    async def park(error: str) -> None:
        async with toy.database.transaction() as connection:
            await dead_letters.park(
                connection,
                consumer="c",
                stream_sequence=1,
                stored_at=toy.clock.now,
                subject="s\x00",
                headers={"k\x00": "\x00"},
                payload=b"",
                error=error,
                deliveries=1,
            )

    await park("first")
    async with toy.database.transaction() as connection:
        await dead_letters.mark_redriven(connection, (await letters_of(connection))[0].id, toy.clock.now)
    assert await letters(toy) == []

    await park("second")

    assert [letter.error for letter in await letters(toy)] == ["second"]


async def letters_of(connection) -> list[dead_letters.DeadLetter]:
    return await dead_letters.waiting(connection)


async def test_poison_of_a_stream_made_anew_is_parked_beside_the_old_one(toy) -> None:
    """Its sequence numbers start again."""

    async def react(store, connection, event, envelope) -> None:
        raise ValueError("poison")

    async with consuming(toy, Consumer.react(DURABLE, react)):
        await publish(toy, envelope(uuid4()))
        await eventually(lambda: parked(toy, 1))
    await toy.platform.bus.jetstream.delete_stream("CONTENT")
    await provision_bus(toy.platform.nats_url)
    async with consuming(toy, Consumer.react(DURABLE, react)):
        await publish(toy, envelope(uuid4()))
        await eventually(lambda: parked(toy, 2))


async def parked(toy, count: int) -> bool:
    return len(await letters(toy)) == count


async def test_deliveries_during_an_outage_are_no_reason_to_give_up_afterwards(toy) -> None:
    outages, failures = iter(range(consumer_loop.SUSPECT_DELIVERIES * 2)), iter([ValueError("once")])
    handled: list[UUID] = []

    async def effect(recorded: Sequence[Recorded]) -> None:
        if next(outages, None) is not None:
            raise ConnectionRefusedError
        if error := next(failures, None):
            raise error
        handled.extend(UUID(each.envelope.subject) for each in recorded)

    user = uuid4()
    async with consuming(toy, Consumer.react(DURABLE, nothing), effect=effect):
        await publish(toy, envelope(user))
        await toy.platform.settled(DURABLE)

    assert handled == [user]
    assert await letters(toy) == []


async def test_a_message_that_takes_its_process_down_is_parked(toy) -> None:
    """A crash is a task that is cancelled without a chance to tidy up: the mark of the attempt stays."""
    bad = envelope(uuid4())
    calls = 0

    async def effect(recorded: Sequence[Recorded]) -> None:
        nonlocal calls
        calls += 1

    async with toy.database.transaction() as connection:
        await connection.execute(
            text("INSERT INTO attempts VALUES (:consumer, :id, :started)"),
            {"consumer": DURABLE.name, "id": bad.id, "started": consumer_loop.CRASHES},
        )
    await publish(toy, bad)
    subscription = await toy.platform.bus.jetstream.pull_subscribe_bind(consumer=DURABLE.name, stream="CONTENT")
    for _ in range(consumer_loop.SUSPECT_DELIVERIES):  # what the server does when the acks never come
        await (await subscription.fetch(1, timeout=5))[0].nak()

    async with consuming(toy, Consumer.react(DURABLE, nothing), effect=effect):
        await eventually(lambda: parked(toy, 1))

    assert calls == 0
    assert (await letters(toy))[0].error == "_CrashingError: 3 attempts on it never came back"
    assert await toy.scalar("SELECT count(*) FROM attempts") == 0


async def test_an_attempt_that_comes_back_leaves_no_mark(toy) -> None:
    marks: list[object] = []

    async def effect(recorded: Sequence[Recorded]) -> None:
        marks.append(await toy.scalar("SELECT count(*) FROM attempts"))

    await publish(toy, envelope(uuid4()))
    subscription = await toy.platform.bus.jetstream.pull_subscribe_bind(consumer=DURABLE.name, stream="CONTENT")
    for _ in range(consumer_loop.SUSPECT_DELIVERIES):
        await (await subscription.fetch(1, timeout=5))[0].nak()
    async with consuming(toy, Consumer.react(DURABLE, nothing), effect=effect):
        await toy.platform.settled(DURABLE)

    assert marks == [1]
    assert await toy.scalar("SELECT count(*) FROM attempts") == 0


async def test_a_loop_that_is_stuck_in_an_effect_is_not_ready(toy, monkeypatch) -> None:
    release, begun = asyncio.Event(), asyncio.Event()

    async def effect(recorded: Sequence[Recorded]) -> None:
        begun.set()
        await release.wait()

    async with consuming(toy, Consumer.react(DURABLE, nothing), effect=effect) as loop:
        loop.check()
        await publish(toy, envelope(uuid4()))
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
