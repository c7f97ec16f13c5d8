"""Served requests into raw rows and hourly rollups.

Only events that are new to the raw table change the rollup, so adding one twice, late or out of order gives the same
rows.
"""

from collections.abc import Sequence

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.analytics.rollups.upserts import Row, add_up, insert_new
from genonaut.analytics.routes.domain import Request, Rollup, is_measured, pattern_id, roll_up
from genonaut.analytics.routes.tables import (
    route_analytics,
    route_analytics_hourly,
    route_durations_hourly,
    route_users_hourly,
)
from genonaut.contracts.gateway import RequestServed
from genonaut.contracts.streams import ANALYTICS_REQUESTS
from genonaut.platform.projections import Projection, Recorded

routes_projection = Projection(
    "routes",
    route_analytics,
    route_analytics_hourly,
    route_durations_hourly,
    route_users_hourly,
    source=ANALYTICS_REQUESTS,
    cells="hour",
    keyed=True,
)


@routes_projection.in_batches
async def _measure(connection: AsyncConnection, recorded: Sequence[Recorded]) -> None:
    """Writes the tables in the order in which they are named above, as a rebuild locks them."""
    requests = {
        each.envelope.id: Request.of(each.event, each.envelope)
        for each in recorded
        if isinstance(each.event, RequestServed) and is_measured(each.event)
    }
    new = await insert_new(connection, route_analytics, [_raw(request) for request in requests.values()])
    rollup = roll_up(requests[event_id] for _, event_id in new)
    await add_up(connection, route_analytics_hourly, _tallies(rollup))
    await add_up(connection, route_durations_hourly, _durations(rollup))
    await insert_new(connection, route_users_hourly, _users(rollup))


def _raw(request: Request) -> Row:
    served = request.served
    return (
        request.cell.hour,
        request.event_id,
        request.time,
        served.route,
        served.method,
        served.user_id,
        served.duration_us,
        served.status_code,
        orjson.dumps(served.query_params).decode(),
        request.cell.pattern.params,
        served.request_bytes,
        served.response_bytes,
        served.error_type,
    )


def _tallies(rollup: Rollup) -> list[Row]:
    return [
        (
            cell.hour,
            pattern_id(cell.pattern),
            cell.pattern.route,
            cell.pattern.method,
            cell.pattern.params,
            tally.total_requests,
            tally.successful_requests,
            tally.client_errors,
            tally.server_errors,
            tally.duration_us_sum,
            tally.request_bytes_sum,
            tally.response_bytes_sum,
        )
        for cell, tally in rollup.tallies.items()
    ]


def _durations(rollup: Rollup) -> list[Row]:
    return [
        (cell.hour, pattern_id(cell.pattern), bucket, requests) for (cell, bucket), requests in rollup.durations.items()
    ]


def _users(rollup: Rollup) -> list[Row]:
    return [(cell.hour, pattern_id(cell.pattern), user_id) for cell, user_id in rollup.users]
