"""The relay takes every committed event to the stream, in order, whatever goes wrong on the way."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import uuid4

import pytest

from genonaut.contracts import Envelope
from genonaut.contracts.content import UserRegistered
from genonaut.platform.bus import Bus, Message, PublishError
from genonaut.platform.database import lock_key
from genonaut.platform.events import MAX_EVENT_BYTES
from genonaut.platform.relay import Relay
from genonaut.platform.serving import end
from genonaut.platform.trouble import EventTooLargeError
from genonaut.testkit.servers import as_superuser
from genonaut.testkit.waiting import eventually


@asynccontextmanager
async def relaying(toy, bus=None) -> AsyncIterator[Relay]:
    relay = Relay(toy.database, bus or toy.platform.bus, schema="content", source="genonaut/content")
    task = asyncio.create_task(relay.run())
    try:
        yield relay
    finally:
        await end([task])


async def stream_messages(toy) -> list[Envelope]:
    info = await toy.platform.bus.jetstream.stream_info("CONTENT")
    return [
        Envelope.from_json((await toy.platform.bus.jetstream.get_msg("CONTENT", seq=sequence)).data)
        for sequence in range(1, info.state.last_seq + 1)
    ]


async def outbox_is_empty(toy) -> bool:
    return await toy.scalar("SELECT count(*) FROM outbox") == 0


async def test_every_event_reaches_the_stream_once_and_in_order(toy) -> None:
    users = [uuid4() for _ in range(5)]
    async with relaying(toy):
        for user in users:
            await toy.register(user)
            await toy.change(user)
        await eventually(lambda: outbox_is_empty(toy))

    log = await toy.rows("SELECT id FROM events ORDER BY position")
    assert [(envelope.id,) for envelope in await stream_messages(toy)] == log


async def test_a_backlog_larger_than_a_batch_goes_out_whole(toy) -> None:
    async with toy.database.transaction() as connection:
        for _ in range(300):
            user = uuid4()
            event = UserRegistered(number=1, user_id=user, username=f"u{user.hex}", email="a@example.org")
            await toy.store.append(connection, "user", str(user), 0, [event])

    async with relaying(toy):
        await eventually(lambda: outbox_is_empty(toy))

    assert len(await stream_messages(toy)) == 300


async def test_what_was_published_before_a_crash_is_not_doubled_after_it(toy) -> None:
    """The relay died between the PubAck and the delete, with newer events since."""
    first, second = uuid4(), uuid4()
    await toy.register(first)
    row = (await toy.rows("SELECT id FROM events"))[0]
    async with toy.database.reading() as connection:
        recorded = (await toy.store.load(connection, "user", str(first)))[0]
    await toy.platform.bus.publish(
        "CONTENT", [Message("content.user.registered", recorded.envelope.to_json(), str(row[0]))]
    )
    await toy.register(second)

    async with relaying(toy):
        await eventually(lambda: outbox_is_empty(toy))

    assert [envelope.subject for envelope in await stream_messages(toy)] == [str(first), str(second)]


async def test_a_transaction_that_commits_late_is_not_skipped(toy) -> None:
    slow, fast = uuid4(), uuid4()
    event = UserRegistered(number=1, user_id=slow, username="slow", email="a@example.org")
    async with relaying(toy):
        async with toy.database.transaction() as connection:
            await toy.store.append(connection, "user", str(slow), 0, [event])  # takes the lower position
            await toy.register(fast)
            await eventually(lambda: outbox_is_empty(toy))
        await eventually(lambda: outbox_is_empty(toy))

    assert [envelope.subject for envelope in await stream_messages(toy)] == [str(fast), str(slow)]


async def test_only_one_of_two_relays_is_active_and_the_other_takes_over(toy) -> None:
    async with AsyncExitStack() as later, AsyncExitStack() as sooner:
        first = await sooner.enter_async_context(relaying(toy))
        await eventually(lambda: first.active)
        second = await later.enter_async_context(relaying(toy))
        await toy.register(uuid4())
        await eventually(lambda: outbox_is_empty(toy))
        assert first.active
        assert not second.active

        await sooner.aclose()
        await eventually(lambda: second.active)
        await toy.register(uuid4())
        await eventually(lambda: outbox_is_empty(toy))


async def test_it_survives_the_loss_of_its_database_connection(toy, postgres) -> None:
    async with relaying(toy) as relay:
        await eventually(lambda: relay.active)
        as_superuser(
            postgres,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'genonaut_content'"
            f" AND datname = '{toy.database.url.database}'",
        )
        await toy.register(uuid4())
        await eventually(lambda: outbox_is_empty(toy))

    assert len(await stream_messages(toy)) == 1


async def test_what_the_stream_refuses_stays_in_the_outbox_until_it_is_taken(toy) -> None:
    jetstream = toy.platform.bus.jetstream
    config = (await jetstream.stream_info("CONTENT")).config
    await jetstream.update_stream(config.evolve(max_bytes=1))
    async with relaying(toy) as relay:
        await toy.register(uuid4())
        await eventually(lambda: relay.active)
        await jetstream.update_stream(config)
        await eventually(lambda: outbox_is_empty(toy))

    assert len(await stream_messages(toy)) == 1


async def test_a_full_stream_is_said_so(toy) -> None:
    jetstream = toy.platform.bus.jetstream
    config = (await jetstream.stream_info("CONTENT")).config
    await jetstream.update_stream(config.evolve(max_bytes=1))

    with pytest.raises(PublishError, match="CONTENT refused a message"):
        await toy.platform.bus.publish("CONTENT", [Message("content.user.registered", b"{}", "1")])
    with pytest.raises(PublishError, match="CONTENT"):
        await toy.platform.bus.publish("CONTENT", [Message("content.user.registered", b"{}", str(n)) for n in range(3)])


async def test_publishing_without_a_server_is_an_error_not_a_hang(toy, monkeypatch) -> None:
    monkeypatch.setattr("genonaut.platform.bus.PUBLISH_TIMEOUT", 0.05)
    with pytest.raises(PublishError, match="did not acknowledge"):
        await toy.platform.bus.publish("NOWHERE", [Message("no.such.subject", b"{}", "1")])


async def test_a_batch_with_a_known_message_is_published_without_it(toy) -> None:
    bus: Bus = toy.platform.bus
    await bus.publish("CONTENT", [Message("content.user.registered", b"{}", "known")])

    await bus.publish("CONTENT", [Message("content.user.registered", b"{}", name) for name in ("a", "known", "b")])

    info = await bus.jetstream.stream_info("CONTENT")
    assert info.state.messages == 3


async def test_without_a_connection_nothing_is_published_and_nothing_breaks(toy) -> None:
    """The client would buffer up to 2 MiB and then fail every publish; the outbox is the better buffer."""
    bus = await Bus.connect(toy.platform.nats_url, name="lonely")
    bus._closing = True  # so that the close does not end this process
    await bus.client.close()

    with pytest.raises(PublishError, match="out of reach"):
        await bus.publish("CONTENT", [Message("content.user.registered", b"x" * 10_000, str(n)) for n in range(250)])
    await bus.publish_live("live.job.1", b"x")
    await bus.close()


@pytest.mark.parametrize("letter", ["x", "é", "中"])
async def test_an_event_that_the_bus_would_refuse_does_not_get_into_the_log(toy, letter: str) -> None:
    """Counted in bytes, by the limit that a server has when nobody says otherwise."""
    fits = (MAX_EVENT_BYTES - 200) // len(letter.encode())
    small, large = uuid4(), uuid4()
    await toy.store.execute(
        toy.person, small, UserRegistered(number=1, user_id=small, username=letter * fits, email="a@example.org")
    )

    with pytest.raises(EventTooLargeError):
        await toy.store.execute(
            toy.person,
            large,
            UserRegistered(number=1, user_id=large, username=letter * (fits + 200), email="a@example.org"),
        )

    assert toy.platform.bus.client.max_payload == 1024 * 1024
    async with relaying(toy):
        await eventually(lambda: outbox_is_empty(toy))
    assert [envelope.subject for envelope in await stream_messages(toy)] == [str(small)]


async def test_a_standby_relay_says_when_the_active_one_does_not_work(toy) -> None:
    from genonaut.platform import relay as module

    await toy.register(uuid4())  # by the toy's clock it is older than any patience
    holder = await toy.database.connect_raw()
    async with AsyncExitStack() as opened:
        opened.callback(holder.terminate)
        relay = Relay(toy.database, toy.platform.bus, schema="content", source="genonaut/content")
        await holder.execute("SELECT pg_advisory_lock($1)", lock_key("relay content"))
        relay.last_progress = relay.last_progress - 2 * module.STALL
        task = asyncio.create_task(relay.run())
        opened.callback(task.cancel)
        await asyncio.sleep(0.5)  # it looks once a second: what is shown is that looking does not reassure it
        with pytest.raises(TimeoutError, match="does not empty"):
            relay.check()


def test_locks_keep_their_keys() -> None:
    """During an upgrade, processes of two versions hold each other off by them."""
    assert lock_key("relay content") == 1_501_022_405
