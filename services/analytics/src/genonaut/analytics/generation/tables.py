"""Events of generation jobs, and their hourly rollup: counts, histogram, and who asked."""

from sqlalchemy import BigInteger, Boolean, Column, DateTime, Integer, MetaData, Table, Text, Uuid

from genonaut.analytics.rollups.tables import hour_column

metadata = MetaData()


generation_events = Table(
    "generation_events",
    metadata,
    hour_column(),
    Column("event_id", Uuid, primary_key=True),
    Column("timestamp", DateTime(timezone=True), nullable=False),
    Column("event_type", Text, nullable=False),
    Column("job_id", BigInteger, nullable=False),
    Column("user_id", Uuid, nullable=False),
    Column("generation_type", Text),
    Column("success", Boolean),
    Column("duration_ms", BigInteger),
    Column("queue_wait_ms", BigInteger),
    Column("error_type", Text),
    Column("error_message", Text),
    Column("model_checkpoint", Text),
    Column("width", Integer),
    Column("height", Integer),
    Column("batch_size", Integer),
    Column("images", Integer),
)
"""`event_type` is request, start, completion (successful or not) or cancellation."""

generation_metrics_hourly = Table(
    "generation_metrics_hourly",
    metadata,
    hour_column(),
    Column("latest_event_at", DateTime(timezone=True), nullable=False),
    Column("total_requests", BigInteger, nullable=False),
    Column("started_attempts", BigInteger, nullable=False),
    Column("successful_generations", BigInteger, nullable=False),
    Column("failed_generations", BigInteger, nullable=False),
    Column("cancelled_generations", BigInteger, nullable=False),
    Column("total_images_generated", BigInteger, nullable=False),
    Column("duration_ms_sum", BigInteger, nullable=False),
    Column("queue_wait_ms_sum", BigInteger, nullable=False),
)

generation_durations_hourly = Table(
    "generation_durations_hourly",
    metadata,
    hour_column(),
    Column("bucket", Integer, primary_key=True),
    Column("generations", BigInteger, nullable=False),
)
"""Buckets of milliseconds, see `genonaut.analytics.rollups.histogram`."""

generation_users_hourly = Table(
    "generation_users_hourly",
    metadata,
    hour_column(),
    Column("user_id", Uuid, primary_key=True),
)
