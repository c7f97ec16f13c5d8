"""What a rebuild makes of poison, lost history, a busy service and a wrong projection: it says so, harms nothing."""

import asyncio
from uuid import uuid4

import pytest
from sqlalchemy import Column, MetaData, Table, Uuid, text

from genonaut.contracts.content import UserPreferencesChanged, UserRegistered
from genonaut.contracts.streams import GENERATION_USERS, NOTIFICATIONS_RECIPIENTS
from genonaut.platform import consumer_loop, stream_reader, stream_source
from genonaut.platform.bus import Message
from genonaut.platform.comparison import Comparison
from genonaut.platform.consumers import Consumer
from genonaut.platform.projections import Projection
from genonaut.platform.pull import Pull
from genonaut.platform.replay import Rebuild, ReplayRefusedError
from genonaut.testkit.waiting import eventually

CONTENT = NOTIFICATIONS_RECIPIENTS.stream.name


def greeted(toy, count: int):
    async def reached() -> bool:
        return await toy.greetings() == count

    return eventually(reached, reason=f"live did not take {count} events")


def while_comparing(monkeypatch, work) -> None:
    """Runs `work` once, when a comparison has fixed its moment and is about to read the tables."""
    compare, pending = Comparison.compare, [work]

    async def interrupted(*args, **kwargs):
        if pending:
            await asyncio.wait_for(pending.pop()(), 10)
        return await compare(*args, **kwargs)

    monkeypatch.setattr(Comparison, "compare", interrupted)


class TestPoison:
    async def test_an_undecodable_message_is_left_out_and_counted(
        self, toy, look, live, greetings_projection, greetings_consumer
    ) -> None:
        async with live(greetings_consumer(10)):
            await toy.history(users=3)
            await eventually(lambda: publish_garbage(toy))
            await toy.history(users=1)
            await greeted(toy, 8)
            report = await look(greetings_projection)

        assert report.equal
        assert (report.events, report.undecodable, report.failed) == (9, 1, 0)

    async def test_an_event_that_live_parked_fails_here_too_and_does_not_stop_a_mend(
        self, toy, look, mend, live, statement, poisonous, poison, monkeypatch
    ) -> None:
        monkeypatch.setattr(consumer_loop, "TRIES", 1)
        async with live(Consumer.follow(poisonous, batch=10)):
            await toy.history(users=3)
            await toy.store.execute(*poison())
            await toy.history(users=1)
            await greeted(toy, 8)
            looked = await look(poisonous)
            await statement("UPDATE content.greeted SET greetings = 99")
            mended = await mend(poisonous)

        assert looked.equal
        assert (looked.events, looked.failed) == (9, 1)
        assert looked.first_failure == "content.user.registered: ValueError: poison"
        assert mended.swapped
        assert await toy.greetings() == 8

    async def test_an_event_that_fails_here_only_is_not_lost_in_a_swap(
        self, toy, mend, live, poisonous, poison, greetings_consumer
    ) -> None:
        async with live(greetings_consumer(10)):  # which has no trouble with it
            await toy.history(users=3)
            await toy.store.execute(*poison())
            await greeted(toy, 7)
            with pytest.raises(ReplayRefusedError, match=r"1 events were skipped .* --allow-loss"):
                await mend(poisonous)

        assert await toy.greetings() == 7

    async def test_a_letter_of_an_earlier_stream_does_not_pass_for_one_of_this_event(
        self, toy, mend, live, statement, poisonous, poison, monkeypatch
    ) -> None:
        """A stream that is made anew counts from 1 again."""
        monkeypatch.setattr(consumer_loop, "TRIES", 1)
        async with live(Consumer.follow(poisonous, batch=10)):
            await toy.history(users=1)
            await toy.store.execute(*poison())
            await greeted(toy, 2)
            await eventually(lambda: toy.scalar("SELECT 1 = count(*) FROM dead_letters"))
            await statement("UPDATE content.dead_letters SET stored_at = stored_at - interval '1 day'")
            await statement("UPDATE content.greeted SET greetings = 99")
            with pytest.raises(ReplayRefusedError, match=r"1 events were skipped .* --allow-loss"):
                await mend(poisonous)

    async def test_what_is_undecodable_in_the_log_is_left_out_too(
        self, toy, look, mend, statement, people_projection
    ) -> None:
        await toy.history(users=2)
        await statement(
            """
            INSERT INTO content.events (id, stream, version, type, dataversion, time, correlation_id, data)
            VALUES (gen_random_uuid(), 'user-x', 1, 'content.user.registered', 99, now(), 'c', '{}')
            """
        )
        report = await look(people_projection)
        await statement("UPDATE content.people SET changes = 99")

        assert report.equal
        assert (report.events, report.undecodable) == (5, 1)
        with pytest.raises(ReplayRefusedError, match="1 events were skipped"):
            await mend(people_projection)


async def publish_garbage(toy) -> bool:
    """After what the relay has to say, so that it is in the middle."""
    if await toy.scalar("SELECT count(*) FROM outbox"):
        return False
    message = Message("content.user.registered", b"garbage", uuid4().hex)
    await toy.platform.bus.publish(CONTENT, [message])
    return True


@pytest.fixture
def poisonous(greetings_projection) -> Projection:
    """Follows like the toy's greetings, but cannot greet one user."""
    projection = Projection("greetings", *greetings_projection.tables, source=greetings_projection.source)

    @projection.on(UserRegistered, UserPreferencesChanged)
    async def greet(connection, event, envelope) -> None:
        await greetings_projection._handlers[type(event)](connection, event, envelope)
        if getattr(event, "username", None) == "poison":
            raise ValueError("poison")

    return projection


@pytest.fixture
def poison(person):
    def command():
        user = uuid4()
        return person, user, UserRegistered(number=1, user_id=user, username="poison", email="a@example.org")

    return command


class TestLostHistory:
    async def test_a_lost_beginning_is_not_swapped_in_though_no_row_is_missing(
        self, toy, look, mend, live, greetings_projection, greetings_consumer
    ) -> None:
        users = [uuid4() for _ in range(5)]
        async with live(greetings_consumer(10)):
            for user in users:
                await toy.register(user)
            for user in users:
                await toy.change(user)
            await greeted(toy, 10)
            await toy.platform.bus.jetstream.purge_stream(CONTENT, seq=6)

            report = await look(greetings_projection)
            with pytest.raises(ReplayRefusedError, match=r"lost its beginning.*--allow-loss"):
                await mend(greetings_projection)
            assert await toy.greetings() == 10

            allowed = await mend(greetings_projection, allow_loss=True)

        assert report.lost_beginning
        assert not report.equal
        assert allowed.swapped
        assert await toy.greetings() == 5

    async def test_a_cell_that_shrinks_is_not_swapped_in_though_the_table_grows(
        self, toy, mend, statement, people_projection
    ) -> None:
        await toy.history(users=5)
        await statement("DELETE FROM content.people WHERE user_id IN (SELECT user_id FROM content.people LIMIT 3)")
        await statement("INSERT INTO content.people VALUES (:user, 'no event speaks of it', 0)", user=uuid4())

        with pytest.raises(ReplayRefusedError, match="1 cells of people would have fewer rows"):
            await mend(people_projection)

        assert await toy.scalar("SELECT count(*) FROM people") == 3

    @pytest.mark.parametrize("kept", [slice(0), slice(10, None), slice(5), slice(-5)], ids=str)
    async def test_what_is_lost_on_the_way_is_read_again(
        self, toy, look, live, greetings_projection, greetings_consumer, monkeypatch, kept
    ) -> None:
        """The server sends a batch to a consumer without acks once; what the connection loses of it is gone."""
        fetch, lossy = Pull.fetch, []

        async def lose_some(pull, *args, **kwargs):
            messages = await fetch(pull, *args, **kwargs)
            if not lossy:
                lossy.append(pull)
                return messages[kept]
            return messages

        async with live(greetings_consumer(10)):
            await toy.history(users=20)
            await greeted(toy, 40)
        monkeypatch.setattr(stream_reader, "FETCH_SECONDS", 0.5)
        monkeypatch.setattr(Pull, "fetch", lose_some)
        report = await look(greetings_projection)

        assert lossy
        assert report.equal
        assert report.events == 40


class TestBusyService:
    async def test_a_busy_stream_is_compared_exactly(
        self, toy, look, live, greetings_projection, greetings_consumer
    ) -> None:
        stop = asyncio.Event()

        async def busy() -> None:
            while not stop.is_set():
                await toy.history(users=1)

        async with live(greetings_consumer(10)):
            writer = asyncio.create_task(busy())
            try:
                await eventually(toy.greetings)
                reports = [await look(greetings_projection) for _ in range(5)]
            finally:
                stop.set()
                await writer

        assert [report.equal for report in reports] == [True] * 5
        assert [report.in_hand for report in reports] == [0] * 5

    async def test_commands_go_on_while_tables_are_compared(self, toy, look, people_projection, monkeypatch) -> None:
        await toy.history(users=3)
        while_comparing(monkeypatch, lambda: toy.history(users=1))

        report = await look(people_projection)

        assert report.equal
        assert (report.tables[0].live_rows, await toy.scalar("SELECT count(*) FROM people")) == (3, 4)

    async def test_consumers_go_on_while_tables_are_compared(
        self, toy, look, live, greetings_projection, greetings_consumer, monkeypatch
    ) -> None:
        async def goes_on() -> None:
            await toy.history(users=1)
            await greeted(toy, 8)

        async with live(greetings_consumer(10)):
            await toy.history(users=3)
            await greeted(toy, 6)
            while_comparing(monkeypatch, goes_on)
            report = await look(greetings_projection)

        assert report.equal
        assert report.tables[0].live_rows == 3

    async def test_what_live_has_in_hand_is_said_and_counted_once(
        self, toy, look, mend, live, greetings_projection, greetings_consumer, monkeypatch
    ) -> None:
        monkeypatch.setattr(stream_source, "RESTS", 2)
        monkeypatch.setattr(stream_source, "SETTLE_SECONDS", 0.1)
        async with live(greetings_consumer(10)):
            await toy.history(users=3)
            await greeted(toy, 6)
        async with live():
            await toy.history(users=1)
            durable = await toy.platform.bus.jetstream.pull_subscribe_bind(
                consumer=NOTIFICATIONS_RECIPIENTS.name, stream=CONTENT
            )
            messages = await durable.fetch(1, timeout=5)  # of a process that is killed before it acks

        looked = await look(greetings_projection)
        mended = await mend(greetings_projection)
        await messages[0].nak()
        async with live(greetings_consumer(10)):
            await greeted(toy, 8)
            after = await look(greetings_projection)

        assert looked.in_hand == 1
        assert mended.swapped
        assert after.equal


class TestShadows:
    async def test_a_handler_that_uses_a_table_of_others_is_refused_and_writes_nothing(
        self, toy, look, statement, people_projection
    ) -> None:
        await statement("CREATE TABLE content.tally (events bigint)")
        await statement("INSERT INTO content.tally VALUES (0)")
        await statement("GRANT SELECT ON content.tally TO genonaut_content")
        forgetful = Projection("people", *people_projection.tables)

        @forgetful.on(UserRegistered)
        async def count(connection, event, envelope) -> None:
            await connection.execute(text("UPDATE tally SET events = events + 1"))

        await toy.history(users=2)
        with pytest.raises(ReplayRefusedError, match=r'does not name as its own: .*"tally" does not exist'):
            await look(forgetful)

        assert await toy.scalar("SELECT events FROM tally") == 0

    async def test_two_rebuilds_of_one_service_do_not_meet(
        self, toy, look, live, statement, greetings_projection, greetings_consumer, monkeypatch
    ) -> None:
        await statement("CREATE TABLE content.seen (user_id uuid PRIMARY KEY)")
        await statement("GRANT ALL ON content.seen TO genonaut_content")
        seen = Table("seen", MetaData(), Column("user_id", Uuid, primary_key=True))
        other = Projection("seen-users", seen, source=GENERATION_USERS)

        @other.on(UserRegistered)
        async def see(connection, event, envelope) -> None:
            await connection.execute(seen.insert().values(user_id=event.user_id))

        meanwhile = []

        async def rebuild_the_other() -> None:
            async with toy.platform.database("content", as_owner=True) as database:  # another process, another pool
                job = Rebuild(other, service="content", database=database, bus=toy.platform.bus)
                meanwhile.append(await job.run(swap=False, progress=lambda *_: None))

        async with live(greetings_consumer(10), Consumer.follow(other, batch=10)):
            await toy.history(users=5)
            await greeted(toy, 10)
            await eventually(lambda: toy.scalar("SELECT 5 = count(*) FROM seen"))
            while_comparing(monkeypatch, rebuild_the_other)
            report = await look(greetings_projection)

        assert report.equal
        assert [each.equal for each in meanwhile] == [True]

    async def test_the_shadows_of_a_killed_rebuild_are_replaced(self, toy, look, statement, people_projection) -> None:
        await toy.history(users=2)
        await statement("CREATE SCHEMA content_rebuild_people")
        await statement("CREATE TABLE content_rebuild_people.people (of_another_shape int)")

        report = await look(people_projection)

        assert report.equal
        assert await toy.scalar("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'content_rebuild%'") == 0
