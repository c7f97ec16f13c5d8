"""Whether a user is active, as the latest of their events that was heard of says."""

from alembic import op

from genonaut.platform.migrations import statements

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# Everybody was active: nothing else could be said of them, and their registration, which is their first event, said so.
ACTIVITY = """
ALTER TABLE known_users
    ALTER COLUMN registered_at DROP NOT NULL,
    ADD COLUMN is_active boolean NOT NULL DEFAULT true,
    ADD COLUMN decided_by int NOT NULL DEFAULT 1;
ALTER TABLE known_users ALTER COLUMN is_active DROP DEFAULT, ALTER COLUMN decided_by DROP DEFAULT;
"""


def upgrade() -> None:
    for statement in statements(ACTIVITY):
        op.execute(statement)


def downgrade() -> None:
    op.execute("DELETE FROM known_users WHERE registered_at IS NULL")
    op.execute("ALTER TABLE known_users DROP COLUMN is_active, DROP COLUMN decided_by")
    op.execute("ALTER TABLE known_users ALTER COLUMN registered_at SET NOT NULL")
