"""The first tables: what every service has, raw measurements and their hourly rollups."""

from alembic import op

from genonaut.platform.migrations import PLATFORM_TABLES, statements

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE route_analytics (
    hour timestamptz NOT NULL,
    event_id uuid NOT NULL,
    timestamp timestamptz NOT NULL,
    route text NOT NULL,
    method text NOT NULL,
    user_id uuid,
    duration_us bigint NOT NULL,
    status_code int NOT NULL,
    query_params jsonb NOT NULL,
    query_params_normalized jsonb NOT NULL,
    request_size_bytes bigint NOT NULL,
    response_size_bytes bigint NOT NULL,
    error_type text,
    PRIMARY KEY (hour, event_id)
);
CREATE TABLE route_analytics_hourly (
    hour timestamptz NOT NULL,
    pattern_id uuid NOT NULL,
    route text NOT NULL,
    method text NOT NULL,
    query_params_normalized jsonb NOT NULL,
    total_requests bigint NOT NULL,
    successful_requests bigint NOT NULL,
    client_errors bigint NOT NULL,
    server_errors bigint NOT NULL,
    duration_us_sum bigint NOT NULL,
    request_bytes_sum bigint NOT NULL,
    response_bytes_sum bigint NOT NULL,
    PRIMARY KEY (hour, pattern_id)
) WITH (fillfactor = 70);
CREATE INDEX route_analytics_hourly_route_idx ON route_analytics_hourly (route, hour);
CREATE TABLE route_durations_hourly (
    hour timestamptz NOT NULL,
    pattern_id uuid NOT NULL,
    bucket int NOT NULL,
    requests bigint NOT NULL,
    PRIMARY KEY (hour, pattern_id, bucket)
) WITH (fillfactor = 70);
CREATE TABLE route_users_hourly (
    hour timestamptz NOT NULL,
    pattern_id uuid NOT NULL,
    user_id uuid NOT NULL,
    PRIMARY KEY (hour, pattern_id, user_id)
);
CREATE TABLE generation_events (
    hour timestamptz NOT NULL,
    event_id uuid NOT NULL,
    timestamp timestamptz NOT NULL,
    event_type text NOT NULL,
    job_id bigint NOT NULL,
    user_id uuid NOT NULL,
    generation_type text,
    success boolean,
    duration_ms bigint,
    queue_wait_ms bigint,
    error_type text,
    error_message text,
    model_checkpoint text,
    width int,
    height int,
    batch_size int,
    images int,
    PRIMARY KEY (hour, event_id)
);
CREATE TABLE generation_metrics_hourly (
    hour timestamptz PRIMARY KEY,
    latest_event_at timestamptz NOT NULL,
    total_requests bigint NOT NULL,
    started_attempts bigint NOT NULL,
    successful_generations bigint NOT NULL,
    failed_generations bigint NOT NULL,
    cancelled_generations bigint NOT NULL,
    total_images_generated bigint NOT NULL,
    duration_ms_sum bigint NOT NULL,
    queue_wait_ms_sum bigint NOT NULL
) WITH (fillfactor = 70);
CREATE TABLE generation_durations_hourly (
    hour timestamptz NOT NULL,
    bucket int NOT NULL,
    generations bigint NOT NULL,
    PRIMARY KEY (hour, bucket)
) WITH (fillfactor = 70);
CREATE TABLE generation_users_hourly (
    hour timestamptz NOT NULL,
    user_id uuid NOT NULL,
    PRIMARY KEY (hour, user_id)
);
"""
# The fill factors leave room on a page for the next versions of rows that change all the time.


def upgrade() -> None:
    for statement in statements(PLATFORM_TABLES + TABLES):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("There is no way back from the first revision.")
