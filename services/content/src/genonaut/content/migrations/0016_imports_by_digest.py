"""Files that are taken in are known by what they begin with. Notes under names go: nobody can say what they were of."""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("DROP TABLE imports")
    op.execute("""
        CREATE TABLE imports (
            digest text PRIMARY KEY,
            line bigint NOT NULL,
            items bigint NOT NULL,
            skipped bigint NOT NULL,
            updated_at timestamptz NOT NULL
        )
    """)


def downgrade() -> None:
    op.execute("DROP TABLE imports")
    op.execute("""
        CREATE TABLE imports (
            name text PRIMARY KEY,
            line bigint NOT NULL,
            items bigint NOT NULL,
            skipped bigint NOT NULL,
            updated_at timestamptz NOT NULL
        )
    """)
