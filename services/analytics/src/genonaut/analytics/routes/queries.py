"""Questions about routes."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection


async def performance(
    connection: AsyncConnection, route: str, *, since: datetime, unit: Literal["hour", "day"]
) -> Sequence[Row[Any]]:
    """One row for each hour or day of UTC in which the route was asked for, oldest first.

    Methods and parameters are merged: counts and histograms add up, users are united.
    """
    rows = await connection.execute(
        text("""
            WITH cells AS (
                SELECT *, date_trunc(:unit, hour, 'UTC') AS at
                FROM route_analytics_hourly WHERE route = :route AND hour >= :since
            ), tallies AS (
                SELECT at, CAST(sum(total_requests) AS bigint) AS total_requests,
                       CAST(sum(successful_requests) AS bigint) AS successful_requests,
                       CAST(sum(client_errors) AS bigint) AS client_errors,
                       CAST(sum(server_errors) AS bigint) AS server_errors,
                       CAST(sum(duration_us_sum) AS bigint) AS duration_us_sum
                FROM cells GROUP BY at
            ), buckets AS (
                SELECT at, bucket, CAST(sum(requests) AS bigint) AS requests
                FROM cells JOIN route_durations_hourly USING (hour, pattern_id) GROUP BY at, bucket
            ), histograms AS (
                SELECT at, array_agg(bucket) AS buckets, array_agg(requests) AS counts FROM buckets GROUP BY at
            ), users AS (
                SELECT at, count(DISTINCT user_id) AS unique_users
                FROM cells JOIN route_users_hourly USING (hour, pattern_id) GROUP BY at
            )
            SELECT tallies.*, buckets, counts, coalesce(unique_users, 0) AS unique_users
            FROM tallies JOIN histograms USING (at) LEFT JOIN users USING (at) ORDER BY at
        """),
        {"route": route, "since": since, "unit": unit},
    )
    return rows.all()
