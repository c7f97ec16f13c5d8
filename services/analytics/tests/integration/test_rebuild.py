"""Both rollups, built again from the stream, equal the live ones; what differs is found by the hour and mended."""

import asyncio

import pytest
import pytest_asyncio
from sqlalchemy import text

from genonaut.analytics.generation.projection import generations_projection
from genonaut.analytics.routes.projection import routes_projection
from genonaut.platform.bus import Message
from genonaut.platform.comparison import Range
from genonaut.platform.replay import Rebuild, ReplayRefusedError

BOTH = pytest.mark.parametrize(
    "projection", [routes_projection, generations_projection], ids=lambda projection: projection.name
)


@pytest_asyncio.fixture
async def rebuild(world):
    """`await rebuild(projection, swap=…)` as `genonaut replay rebuild` does it."""
    async with world.platform.database("analytics", as_owner=True) as owner:

        async def rebuild(projection, **options):
            job = Rebuild(projection, service="analytics", database=owner, bus=world.platform.bus)
            return await job.run(**{"swap": False, "progress": lambda *_: None} | options)

        yield rebuild


async def damage(running, statement) -> None:
    async with running.runtime.database.transaction() as connection:
        result = await connection.execute(text(statement))
        assert result.rowcount > 0


def different(report):
    return {table.table: list(table.different_cells) for table in report.tables if table.different_cells}


def cell(moment):
    return f"{moment:%Y-%m-%d %H:00}"


def history(world, projection, number=300):
    return world.requests(number) if projection is routes_projection else world.jobs(number // 10)


@BOTH
async def test_rebuilt_equals_live_after_repeats_and_reordering(world, running, rebuild, projection) -> None:
    events = history(world, projection)
    await world.say(events[::2])
    await world.say([*events[::-3], *events[1::2]], again="again-")
    await world.say(events, again="and-again-")
    await world.all_heard()

    report = await rebuild(projection)

    assert report.equal, different(report)
    assert report.behind == 0
    assert report.events > len(events)
    assert all(table.live_rows == table.rebuilt_rows > 0 for table in report.tables)


@pytest.mark.parametrize(
    ("projection", "table", "statement"),
    [
        (
            routes_projection,
            "route_analytics_hourly",
            "UPDATE {} SET total_requests = total_requests + 1 WHERE hour = '{}'",
        ),
        (routes_projection, "route_durations_hourly", "DELETE FROM {} WHERE hour = '{}'"),
        (
            routes_projection,
            "route_users_hourly",
            "UPDATE {} SET user_id = pattern_id WHERE hour = '{}' AND user_id::text ~ '1$'",
        ),
        (routes_projection, "route_analytics", "UPDATE {} SET duration_us = 0 WHERE hour = '{}'"),
        (generations_projection, "generation_metrics_hourly", "UPDATE {} SET duration_ms_sum = 0 WHERE hour = '{}'"),
        (generations_projection, "generation_events", "DELETE FROM {} WHERE hour = '{}'"),
    ],
    ids=lambda each: each if isinstance(each, str) and " " not in each else "",
)
async def test_damage_is_found_in_its_hour_and_mended(
    world, running, rebuild, contents, projection, table, statement
) -> None:
    await world.say(history(world, projection))
    await world.all_heard()
    before = await contents(running.runtime.database)
    await damage(running, statement.format(table, world.hour(2).isoformat()))
    damaged = await contents(running.runtime.database)

    found = await rebuild(projection)
    assert different(found) == {table: [cell(world.hour(2))]}
    assert await contents(running.runtime.database) == damaged

    mended = await rebuild(projection, swap=True)
    assert mended.swapped
    assert await contents(running.runtime.database) == before
    assert (await rebuild(projection)).equal


async def test_a_range_looks_at_its_hours_only(world, running, rebuild) -> None:
    """Of events of the past, because a stream has had them since."""
    await world.say([world.request(hour, minute=minute) for hour in range(-8, -2) for minute in range(10)])
    await world.all_heard()
    for hour in (-7, -5):
        await damage(
            running,
            f"UPDATE route_analytics_hourly SET client_errors = 9 WHERE hour = '{world.hour(hour).isoformat()}'",
        )
    inside = Range(world.hour(-6), world.hour(-4))

    found = await rebuild(routes_projection, within=inside)
    mended = await rebuild(routes_projection, within=inside, swap=True)
    rest = await rebuild(routes_projection, within=Range(world.hour(-8)))

    assert different(found) == different(mended) == {"route_analytics_hourly": [cell(world.hour(-5))]}
    assert [(table.live_rows, table.rebuilt_rows) for table in found.tables] == [(20, 20), (2, 2), (2, 2), (0, 0)]
    assert different(rest) == {"route_analytics_hourly": [cell(world.hour(-7))]}


@BOTH
async def test_nothing_is_lost_or_doubled_by_a_swap_while_events_come_in(
    world, running, rebuild, contents, monkeypatch, projection
) -> None:
    monkeypatch.setattr("genonaut.platform.replay.BATCH", 50)
    events = history(world, projection, 1500)
    await world.say(events[:500])
    await world.all_heard()

    async def go_on() -> None:
        for start in range(500, len(events), 20):
            await world.say(events[start : start + 20])

    ingestion = asyncio.create_task(go_on())
    swaps = 0
    while not ingestion.done():
        for table in projection.tables:
            async with running.runtime.database.transaction() as connection:
                await connection.execute(
                    text(f"DELETE FROM {table.name} WHERE hour = :hour"), {"hour": world.hour(swaps % 5)}
                )
        swaps += (await rebuild(projection, swap=True)).swapped
    await ingestion
    await world.all_heard()

    assert swaps > 0
    assert (await rebuild(projection)).equal
    live = await contents(running.runtime.database)
    async with running.runtime.database.transaction() as connection:
        for table in projection.tables:
            await connection.execute(text(f"DELETE FROM {table.name}"))
        await projection.apply(connection, events)
    assert await contents(running.runtime.database) == live


async def test_what_the_live_side_parked_is_left_out_of_a_rebuild_too(world, running, rebuild, monkeypatch) -> None:
    monkeypatch.setattr("genonaut.platform.replay.BATCH", 40)
    monkeypatch.setattr("genonaut.platform.consumer_loop.TRIES", 1)
    await world.say([*world.requests(60), world.request(0, status_code=10**12), *world.requests(60)])
    await world.platform.bus.publish("REQUESTS", [Message("gateway.request.served", b"\xff", "nonsense")])
    await world.all_heard()

    report = await rebuild(routes_projection)

    assert report.equal, different(report)
    assert (report.undecodable, report.failed) == (1, 1)
    assert report.tables[0].rebuilt_rows == 120


async def test_a_lost_history_is_not_put_in_place_of_the_live_tables(world, running, rebuild, contents) -> None:
    await world.say(world.requests(50))
    await world.all_heard()
    before = await contents(running.runtime.database)
    await world.platform.bus.jetstream.purge_stream("REQUESTS", keep=20)

    with pytest.raises(ReplayRefusedError, match="allow-loss"):
        await rebuild(routes_projection, swap=True)
    assert await contents(running.runtime.database) == before

    report = await rebuild(routes_projection, swap=True, allow_loss=True)
    assert report.swapped
    assert 0 < report.tables[0].rebuilt_rows < report.tables[0].live_rows


async def test_a_loss_does_not_hide_behind_a_gain_elsewhere(world, running, rebuild, contents) -> None:
    """The stream lost rows of one hour, the live tables more of another."""
    await world.say([world.request(0) for _ in range(10)])
    await world.say([world.request(1) for _ in range(30)])
    await world.all_heard()
    await world.platform.bus.jetstream.purge_stream("REQUESTS", keep=35)
    await damage(running, f"DELETE FROM route_analytics WHERE hour = '{world.hour(1).isoformat()}'")
    before = await contents(running.runtime.database)

    with pytest.raises(ReplayRefusedError, match="route_analytics"):
        await rebuild(routes_projection, within=Range(world.hour(0)), swap=True)
    assert await contents(running.runtime.database) == before


async def test_hours_before_the_stream_begins_are_left_alone(world, running, rebuild, contents) -> None:
    """As after 30 days, when the stream has let go of what the tables still hold."""
    await world.say([world.request(hour) for hour in range(-5, 0) for _ in range(2)])
    await world.all_heard()
    before = await contents(running.runtime.database)
    await world.platform.bus.jetstream.purge_stream("REQUESTS", keep=3)

    report = await rebuild(routes_projection, swap=True)

    assert report.equal
    assert report.within.since == world.hour(-1)
    assert (report.tables[0].live_rows, report.tables[0].rebuilt_rows) == (2, 2)
    assert await contents(running.runtime.database) == before
