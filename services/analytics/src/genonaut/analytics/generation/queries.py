"""Questions about generations."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, RowMapping, cast, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.analytics.generation.tables import generation_durations_hourly as durations
from genonaut.analytics.generation.tables import generation_metrics_hourly as metrics


async def totals(connection: AsyncConnection, since: datetime) -> RowMapping:
    """The sums of the hours from `since` on, how many hours there are, and the latest event (None of none)."""
    summed: list[ColumnElement[Any]] = [
        cast(func.coalesce(func.sum(column), 0), BigInteger).label(column.name)
        for column in metrics.columns
        if isinstance(column.type, BigInteger)
    ]
    latest = func.max(metrics.c.latest_event_at).label("latest_event_at")
    statement = select(*summed, func.count().label("hours"), latest).where(metrics.c.hour >= since)
    return (await connection.execute(statement)).mappings().one()


async def histogram(connection: AsyncConnection, since: datetime) -> dict[int, int]:
    """Successful generations by bucket of their milliseconds, of the hours from `since` on."""
    generations = cast(func.sum(durations.c.generations), BigInteger).label("generations")
    statement = select(durations.c.bucket, generations).where(durations.c.hour >= since).group_by(durations.c.bucket)
    rows = await connection.execute(statement)
    return {row.bucket: row.generations for row in rows}
