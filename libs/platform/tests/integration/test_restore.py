"""What a stream has lost comes back from the log, once, while everything goes on; and nothing else does."""

import asyncio
from collections import Counter
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from genonaut.contracts import Envelope
from genonaut.contracts.streams import CONTENT, GENERATION, NOTIFICATIONS, NOTIFICATIONS_RECIPIENTS
from genonaut.platform import restore as module
from genonaut.platform.provisioning import ensure_durable, provision_bus
from genonaut.platform.restore import Restoration, RestoreRefusedError, restore, streams_of
from genonaut.platform.stream_reader import StreamReader
from genonaut.testkit.waiting import eventually


@pytest.fixture
def run(toy, owner):
    async def run(*, dry_run: bool = False) -> Restoration:
        return await restore(
            CONTENT,
            service="content",
            database=owner,
            bus=toy.platform.bus,
            now=toy.clock(),
            dry_run=dry_run,
            progress=lambda *_: None,
        )

    return run


async def ids(toy, query: str = "SELECT id FROM events ORDER BY position") -> list[UUID]:
    return [row[0] for row in await toy.rows(query)]


async def in_stream(toy) -> list[UUID]:
    bus = toy.platform.bus
    state = (await bus.jetstream.stream_info("CONTENT")).state
    reader = StreamReader(bus, "CONTENT")
    found = [message async for batch in reader.batches(100, end=state.last_seq) for message in batch]
    await reader.close()
    return [Envelope.from_json(message.data).id for message in found]


async def relayed(toy) -> None:
    await eventually(lambda: outbox_is_empty(toy))


async def outbox_is_empty(toy) -> bool:
    return await toy.scalar("SELECT count(*) FROM outbox") == 0


async def test_a_deleted_stream_comes_back_in_log_order_and_those_who_follow_it_notice_nothing(
    toy, live, run, greetings_consumer
) -> None:
    async with live(greetings_consumer(1)):
        await toy.history(users=150)
        await relayed(toy)
        await toy.platform.settled(NOTIFICATIONS_RECIPIENTS)
        await toy.platform.bus.jetstream.delete_stream("CONTENT")
        await toy.history(users=5)  # accepted all the same, and kept
        await provision_bus(toy.platform.nats_url)

        assert (await run()).lost == 300
        await relayed(toy)
        await toy.platform.settled(NOTIFICATIONS_RECIPIENTS)

        log = await ids(toy)
        assert Counter(await in_stream(toy)) == Counter(log)
        assert [each for each in await in_stream(toy) if each in set(log[:300])] == log[:300]
        assert await toy.greetings() == 310


async def test_a_deleted_durable_starts_over_and_what_it_did_is_not_done_again(toy, live, greetings_consumer) -> None:
    async with live(greetings_consumer(1)):
        await toy.history(users=5)
        await relayed(toy)
        await toy.platform.settled(NOTIFICATIONS_RECIPIENTS)
        await toy.platform.bus.jetstream.delete_consumer("CONTENT", NOTIFICATIONS_RECIPIENTS.name)
        await toy.history(users=1)
        await ensure_durable(toy.platform.bus.jetstream, NOTIFICATIONS_RECIPIENTS)

        await eventually(lambda: greeted(toy, 12))
        await toy.platform.settled(NOTIFICATIONS_RECIPIENTS)
        assert await toy.greetings() == 12


async def greeted(toy, number: int) -> bool:
    return await toy.greetings() == number


async def test_only_what_is_lost_is_put_back_and_doing_it_again_changes_nothing(toy, live, run) -> None:
    await toy.history(users=20)
    lost = set((await ids(toy))[10:13])
    await take_out_of_the_outbox(toy, lost)
    async with live():
        await relayed(toy)

        assert await run(dry_run=True) == Restoration("CONTENT", logged=40, held=37, lost=3)
        assert await outbox_is_empty(toy)
        assert await run() == Restoration("CONTENT", logged=40, held=37, lost=3)
        await relayed(toy)
        assert await run() == Restoration("CONTENT", logged=40, held=40, lost=0)

    assert (await in_stream(toy))[-3:] == [each for each in await ids(toy) if each in lost]


async def take_out_of_the_outbox(toy, lost: set[UUID]) -> None:
    async with toy.database.transaction() as connection:
        listed = ", ".join(f"'{each}'" for each in lost)
        await connection.exec_driver_sql(f"DELETE FROM outbox WHERE event_id IN ({listed})")


async def test_what_is_on_its_way_is_not_lost(toy, run) -> None:
    await toy.history(users=3)

    assert await run() == Restoration("CONTENT", logged=0, held=0, lost=0)

    assert len(await ids(toy, "SELECT event_id FROM outbox WHERE restored_at IS NULL")) == 6


async def test_what_is_committed_and_published_meanwhile_is_not_lost(toy, live, run, monkeypatch) -> None:
    """Between its two looks an event is committed, and another one published: a restore that mixed them up told."""
    copy = module._copy_ids
    user = uuid4()
    await toy.register(uuid4())

    async def slowly(*arguments):
        async with live():
            await toy.register(user)
            await relayed(toy)
            held = await copy(*arguments)
            await toy.change(user)
            await relayed(toy)
            return held

    monkeypatch.setattr(module, "_copy_ids", slowly)

    assert await run() == Restoration("CONTENT", logged=0, held=2, lost=0)


async def test_it_can_run_all_the_time_while_the_platform_is_busy(toy, live, run) -> None:
    stop = asyncio.Event()

    async def busy() -> None:
        while not stop.is_set():
            await toy.history(users=1)

    async with live(), asyncio.TaskGroup() as work:
        for _ in range(4):
            work.create_task(busy())
        found = [(await run()).lost for _ in range(20)]
        stop.set()
    assert found == [0] * 20
    assert await toy.scalar("SELECT count(*) FROM events") > 100


async def test_what_is_older_than_the_stream_keeps_stays_where_it_is(toy, run) -> None:
    await toy.history(users=2)
    await take_out_of_the_outbox(toy, set(await ids(toy)))
    toy.clock.now += CONTENT.max_age - timedelta(minutes=10)
    assert (await run(dry_run=True)).lost == 4

    toy.clock.now += timedelta(minutes=20)

    assert await run() == Restoration("CONTENT", logged=0, held=0, lost=0)
    assert await outbox_is_empty(toy)


async def test_a_dry_run_of_a_stream_that_is_not_there_counts_all(toy, live, run) -> None:
    async with live():
        await toy.history(users=2)
        await relayed(toy)
    await toy.platform.bus.jetstream.delete_stream("CONTENT")

    assert await run(dry_run=True) == Restoration("CONTENT", logged=4, held=0, lost=4)


async def test_messages_that_are_none_of_ours_do_not_disturb_it(toy, run) -> None:
    await toy.platform.bus.client.request("content.user.registered", b"?", timeout=5)
    await toy.platform.bus.client.request("content.user.registered", b"?", timeout=5, headers={"Nats-Msg-Id": "me"})

    assert await run() == Restoration("CONTENT", logged=0, held=2, lost=0)


async def test_a_second_one_at_the_same_time_is_refused(toy, run, monkeypatch) -> None:
    copy = module._copy_ids

    async def and_another(*arguments):
        monkeypatch.setattr(module, "_copy_ids", copy)
        with pytest.raises(RestoreRefusedError, match="Another restore of content"):
            await run()
        return await copy(*arguments)

    monkeypatch.setattr(module, "_copy_ids", and_another)

    await run()
    await run()  # and the lock is gone


def test_each_log_has_its_stream() -> None:
    assert streams_of("content") == [CONTENT]
    assert streams_of("generation") == [GENERATION]
    assert streams_of("notifications") == [NOTIFICATIONS]
    assert streams_of("analytics") == streams_of("gateway") == []
