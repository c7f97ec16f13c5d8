"""The generation analytics."""

from typing import Annotated

from fastapi import Query

from genonaut.analytics.generation import queries
from genonaut.analytics.generation.schemas import Overview
from genonaut.analytics.rollups.histogram import percentile
from genonaut.analytics.rollups.hours import first_hour
from genonaut.platform.http.routing import Router
from genonaut.platform.service import RuntimeDep

router = Router(prefix="/api/v1/analytics/generation", tags=["analytics"])

Days = Annotated[int, Query(ge=1, le=90, description="How many times 24 hours back, the present hour included.")]


@router.get("/overview")
async def overview(runtime: RuntimeDep, days: Days = 7) -> Overview:
    """How generation went lately."""
    since = first_hour(runtime.clock(), days)
    async with runtime.database.reading() as connection:
        totals = await queries.totals(connection, since)
        histogram = await queries.histogram(connection, since)
    asked, successful = totals["total_requests"], totals["successful_generations"]
    return Overview(
        lookback_days=days,
        total_requests=asked,
        successful_generations=successful,
        failed_generations=totals["failed_generations"],
        cancelled_generations=totals["cancelled_generations"],
        success_rate_pct=round(successful / asked * 100, 2) if asked else None,
        avg_duration_ms=round(totals["duration_ms_sum"] / successful, 1) if successful else None,
        p50_duration_ms=percentile(histogram, 50) if histogram else None,
        p95_duration_ms=percentile(histogram, 95) if histogram else None,
        p99_duration_ms=percentile(histogram, 99) if histogram else None,
        total_images_generated=totals["total_images_generated"],
        hours_with_data=totals["hours"],
        latest_data_timestamp=totals["latest_event_at"],
    )
