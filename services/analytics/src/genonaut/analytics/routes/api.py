"""The route analytics."""

from typing import Annotated

from fastapi import Query

from genonaut.analytics.rollups.hours import first_day, first_hour
from genonaut.analytics.routes import queries
from genonaut.analytics.routes.schemas import Granularity, PerformanceTrends, TrendPoint
from genonaut.platform.http.routing import Router
from genonaut.platform.service import RuntimeDep

router = Router(prefix="/api/v1/analytics/routes", tags=["analytics"])

Route = Annotated[
    str, Query(min_length=1, max_length=1000, description="The template, e.g. /api/v1/content/{id}, all methods.")
]
Days = Annotated[int, Query(ge=1, le=90, description="How far back, the present hour or day included.")]


@router.get("/performance-trends")
async def performance_trends(
    route: Route, runtime: RuntimeDep, days: Days = 7, granularity: Granularity = "hourly"
) -> PerformanceTrends:
    """One point for each hour (or day, of UTC) with requests, so at most `days` x 24; none for an unknown route.

    Nothing is made up for hours without any: they have no durations and no success rate.
    """
    hourly = granularity == "hourly"
    since = (first_hour if hourly else first_day)(runtime.clock(), days)
    async with runtime.database.reading() as connection:
        rows = await queries.performance(connection, route, since=since, unit="hour" if hourly else "day")
    return PerformanceTrends(
        route=route,
        granularity=granularity,
        lookback_days=days,
        data_points=len(rows),
        trends=[TrendPoint.of(row) for row in rows],
    )
