"""Appending is atomic, optimistic, and takes the inline projections and the outbox along."""

import asyncio
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from genonaut.contracts.content import UserPreferencesChanged
from genonaut.platform import metrics
from genonaut.platform.context import Cause, caused_by
from genonaut.platform.events import MANY, Addition
from genonaut.platform.trouble import ConcurrencyConflictError


async def test_a_command_appends_projects_and_fills_the_outbox_in_one_commit(toy) -> None:
    user_id = uuid4()

    await toy.register(user_id)

    assert await toy.rows("SELECT stream, version, type FROM events") == [
        (f"user-{user_id}", 1, "content.user.registered")
    ]
    assert await toy.rows("SELECT o.position = e.position FROM outbox o JOIN events e ON e.id = o.event_id") == [
        (True,)
    ]
    assert await toy.rows("SELECT user_id, changes FROM people") == [(user_id, 0)]


async def test_a_command_that_changes_nothing_appends_nothing(toy) -> None:
    user_id = uuid4()
    await toy.register(user_id)

    await toy.register(user_id)

    assert await toy.scalar("SELECT count(*) FROM events") == 1


async def test_concurrent_commands_on_one_aggregate_all_happen_once_each(toy) -> None:
    user_id = uuid4()
    await toy.register(user_id)

    await asyncio.gather(*(toy.change(user_id) for _ in range(4)))

    assert await toy.rows("SELECT array_agg(version ORDER BY version) FROM events") == [([1, 2, 3, 4, 5],)]
    assert await toy.scalar("SELECT changes FROM people") == 4


async def test_several_streams_are_appended_to_together_or_not_at_all(toy) -> None:
    ada, bob, eve = uuid4(), uuid4(), uuid4()
    await toy.register(bob)

    def additions(*versions: tuple[UUID, int]) -> list[Addition]:
        return [
            Addition(str(user_id), version, [UserPreferencesChanged(user_id=user_id, changes={"at": version})])
            for user_id, version in versions
        ]

    with pytest.raises(ConcurrencyConflictError):
        async with toy.database.transaction() as connection:
            await toy.store.append_all(connection, "user", additions((ada, 0), (bob, 0)))
    assert await toy.scalar("SELECT count(*) FROM events") == 1

    async with toy.database.transaction() as connection:
        await toy.store.append_all(connection, "user", additions((bob, 1), (ada, 0), (bob, 2)))
        loaded = await toy.store.load_all(connection, "user", [str(ada), str(bob), str(eve)])
    assert {subject: [each.envelope.sequence for each in recorded] for subject, recorded in loaded.items()} == {
        str(ada): [1],
        str(bob): [1, 2, 3],
    }
    assert await toy.rows("SELECT stream, version FROM events ORDER BY position") == [
        (f"user-{bob}", 1),
        (f"user-{bob}", 2),
        (f"user-{ada}", 1),
        (f"user-{bob}", 3),
    ]
    assert await toy.rows("SELECT user_id, changes FROM people") == [(bob, 2)]


async def test_many_events_at_once_are_appended_as_few_are(toy) -> None:
    users = [uuid4() for _ in range(MANY)]
    event = UserPreferencesChanged(user_id=users[0], changes={"a": [1.5, None, "Ünï"], "big": 2**64 - 1})
    additions = [Addition(str(user_id), 0, [event]) for user_id in users]

    async with toy.database.transaction() as connection:
        await toy.store.append_all(connection, "user", additions)

    rows = "SELECT stream, version, type, data FROM events JOIN outbox USING (position) WHERE event_id = id"
    expected = [(f"user-{user_id}", 1, event.type, event.model_dump(mode="json")) for user_id in users]
    assert await toy.rows(f"{rows} ORDER BY position") == expected
    with pytest.raises(ConcurrencyConflictError):
        async with toy.database.transaction() as connection:
            await toy.store.append_all(connection, "user", additions)
    assert await toy.scalar("SELECT count(*) FROM events") == MANY


async def test_an_append_on_an_old_version_is_refused_and_leaves_no_trace(toy) -> None:
    user_id = uuid4()
    await toy.register(user_id)
    event = UserPreferencesChanged(user_id=user_id, changes={})

    with pytest.raises(ConcurrencyConflictError):
        async with toy.database.transaction() as connection:
            await toy.store.append(connection, "user", str(user_id), 0, [event])

    assert await toy.scalar("SELECT count(*) FROM events") == 1
    assert await toy.scalar("SELECT changes FROM people") == 0


async def test_a_failed_projection_undoes_the_append(toy) -> None:
    user_id = uuid4()
    async with toy.database.transaction() as connection:
        await connection.execute(text("INSERT INTO people VALUES (:id, 'taken', 7)"), {"id": user_id})

    with pytest.raises(Exception, match="duplicate key"):
        await toy.register(user_id)

    assert await toy.scalar("SELECT count(*) FROM events") == 0
    assert await toy.scalar("SELECT count(*) FROM outbox") == 0


async def test_what_is_counted_is_what_is_committed(toy) -> None:
    def counted() -> float:
        labels = {"type": UserPreferencesChanged.type}
        return metrics.REGISTRY.get_sample_value("events_appended_total", labels) or 0.0

    user_id = uuid4()
    await toy.register(user_id)
    event = UserPreferencesChanged(user_id=user_id, changes={})
    before = counted()

    async def changes_its_mind() -> None:
        async with toy.database.transaction() as connection:
            await toy.store.append(connection, "user", str(user_id), 1, [event])
            raise RuntimeError("not after all")

    with pytest.raises(RuntimeError, match="after all"):
        await changes_its_mind()
    assert counted() == before

    async with toy.database.transaction() as connection:
        await toy.store.append(connection, "user", str(user_id), 1, [event, event])
        assert counted() == before
    assert counted() == before + 2


async def test_events_carry_what_caused_them(toy) -> None:
    user_id, cause = uuid4(), uuid4()

    with caused_by(Cause("request-1", cause, "00-" + "a" * 32 + "-" + "b" * 16 + "-01")):
        await toy.register(user_id)

    row = (await toy.rows("SELECT correlation_id, causation_id, traceparent, time FROM events"))[0]
    assert row == ("request-1", cause, "00-" + "a" * 32 + "-" + "b" * 16 + "-01", toy.clock.now)


async def test_loading_gives_the_events_back_as_they_were_stated(toy) -> None:
    user_id = uuid4()
    await toy.register(user_id)
    await toy.change(user_id)

    async with toy.database.reading() as connection:
        history = await toy.store.load(connection, "user", str(user_id))

    assert [each.envelope.sequence for each in history] == [1, 2]
    assert history[0].event.username == f"u{user_id.hex[:8]}"  # type: ignore[attr-defined]
    assert history[0].envelope.subject == str(user_id)
