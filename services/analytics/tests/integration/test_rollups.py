"""Whatever the order, the repeats and the batches in which events come: the same bytes in every table."""

import asyncio
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from genonaut.analytics.generation.projection import generations_projection
from genonaut.analytics.routes.projection import routes_projection
from genonaut.analytics.service import service

RECOUNT = """
SELECT hour, route, method, query_params_normalized, count(*),
       count(*) FILTER (WHERE status_code < 400), count(*) FILTER (WHERE status_code BETWEEN 400 AND 499),
       count(*) FILTER (WHERE status_code >= 500), sum(duration_us)::bigint, sum(request_size_bytes)::bigint,
       sum(response_size_bytes)::bigint
FROM route_analytics GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
"""
ROLLUP = """
SELECT hour, route, method, query_params_normalized, total_requests, successful_requests, client_errors, server_errors,
       duration_us_sum, request_bytes_sum, response_bytes_sum
FROM route_analytics_hourly ORDER BY 1, 2, 3, 4
"""
RECOUNTED_USERS = "SELECT hour, route, method, query_params_normalized, count(DISTINCT user_id) FROM route_analytics"
USERS = """
SELECT hour, route, method, query_params_normalized, count(user_id)
FROM route_analytics_hourly LEFT JOIN route_users_hourly USING (hour, pattern_id)
GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
"""
RECOUNTED_GENERATIONS = """
SELECT hour, max(timestamp), count(*) FILTER (WHERE event_type = 'request'),
       count(*) FILTER (WHERE event_type = 'start'), count(*) FILTER (WHERE success),
       count(*) FILTER (WHERE NOT success), count(*) FILTER (WHERE event_type = 'cancellation'),
       coalesce(sum(images), 0)::bigint, coalesce(sum(duration_ms) FILTER (WHERE success), 0)::bigint,
       coalesce(sum(queue_wait_ms), 0)::bigint
FROM generation_events GROUP BY hour ORDER BY hour
"""


async def forget(database) -> None:
    async with database.transaction() as connection:
        for projection in service.projections:
            for table in projection.tables:
                await connection.execute(text(f"DELETE FROM {table.name}"))


async def rows(database, query):
    async with database.reading() as connection:
        return [tuple(row) for row in await connection.execute(text(query))]


async def deliver(database, projection, batches) -> None:
    for batch in batches:
        async with database.transaction() as connection:
            await projection.apply(connection, batch)


@pytest.mark.parametrize(
    "projection", [routes_projection, generations_projection], ids=lambda projection: projection.name
)
async def test_order_repeats_and_batches_change_nothing(world, database, contents, projection) -> None:
    events = world.requests(60) if projection is routes_projection else world.jobs(20)
    await deliver(database, projection, [events])
    expected = await contents(database)

    @settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(order=st.randoms(use_true_random=False), repeats=st.integers(0, 30), size=st.integers(1, 90))
    def delivered_somehow(order: random.Random, repeats: int, size: int) -> None:
        deliveries = [*events, *order.choices(events, k=repeats)]
        order.shuffle(deliveries)
        tries.append([deliveries[start : start + size] for start in range(0, len(deliveries), size)])

    tries: list = []
    delivered_somehow()
    assert len(tries) >= 10
    for batches in tries:
        await forget(database)
        await deliver(database, projection, batches)
        assert await contents(database) == expected


@pytest.mark.parametrize(
    "projection", [routes_projection, generations_projection], ids=lambda projection: projection.name
)
async def test_two_writers_at_once_count_every_event_once(world, database, contents, projection) -> None:
    events = world.requests(400) if projection is routes_projection else world.jobs(100)
    await deliver(database, projection, [events])
    expected = await contents(database)
    await forget(database)

    async def deliver_all(order: int) -> None:
        shuffled = random.Random(order).sample(events, len(events))
        for start in range(0, len(shuffled), 25):
            batch = shuffled[start : start + 25]
            await database.transact(lambda connection, batch=batch: projection.apply(connection, batch))

    await asyncio.gather(deliver_all(1), deliver_all(2))

    assert await contents(database) == expected


async def test_the_rollups_are_a_recount_of_the_raw_rows(world, database) -> None:
    await deliver(database, routes_projection, [world.requests(500)])
    await deliver(database, generations_projection, [world.jobs(100)])

    assert await rows(database, ROLLUP) == await rows(database, RECOUNT) != []
    recounted_users = f"{RECOUNTED_USERS} GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4"
    assert await rows(database, USERS) == await rows(database, recounted_users)
    metrics = await rows(database, "SELECT * FROM generation_metrics_hourly ORDER BY hour")
    assert metrics == await rows(database, RECOUNTED_GENERATIONS) != []


async def test_only_the_api_leaves_a_trace(world, database, contents) -> None:
    await deliver(database, routes_projection, [[world.request(0, route=route) for route in ("/health", "unmatched")]])

    assert not any((await contents(database)).values())


async def test_the_tables_are_as_the_code_says(database) -> None:
    for projection in service.projections:
        for table in projection.tables:
            found = await rows(
                database,
                "SELECT column_name, is_nullable = 'YES' FROM information_schema.columns"
                f" WHERE table_schema = 'analytics' AND table_name = '{table.name}' ORDER BY ordinal_position",
            )
            assert found == [(column.name, column.nullable) for column in table.columns], table.name
