"""What is remembered of messages can be pruned."""

from alembic import op

from genonaut.platform.migrations import PRUNED, statements

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for statement in statements(PRUNED):
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP INDEX inbox_handled_at_idx")
    op.execute("ALTER TABLE attempts DROP COLUMN last_at")
