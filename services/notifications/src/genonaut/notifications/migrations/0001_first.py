"""The first tables: what every service has, recipients and their notifications."""

from alembic import op

from genonaut.platform.migrations import PLATFORM_TABLES, statements

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE recipients (
    user_id uuid PRIMARY KEY,
    username text,
    notifications_enabled boolean NOT NULL,
    decided_by bigint NOT NULL
);
CREATE SEQUENCE user_notifications_id_seq;
CREATE TABLE user_notifications (
    id bigint PRIMARY KEY,
    user_id uuid NOT NULL,
    cause text NOT NULL UNIQUE,
    title varchar(255) NOT NULL,
    message text NOT NULL,
    notification_type text NOT NULL,
    read_status boolean NOT NULL,
    related_job_id bigint,
    related_content_id bigint,
    created_at timestamptz NOT NULL,
    read_at timestamptz
);
CREATE INDEX user_notifications_newest_idx ON user_notifications (user_id, created_at, id);
CREATE INDEX user_notifications_unread_idx ON user_notifications (user_id, id) WHERE NOT read_status;
"""


def upgrade() -> None:
    for statement in statements(PLATFORM_TABLES + TABLES):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("The log is the truth: there is no way back from the first revision.")
