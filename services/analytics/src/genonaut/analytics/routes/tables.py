"""Requests as they were served, and their hourly rollup: counts, histogram, and who asked."""

from sqlalchemy import BigInteger, Column, DateTime, Integer, MetaData, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from genonaut.analytics.rollups.tables import hour_column

metadata = MetaData()


route_analytics = Table(
    "route_analytics",
    metadata,
    hour_column(),
    Column("event_id", Uuid, primary_key=True),
    Column("timestamp", DateTime(timezone=True), nullable=False),
    Column("route", Text, nullable=False),
    Column("method", Text, nullable=False),
    Column("user_id", Uuid),
    Column("duration_us", BigInteger, nullable=False),
    Column("status_code", Integer, nullable=False),
    Column("query_params", JSONB, nullable=False),
    Column("query_params_normalized", JSONB, nullable=False),
    Column("request_size_bytes", BigInteger, nullable=False),
    Column("response_size_bytes", BigInteger, nullable=False),
    Column("error_type", Text),
)
"""An event's hour follows from its time, so the key is the event's id; the hour in front keeps an hour together."""

route_analytics_hourly = Table(
    "route_analytics_hourly",
    metadata,
    hour_column(),
    Column("pattern_id", Uuid, primary_key=True),
    Column("route", Text, nullable=False),
    Column("method", Text, nullable=False),
    Column("query_params_normalized", JSONB, nullable=False),
    Column("total_requests", BigInteger, nullable=False),
    Column("successful_requests", BigInteger, nullable=False),
    Column("client_errors", BigInteger, nullable=False),
    Column("server_errors", BigInteger, nullable=False),
    Column("duration_us_sum", BigInteger, nullable=False),
    Column("request_bytes_sum", BigInteger, nullable=False),
    Column("response_bytes_sum", BigInteger, nullable=False),
)

route_durations_hourly = Table(
    "route_durations_hourly",
    metadata,
    hour_column(),
    Column("pattern_id", Uuid, primary_key=True),
    Column("bucket", Integer, primary_key=True),
    Column("requests", BigInteger, nullable=False),
)
"""Buckets of microseconds, see `genonaut.analytics.rollups.histogram`."""

route_users_hourly = Table(
    "route_users_hourly",
    metadata,
    hour_column(),
    Column("pattern_id", Uuid, primary_key=True),
    Column("user_id", Uuid, primary_key=True),
)
