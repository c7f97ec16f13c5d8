"""Both projections, built again from their events, equal the live tables."""

from importlib.metadata import entry_points

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from genonaut.notifications.feed.projection import feed_projection
from genonaut.notifications.recipients.projection import recipients_projection
from genonaut.platform import replay_cli
from genonaut.platform.replay import Rebuild


@pytest.fixture
def rebuild(world):
    async def rebuild(projection, *, swap):
        async with world.platform.database("notifications", as_owner=True) as owner:
            job = Rebuild(projection, service="notifications", database=owner, bus=world.platform.bus)
            return await job.run(swap=swap, progress=lambda *_: None)

    return rebuild


async def history(world, running):
    users = [await world.register(enabled=enabled) for enabled in (True, False, None)]
    await world.prefer(users[1], 3, theme="dark")
    await world.prefer(users[1], 2, notifications_enabled=True)
    await world.all_heard()
    for user_id in users:
        for end in (world.publish_job, world.fail_job, world.cancel_job):
            await end(user_id)
    await world.all_heard()
    await running.client.put("/api/v1/notifications/read-all", params={"user_id": str(users[0])})


@pytest.mark.parametrize("projection", [recipients_projection, feed_projection], ids=lambda projection: projection.name)
async def test_rebuilt_equals_live(world, running, rebuild, projection) -> None:
    await history(world, running)

    report = await rebuild(projection, swap=False)

    assert report.equal, report
    assert all(table.live_rows > 0 for table in report.tables)


@pytest.mark.parametrize(
    ("projection", "damage"),
    [
        (recipients_projection, "UPDATE recipients SET notifications_enabled = NOT notifications_enabled"),
        (feed_projection, "UPDATE user_notifications SET read_status = false WHERE related_job_id = 1"),
        (feed_projection, "DELETE FROM user_notifications WHERE related_job_id = 2"),
    ],
)
async def test_damage_is_found_and_mended(world, running, rebuild, projection, damage) -> None:
    await history(world, running)
    async with running.runtime.database.transaction() as connection:
        await connection.execute(text(damage))

    found = await rebuild(projection, swap=False)
    mended = await rebuild(projection, swap=True)
    after = await rebuild(projection, swap=False)

    assert not found.equal
    assert mended.swapped
    assert after.equal


def test_telling_people_is_not_replayed(monkeypatch) -> None:
    own = [entry for entry in entry_points(group=replay_cli.SERVICES_GROUP) if entry.name == "notifications"]
    monkeypatch.setattr(replay_cli, "entry_points", lambda group: own)

    refused = CliRunner().invoke(replay_cli.app, ["rebuild", "notifications.notifications-jobs"])

    assert refused.exit_code == 2
    assert "not a projection" in refused.stdout
