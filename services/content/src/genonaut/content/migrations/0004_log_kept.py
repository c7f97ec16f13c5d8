"""Only the owner may change the log and the revision of the schema; the service appends and reads."""

from alembic import op

from genonaut.platform.migrations import LOG_KEPT

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(LOG_KEPT)


def downgrade() -> None:
    """Gives nothing back: no revision of a service needs these rights."""
