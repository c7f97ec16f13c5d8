"""A message that nobody can handle is parked whole, once, and holds up no other; no other is parked."""

from collections.abc import Sequence
from uuid import UUID, uuid4

import pytest
from sqlalchemy import bindparam, text

from genonaut.contracts import Envelope
from genonaut.contracts.content import UserRegistered
from genonaut.contracts.streams import NOTIFICATIONS_RECIPIENTS as DURABLE
from genonaut.platform import consumer_loop, dead_letters, metrics
from genonaut.platform.bus import Message
from genonaut.platform.consumers import Consumer
from genonaut.platform.projections import Recorded
from genonaut.platform.provisioning import provision_bus
from genonaut.testkit.waiting import eventually

pytestmark = pytest.mark.usefixtures("quick_retries")


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

    poison, before = toy.envelope(bad), dead()
    async with toy.consuming(Consumer.react(DURABLE, react)):
        await toy.publish(poison, toy.envelope(good), traceparent="00-" + "a" * 32 + "-" + "b" * 16 + "-01")
        await toy.platform.settled(DURABLE)

    assert handled == [good]
    assert dead() == before + 1
    (letter,) = await toy.letters()
    assert (letter.consumer, letter.subject) == (DURABLE.name, UserRegistered.type)
    assert letter.error == "ValueError: I never work"
    assert Envelope.from_json(letter.payload) == poison
    assert letter.headers["traceparent"].startswith("00-aaaa")
    assert letter.deliveries == consumer_loop.TRIES


async def test_poison_in_a_batch_does_not_take_the_batch_along(toy, greetings_consumer) -> None:
    bad, users = uuid4(), [uuid4() for _ in range(5)]
    consumer = greetings_consumer(100)
    sound = consumer.effect(toy.database, toy.store)

    async def effect(recorded: Sequence[Recorded]) -> None:
        if any(each.envelope.subject == str(bad) for each in recorded):
            raise ValueError("poison")
        await sound(recorded)

    await toy.publish(*(toy.envelope(user) for user in [*users[:3], bad, *users[3:]]))
    async with toy.consuming(consumer, effect=effect):
        await toy.platform.settled(DURABLE)

    assert await toy.greeted() == dict.fromkeys(users, 1)
    assert len(await toy.letters()) == 1


@pytest.mark.parametrize(
    "payload",
    [b"", b"\xff\xfe", b"null", b"[]", b'{"specversion":"1.0"}', b"{" * 1000],
    ids=["empty", "not text", "null", "list", "half an envelope", "nonsense"],
)
async def test_what_cannot_be_decoded_is_parked_at_once(toy, greetings_consumer, payload: bytes) -> None:
    async with toy.consuming(greetings_consumer(1)):
        await toy.platform.bus.publish("CONTENT", [Message(UserRegistered.type, payload, uuid4().hex)])
        await toy.platform.settled(DURABLE)

    (letter,) = await toy.letters()
    assert (letter.payload, letter.deliveries) == (payload, 1)
    assert letter.error.startswith("InvalidEventError")


async def test_what_the_driver_refuses_to_send_is_parked_not_waited_out(toy, monkeypatch) -> None:
    """It is an error of the connection's class, but no trouble of the connection."""
    monkeypatch.setattr(consumer_loop, "TRIES", 1)
    more_than_a_statement_takes = list(range(2**15))
    query = text("SELECT 1 WHERE 1 IN :ids").bindparams(bindparam("ids", expanding=True))

    async def react(store, connection, event, envelope) -> None:
        await connection.execute(query, {"ids": more_than_a_statement_takes})

    async with toy.consuming(Consumer.react(DURABLE, react)):
        await toy.publish(toy.envelope(uuid4()))
        await eventually(lambda: parked(toy, 1))


async def test_an_unknown_version_is_parked_not_guessed_at(toy, greetings_consumer) -> None:
    async with toy.consuming(greetings_consumer(1)):
        await toy.publish(toy.envelope(uuid4()).model_copy(update={"dataversion": 99}))
        await toy.platform.settled(DURABLE)

    assert (await toy.letters())[0].error.startswith("UnknownEventError")


async def park(toy, error: str) -> None:
    """The same letter every time, of bytes that Postgres keeps nowhere but in a bytea."""
    async with toy.database.transaction() as connection:
        await dead_letters.park(
            connection,
            consumer="c",
            stream_sequence=1,
            stored_at=toy.clock.now,
            subject="s\x00",
            headers={"k\x00": "\x00"},
            payload=b"\x00\xff",
            error=error,
            deliveries=1,
        )


async def test_a_parked_letter_is_parked_once(toy) -> None:
    await park(toy, "nul \x00 in it")
    await park(toy, "nul \x00 in it")

    (letter,) = await toy.letters()
    assert letter.payload == b"\x00\xff"
    async with toy.database.transaction() as connection:
        assert await dead_letters.waiting_ids(connection) == [letter.id]
        await dead_letters.mark_redriven(connection, letter.id, toy.clock.now)
        assert await dead_letters.waiting_ids(connection) == []


async def test_a_parked_letter_that_fails_again_waits_again(toy) -> None:
    await park(toy, "first")
    async with toy.database.transaction() as connection:
        await dead_letters.mark_redriven(connection, (await dead_letters.waiting(connection))[0].id, toy.clock.now)
    assert await toy.letters() == []

    await park(toy, "second")

    assert [letter.error for letter in await toy.letters()] == ["second"]


async def test_poison_of_a_stream_made_anew_is_parked_beside_the_old_one(toy) -> None:
    """Its sequence numbers start again."""

    async def react(store, connection, event, envelope) -> None:
        raise ValueError("poison")

    async with toy.consuming(Consumer.react(DURABLE, react)):
        await toy.publish(toy.envelope(uuid4()))
        await eventually(lambda: parked(toy, 1))
    await toy.platform.bus.jetstream.delete_stream("CONTENT")
    await provision_bus(toy.platform.nats_url)
    async with toy.consuming(Consumer.react(DURABLE, react)):
        await toy.publish(toy.envelope(uuid4()))
        await eventually(lambda: parked(toy, 2))


async def parked(toy, count: int) -> bool:
    return len(await toy.letters()) == count


async def test_deliveries_during_an_outage_are_no_reason_to_give_up_afterwards(toy, greetings_consumer) -> None:
    outages, failures = iter(range(consumer_loop.SUSPECT_DELIVERIES * 2)), iter([ValueError("once")])
    handled: list[UUID] = []

    async def effect(recorded: Sequence[Recorded]) -> None:
        if next(outages, None) is not None:
            raise ConnectionRefusedError
        if error := next(failures, None):
            raise error
        handled.extend(UUID(each.envelope.subject) for each in recorded)

    user = uuid4()
    async with toy.consuming(greetings_consumer(1), effect=effect):
        await toy.publish(toy.envelope(user))
        await toy.platform.settled(DURABLE)

    assert handled == [user]
    assert await toy.letters() == []


async def test_a_message_that_takes_its_process_down_is_parked(toy, greetings_consumer) -> None:
    """A crash is a task that is cancelled without a chance to tidy up: the mark of the attempt stays."""
    bad = toy.envelope(uuid4())
    calls = 0

    async def effect(recorded: Sequence[Recorded]) -> None:
        nonlocal calls
        calls += 1

    async with toy.database.transaction() as connection:
        await connection.execute(
            text("INSERT INTO attempts VALUES (:consumer, :id, :started)"),
            {"consumer": DURABLE.name, "id": bad.id, "started": consumer_loop.CRASHES},
        )
    await toy.publish(bad)
    subscription = await toy.platform.bus.jetstream.pull_subscribe_bind(consumer=DURABLE.name, stream="CONTENT")
    for _ in range(consumer_loop.SUSPECT_DELIVERIES):  # what the server does when the acks never come
        await (await subscription.fetch(1, timeout=5))[0].nak()

    async with toy.consuming(greetings_consumer(1), effect=effect):
        await eventually(lambda: parked(toy, 1))

    assert calls == 0
    assert (await toy.letters())[0].error == "_CrashingError: 3 attempts on it never came back"
    assert await toy.scalar("SELECT count(*) FROM attempts") == 0


async def test_an_attempt_that_comes_back_leaves_no_mark(toy, greetings_consumer) -> None:
    marks: list[object] = []

    async def effect(recorded: Sequence[Recorded]) -> None:
        marks.append(await toy.scalar("SELECT count(*) FROM attempts"))

    await toy.publish(toy.envelope(uuid4()))
    subscription = await toy.platform.bus.jetstream.pull_subscribe_bind(consumer=DURABLE.name, stream="CONTENT")
    for _ in range(consumer_loop.SUSPECT_DELIVERIES):
        await (await subscription.fetch(1, timeout=5))[0].nak()
    async with toy.consuming(greetings_consumer(1), effect=effect):
        await toy.platform.settled(DURABLE)

    assert marks == [1]
    assert await toy.scalar("SELECT count(*) FROM attempts") == 0
