"""What makes searches faster: facets in the tail, and how often words have got another meaning, to remember theirs."""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


FACETS = """
CREATE FUNCTION search_facets(keys int[]) RETURNS int[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN ARRAY(SELECT key FROM unnest(keys) AS u (key) WHERE key & 7 <> 0)
"""


def upgrade() -> None:
    op.execute(FACETS)
    op.execute("ALTER TABLE search_tail ADD COLUMN facets int[] GENERATED ALWAYS AS (search_facets(keys)) STORED")
    op.execute(
        "CREATE TABLE search_word_revision (id smallint PRIMARY KEY CHECK (id = 1), revision bigint NOT NULL)"
        " WITH (fillfactor = 20)"
    )
    op.execute(
        "INSERT INTO search_word_revision SELECT 1, count(*) FROM events WHERE type IN"
        " ('content.tag.parent_added', 'content.tag.parent_removed',"
        " 'content.tag.alias_added', 'content.tag.alias_removed')"
        " HAVING count(*) > 0"
    )


def downgrade() -> None:
    op.execute("DROP TABLE search_word_revision")
    op.execute("ALTER TABLE search_tail DROP COLUMN facets")
    op.execute("DROP FUNCTION search_facets")
