"""When each projection was last proved equal to its history."""

from alembic import op

from genonaut.platform.migrations import VERIFIED, statements

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for statement in statements(VERIFIED):
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE verifications")
