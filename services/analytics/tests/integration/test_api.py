"""The two endpoints, over the real database."""

from datetime import timedelta
from uuid import UUID

import pytest

from genonaut.analytics.generation.projection import generations_projection
from genonaut.analytics.routes.projection import routes_projection

TRENDS = "/api/v1/analytics/routes/performance-trends"
OVERVIEW = "/api/v1/analytics/generation/overview"
ROUTE = "/api/v1/content/{id}"
ADA, BOB = UUID(int=1), UUID(int=2)


@pytest.fixture
def measure(database):
    async def measure(projection, events) -> None:
        async with database.transaction() as connection:
            await projection.apply(connection, events)

    return measure


async def get(running, path, **parameters):
    answer = await running.client.get(path, params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()


def iso(moment):
    return moment.isoformat().replace("+00:00", "Z")


async def test_trends_have_a_point_for_each_hour_with_requests(world, running, measure) -> None:
    await measure(
        routes_projection,
        [
            world.request(5, duration_us=1000, user_id=ADA),
            world.request(5, duration_us=3000, user_id=ADA, method="PUT"),
            world.request(5, duration_us=5000, user_id=BOB, query_params={"tag": "cat"}),
            world.request(5, duration_us=7000, status_code=404),
            world.request(3, duration_us=2000, status_code=503, user_id=BOB),
            world.request(5, route="/api/v1/tags", duration_us=9_000_000),
        ],
    )

    body = await get(running, TRENDS, route=ROUTE)

    assert {name: value for name, value in body.items() if name != "trends"} == {
        "route": ROUTE,
        "granularity": "hourly",
        "lookback_days": 7,
        "data_points": 2,
    }
    earlier, later = body["trends"]
    assert earlier == {
        "timestamp": iso(world.hour(3)),
        "total_requests": 1,
        "successful_requests": 0,
        "client_errors": 0,
        "server_errors": 1,
        "avg_duration_ms": 2.0,
        "p50_duration_ms": pytest.approx(2, rel=1 / 64),
        "p95_duration_ms": pytest.approx(2, rel=1 / 64),
        "p99_duration_ms": pytest.approx(2, rel=1 / 64),
        "unique_users": 1,
        "success_rate": 0.0,
    }
    assert later == {
        "timestamp": iso(world.hour(5)),
        "total_requests": 4,
        "successful_requests": 3,
        "client_errors": 1,
        "server_errors": 0,
        "avg_duration_ms": 4.0,
        "p50_duration_ms": pytest.approx(3, rel=1 / 64),
        "p95_duration_ms": pytest.approx(7, rel=1 / 64),
        "p99_duration_ms": pytest.approx(7, rel=1 / 64),
        "unique_users": 2,
        "success_rate": 0.75,
    }


async def test_a_week_of_traffic_has_168_points_and_no_more(world, running, measure) -> None:
    await measure(routes_projection, [world.request(hour) for hour in range(5, 5 - 200, -1)])

    assert (await get(running, TRENDS, route=ROUTE))["data_points"] == 168
    assert (await get(running, TRENDS, route=ROUTE, days=1))["data_points"] == 24
    week = await get(running, TRENDS, route=ROUTE, granularity="daily")
    assert week["data_points"] == 7
    assert [point["total_requests"] for point in week["trends"][:-1]] == [24] * 6


async def test_over_a_day_users_are_united_and_percentiles_are_of_all_requests(world, running, measure) -> None:
    """9 fast hours and a slow one: an average of hourly p95s would be far off."""
    day = world.clock.now.replace(hour=23)
    world.clock.now = day
    slow = [world.request(5, minute=n % 60, duration_us=10**6, user_id=ADA) for n in range(4)]
    fast = [world.request(hour, minute=n, duration_us=1000, user_id=ADA) for hour in range(-4, 5) for n in range(12)]
    await measure(routes_projection, [*fast, *slow, world.request(5, user_id=BOB, duration_us=1000)])

    (point,) = (await get(running, TRENDS, route=ROUTE, granularity="daily"))["trends"]

    assert point["timestamp"] == iso(day.replace(hour=0, minute=0))
    assert (point["total_requests"], point["unique_users"]) == (113, 2)
    assert point["p95_duration_ms"] == pytest.approx(1, rel=1 / 64)
    assert point["p99_duration_ms"] == pytest.approx(1000, rel=1 / 64)
    assert point["avg_duration_ms"] == pytest.approx((109 * 1 + 4 * 1000) / 113, abs=0.001)


async def test_an_unknown_route_has_no_points(running) -> None:
    body = await get(running, f"{TRENDS}/", route="/api/v1/nothing")

    assert (body["data_points"], body["trends"]) == (0, [])


async def test_the_overview_sums_up(world, running, measure) -> None:
    await measure(
        generations_projection,
        [
            *world.job(0, ms=1000),
            *world.job(0, ms=2000),
            *world.job(3, ms=6000),
            *world.job(3, end="failed", ms=100_000),
            *world.job(4, end="cancelled"),
            *world.job(-400, ms=77_000),
        ],
    )

    assert await get(running, OVERVIEW) == {
        "lookback_days": 7,
        "total_requests": 5,
        "successful_generations": 3,
        "failed_generations": 1,
        "cancelled_generations": 1,
        "success_rate_pct": 60.0,
        "avg_duration_ms": 3000.0,
        "p50_duration_ms": pytest.approx(2000, rel=1 / 64),
        "p95_duration_ms": pytest.approx(6000, rel=1 / 64),
        "p99_duration_ms": pytest.approx(6000, rel=1 / 64),
        "total_images_generated": 6,
        "hours_with_data": 5,
        "latest_data_timestamp": iso(world.hour(5) + timedelta(seconds=30)),
    }
    assert (await get(running, OVERVIEW, days=90))["total_requests"] == 6


async def test_an_overview_of_nothing_makes_nothing_up(running) -> None:
    body = await get(running, OVERVIEW, days=1)

    assert (body["total_requests"], body["hours_with_data"], body["total_images_generated"]) == (0, 0, 0)
    unknown = ("success_rate_pct", "avg_duration_ms", "p50_duration_ms", "p95_duration_ms", "p99_duration_ms")
    assert {body[name] for name in (*unknown, "latest_data_timestamp")} == {None}


WRONG = [
    (OVERVIEW, {"days": 0}),
    (OVERVIEW, {"days": 91}),
    (OVERVIEW, {"days": "a week"}),
    (TRENDS, {}),
    (TRENDS, {"route": ""}),
    (TRENDS, {"route": "/" * 1001}),
    (TRENDS, {"route": "/\0"}),
    (TRENDS, {"route": ROUTE, "days": 91}),
    (TRENDS, {"route": ROUTE, "days": 2**70}),
    (TRENDS, {"route": ROUTE, "granularity": "weekly"}),
]


async def test_wrong_input_is_422(running) -> None:
    for path, parameters in WRONG:
        answer = await running.client.get(path, params=parameters)

        assert answer.status_code == 422, (path, parameters, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["errors"]


async def test_what_is_not_there_is_404_and_what_is_not_read_405(running) -> None:
    unknown = await running.client.get("/api/v1/analytics/nothing")
    written = await running.client.post(OVERVIEW, json={})
    big = await running.client.request("GET", OVERVIEW, content=b" " * (2 << 20))

    assert (unknown.status_code, written.status_code, big.status_code) == (404, 405, 413)
