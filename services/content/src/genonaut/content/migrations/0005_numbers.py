"""Small numbers for tags and users, as search wants them."""

from alembic import op

from genonaut.platform.migrations import statements

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

SEQUENCES = """
CREATE SEQUENCE tags_number_seq AS int MAXVALUE 134217727;
CREATE SEQUENCE users_number_seq AS int MAXVALUE 134217727;
"""


def upgrade() -> None:
    for statement in statements(SEQUENCES):
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP SEQUENCE tags_number_seq, users_number_seq")
