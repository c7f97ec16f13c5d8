"""A rebuild equals the live tables, finds and mends what does not, and loses nothing that happens meanwhile."""

import asyncio
from uuid import uuid4

import pytest
from sqlalchemy import text

from genonaut.platform import replay
from genonaut.platform.replay import Range, Rebuild, ReplayRefusedError
from genonaut.testkit.waiting import eventually


def ignore_progress(done: int, total: int) -> None:
    pass


@pytest.fixture
def people(rebuild, people_projection) -> Rebuild:
    return rebuild(people_projection)


@pytest.fixture
def greetings(rebuild, greetings_projection) -> Rebuild:
    return rebuild(greetings_projection)


async def test_a_rebuild_from_the_log_equals_the_live_tables(toy, people) -> None:
    await toy.history()
    steps: list[tuple[int, int]] = []

    report = await people.run(swap=False, progress=lambda done, total: steps.append((done, total)))

    assert report.equal
    assert (report.events, report.tables[0].live_rows, report.tables[0].rebuilt_rows) == (20, 10, 10)
    assert steps[0] == (0, 20)
    assert steps[-1] == (20, 20)


async def test_a_damaged_row_is_found_and_only_mended_when_asked(toy, people) -> None:
    await toy.history()
    async with toy.database.transaction() as connection:
        await connection.execute(
            text("UPDATE people SET changes = 99 WHERE user_id = (SELECT user_id FROM people ORDER BY user_id LIMIT 1)")
        )
        await connection.execute(
            text("DELETE FROM people WHERE user_id = (SELECT user_id FROM people ORDER BY user_id DESC LIMIT 1)")
        )

    looked = await people.run(swap=False, progress=ignore_progress)
    assert not looked.equal
    assert not looked.swapped
    assert await toy.scalar("SELECT max(changes) FROM people") == 99

    mended = await people.run(swap=True, progress=ignore_progress)
    assert mended.swapped
    assert await toy.rows("SELECT count(*), max(changes) FROM people") == [(10, 1)]
    assert (await people.run(swap=False, progress=ignore_progress)).equal


async def test_a_rebuild_touches_nothing_while_it_only_looks(toy, people) -> None:
    await toy.history(users=3)
    before = await toy.rows("SELECT xmin::text, * FROM people ORDER BY user_id")

    await people.run(swap=False, progress=ignore_progress)

    assert await toy.rows("SELECT xmin::text, * FROM people ORDER BY user_id") == before
    assert await toy.scalar("SELECT count(*) FROM pg_tables WHERE schemaname LIKE 'content_rebuild%'") == 0


async def test_a_whole_rebuild_is_noted_with_what_it_found(toy, people, statement) -> None:
    noted = "SELECT projection, events, equal FROM verifications"
    await toy.history(users=3)

    await people.run(swap=False, progress=ignore_progress)
    assert await toy.rows(noted) == [("people", 6, True)]

    await statement("UPDATE content.people SET changes = 7")
    await people.run(swap=False, progress=ignore_progress)
    assert await toy.rows(noted) == [("people", 6, False)]

    await people.run(swap=True, progress=ignore_progress)
    assert await toy.rows(noted) == [("people", 6, True)]


async def test_commands_during_a_rebuild_are_all_in_it(toy, people, monkeypatch) -> None:
    monkeypatch.setattr(replay, "BATCH", 20)
    await toy.history(users=30)
    stop = asyncio.Event()

    async def busy() -> None:
        while not stop.is_set():
            await toy.history(users=1)

    writers = [asyncio.create_task(busy()) for _ in range(3)]
    try:
        for _ in range(3):
            report = await people.run(swap=True, progress=ignore_progress)
            assert report.equal, report.tables
    finally:
        stop.set()
        await asyncio.gather(*writers)

    assert (await people.run(swap=False, progress=ignore_progress)).equal


async def test_a_transaction_that_commits_late_is_not_missed(toy, people) -> None:
    slow = uuid4()
    await toy.history(users=3)
    from genonaut.contracts.content import UserRegistered

    async with toy.database.transaction() as connection:
        event = UserRegistered(number=1, user_id=slow, username="slow", email="a@example.org")
        await toy.store.append(connection, "user", str(slow), 0, [event])
        rebuilding = asyncio.create_task(people.run(swap=False, progress=ignore_progress))
        await asyncio.sleep(0.3)  # it waits for us: what is shown is that it does not finish
        assert not rebuilding.done()
    report = await rebuilding

    assert report.equal
    assert report.events == 7


async def test_a_rebuild_from_the_bus_equals_the_live_tables(toy, greetings, greetings_consumer, live) -> None:
    async with live(greetings_consumer(10)):
        await toy.history()
        await eventually(lambda: greeted(toy, 20))
        report = await greetings.run(swap=False, progress=ignore_progress)

    assert report.equal
    assert report.behind == 0
    assert report.events == 20


async def greeted(toy, count: int) -> bool:
    return await toy.greetings() == count


async def test_bus_events_during_a_rebuild_are_counted_once_on_both_sides(
    toy, greetings, greetings_consumer, live
) -> None:
    stop = asyncio.Event()

    async def busy() -> None:
        while not stop.is_set():
            await toy.history(users=1)
            await asyncio.sleep(0.01)

    async with live(greetings_consumer(10)):
        writer = asyncio.create_task(busy())
        try:
            await eventually(toy.greetings)
            await greetings.run(swap=True, progress=ignore_progress)
        finally:
            stop.set()
            await writer
        total = await toy.scalar("SELECT count(*) FROM events")
        await eventually(lambda: greeted(toy, total))
        report = await greetings.run(swap=False, progress=ignore_progress)

    assert report.equal


async def test_a_lost_history_is_not_swapped_in_unless_told_to(toy, greetings, greetings_consumer, live) -> None:
    async with live(greetings_consumer(10)):
        await toy.history(users=5)
        await eventually(lambda: greeted(toy, 10))
        await toy.platform.bus.jetstream.purge_stream("CONTENT")

        with pytest.raises(ReplayRefusedError, match="--allow-loss"):
            await greetings.run(swap=True, progress=ignore_progress)
        assert await toy.scalar("SELECT count(*) FROM greeted") == 5

        report = await greetings.run(swap=True, progress=ignore_progress, allow_loss=True)
    assert report.swapped
    assert await toy.scalar("SELECT count(*) FROM greeted") == 0


async def test_two_rebuilds_of_one_projection_do_not_mix(toy, people) -> None:
    await toy.history(users=2)
    async with people._shadow_schema():
        with pytest.raises(ReplayRefusedError, match="being rebuilt already"):
            await people.run(swap=False, progress=ignore_progress)


async def test_a_range_needs_a_projection_with_hours(people, toy) -> None:
    with pytest.raises(ReplayRefusedError, match="has no hours"):
        await people.run(within=Range(since=toy.clock.now), swap=False, progress=ignore_progress)


async def test_without_a_bus_what_follows_it_is_refused(owner, greetings_projection) -> None:
    rebuild = Rebuild(greetings_projection, service="content", database=owner, bus=None)
    with pytest.raises(ReplayRefusedError, match="follows the bus"):
        await rebuild.count(Range())
