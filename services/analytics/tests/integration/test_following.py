"""From the bus into the tables: once each, whatever else is on the bus."""

import pytest
from sqlalchemy import text

from genonaut.analytics.service import service
from genonaut.contracts.streams import REQUESTS
from genonaut.platform.bus import Message
from genonaut.testkit.waiting import eventually


async def scalar(running, query):
    async with running.runtime.database.reading() as connection:
        return await connection.scalar(text(query))


async def test_requests_and_jobs_are_counted(world, running) -> None:
    await world.say(world.requests(700))
    await world.say(world.jobs(50))
    await world.all_heard()

    assert await scalar(running, "SELECT sum(total_requests) FROM route_analytics_hourly") == 700
    assert await scalar(running, "SELECT sum(total_requests) FROM generation_metrics_hourly") == 50


async def test_what_comes_again_is_counted_once(world, running, contents) -> None:
    events = [*world.requests(100), *world.jobs(10)]
    await world.say(events)
    await world.all_heard()
    before = await contents(running.runtime.database)

    await world.say(events[::-1], again="again-")
    await world.all_heard()

    assert await contents(running.runtime.database) == before


async def test_one_bad_event_does_not_take_its_batch_along(world, running, monkeypatch) -> None:
    """Neither one that is no event at all, nor one that no table can hold."""
    monkeypatch.setattr("genonaut.platform.consumer_loop.TRIES", 2)
    impossible = world.request(0, status_code=10**12)
    good = world.requests(50)
    await world.platform.bus.publish(REQUESTS.name, [Message("gateway.request.served", b"{", "nonsense")])
    await world.say([*good[:25], impossible, *good[25:]])
    await world.all_heard()

    assert await scalar(running, "SELECT count(*) FROM route_analytics") == 50
    assert await scalar(running, "SELECT sum(total_requests) FROM route_analytics_hourly") == 50
    assert await scalar(running, "SELECT count(*) FROM dead_letters") == 2


@pytest.mark.parametrize("path", ["/health", "/ready", "/docs", "/openapi.json"])
async def test_it_serves_what_every_service_serves(running, path) -> None:
    async def answers() -> bool:
        return (await running.client.get(path)).status_code == 200

    await eventually(answers)


async def test_it_goes_on_after_a_restart_and_counts_nothing_twice(world, contents) -> None:
    events = world.requests(200)
    async with world.platform.running(service):
        await world.say(events[:120])
        await world.all_heard()
    await world.say(events[100:], again="again-")
    async with world.platform.running(service) as second:
        await world.all_heard()
        assert await scalar(second, "SELECT sum(total_requests) FROM route_analytics_hourly") == 200
