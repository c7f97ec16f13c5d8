"""Recipients are the same whatever the order in which a user's events arrive, and however often."""

from itertools import permutations
from uuid import UUID

import pytest
from sqlalchemy import text

from genonaut.contracts.content import UserPreferencesChanged, UserRegistered
from genonaut.notifications.recipients.projection import recipients

ADA = UUID(int=1)


def history(world, *changes, preferences):
    registered = UserRegistered(user_id=ADA, username="ada", email="ada@example.org", preferences=preferences)
    events = [registered, *(UserPreferencesChanged(user_id=ADA, changes=change) for change in changes)]
    return [world.recorded(event, ADA, sequence) for sequence, event in enumerate(events, start=1)]


async def rows_after(database, recorded):
    async with database.transaction() as connection:
        await connection.execute(text("DELETE FROM recipients"))
    for each in recorded:
        async with database.transaction() as connection:
            await recipients.apply(connection, [each])
    async with database.reading() as connection:
        return [tuple(row) for row in await connection.execute(text("SELECT * FROM recipients"))]


@pytest.mark.parametrize(
    ("preferences", "changes", "enabled"),
    [
        ({}, [], False),
        ({"notifications_enabled": True}, [], True),
        ({"notifications_enabled": "yes"}, [], False),
        ({"notifications_enabled": True}, [{"notifications_enabled": None}], False),
        ({}, [{"notifications_enabled": True}, {"theme": "dark"}], True),
        ({}, [{"notifications_enabled": True}, {"notifications_enabled": False}, {"theme": "dark"}], False),
        ({"notifications_enabled": True}, [{"notifications_enabled": False}, {"notifications_enabled": True}], True),
    ],
)
async def test_the_newest_event_that_names_the_preference_holds_in_every_order(
    world, platform, preferences, changes, enabled
) -> None:
    events = history(world, *changes, preferences=preferences)

    async with platform.database("notifications") as database:
        results = [await rows_after(database, [*order, order[0]]) for order in permutations(events)]

    assert {row[:3] for rows in results for row in rows} == {(ADA, "ada", enabled)}
    assert all(rows == results[0] for rows in results)


async def test_a_preference_of_somebody_not_yet_registered_is_kept(world, platform) -> None:
    change = UserPreferencesChanged(user_id=ADA, changes={"notifications_enabled": True})

    async with platform.database("notifications") as database:
        assert await rows_after(database, [world.recorded(change, ADA, 2)]) == [(ADA, None, True, 2)]


async def test_they_follow_the_bus(world, running) -> None:
    user_id = await world.register(enabled=None)
    await world.prefer(user_id, 3, theme="dark")
    await world.prefer(user_id, 2, notifications_enabled=True)
    await world.all_heard()

    async with running.runtime.database.reading() as connection:
        rows = [tuple(row) for row in await connection.execute(text("SELECT * FROM recipients"))]
    assert rows == [(user_id, "ada", True, 2)]
