"""The outbox tells what was put back because its stream had lost it."""

from alembic import op

from genonaut.platform.migrations import RESTORED_OUTBOX, statements

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for statement in statements(RESTORED_OUTBOX):
        op.execute(statement)


def downgrade() -> None:
    op.execute("ALTER TABLE outbox DROP COLUMN restored_at")
