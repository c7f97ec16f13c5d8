"""Bodies of the route analytics. Durations are milliseconds; percentiles are within 1.6 % of the exact ones."""

from typing import Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, Field
from sqlalchemy import Row

from genonaut.analytics.rollups.histogram import percentile

Granularity = Literal["hourly", "daily"]


class TrendPoint(BaseModel):
    timestamp: AwareDatetime = Field(description="When the hour or day begins, UTC.")
    total_requests: int
    successful_requests: int = Field(description="Status 2xx and 3xx.")
    client_errors: int
    server_errors: int
    avg_duration_ms: float
    p50_duration_ms: float
    p95_duration_ms: float
    p99_duration_ms: float
    unique_users: int = Field(description="Exact.")
    success_rate: float = Field(description="A fraction, from 0 to 1.")

    @classmethod
    def of(cls, row: Row[Any]) -> Self:
        histogram = dict(zip(row.buckets, row.counts, strict=True))
        return cls(
            timestamp=row.at,
            total_requests=row.total_requests,
            successful_requests=row.successful_requests,
            client_errors=row.client_errors,
            server_errors=row.server_errors,
            avg_duration_ms=_ms(row.duration_us_sum / row.total_requests),
            p50_duration_ms=_ms(percentile(histogram, 50)),
            p95_duration_ms=_ms(percentile(histogram, 95)),
            p99_duration_ms=_ms(percentile(histogram, 99)),
            unique_users=row.unique_users,
            success_rate=round(row.successful_requests / row.total_requests, 4),
        )


class PerformanceTrends(BaseModel):
    route: str
    granularity: Granularity
    lookback_days: int
    data_points: int
    trends: list[TrendPoint]


def _ms(microseconds: float) -> float:
    return round(microseconds / 1000, 3)
