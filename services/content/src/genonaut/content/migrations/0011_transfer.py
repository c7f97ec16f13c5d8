"""How far files of items have been taken in."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE imports (
            name text PRIMARY KEY,
            line bigint NOT NULL,
            items bigint NOT NULL,
            skipped bigint NOT NULL,
            updated_at timestamptz NOT NULL
        )
    """)


def downgrade() -> None:
    op.execute("DROP TABLE imports")
