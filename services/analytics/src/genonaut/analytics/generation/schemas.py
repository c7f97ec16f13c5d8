"""Bodies of the generation analytics. Durations are milliseconds of successful generations."""

from pydantic import AwareDatetime, BaseModel, Field


class Overview(BaseModel):
    lookback_days: int
    total_requests: int
    successful_generations: int
    failed_generations: int
    cancelled_generations: int
    success_rate_pct: float | None = Field(
        description="Successful generations in percent of requests, both counted when they happened; null without "
        "requests."
    )
    avg_duration_ms: float | None = Field(description="Exact; null when nothing was generated.")
    p50_duration_ms: float | None = Field(description="Percentiles are within 1.6 % of the exact ones.")
    p95_duration_ms: float | None
    p99_duration_ms: float | None
    total_images_generated: int
    hours_with_data: int
    latest_data_timestamp: AwareDatetime | None
