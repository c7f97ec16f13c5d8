"""Tags: the hierarchy at any distance, aliases, implications, opinions, completion, and how many items have one."""

from alembic import op

from genonaut.platform.migrations import statements

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

TABLES = """
CREATE INDEX ix_tags_lower_name ON tags (lower(name));

CREATE TABLE tag_closure (
    ancestor_id uuid NOT NULL,
    descendant_id uuid NOT NULL,
    depth int NOT NULL CHECK (depth > 0),
    PRIMARY KEY (ancestor_id, descendant_id)
);
CREATE INDEX ix_tag_closure_descendant ON tag_closure (descendant_id, ancestor_id);

CREATE TABLE tag_aliases (
    alias_id uuid PRIMARY KEY,
    alias text NOT NULL,
    tag_id uuid NOT NULL
);
CREATE INDEX ix_tag_aliases_tag_id ON tag_aliases (tag_id);
CREATE TABLE tag_implications (
    tag_id uuid NOT NULL,
    implied_id uuid NOT NULL,
    PRIMARY KEY (tag_id, implied_id)
);

CREATE TABLE tag_ratings (
    user_id uuid NOT NULL,
    tag_id uuid NOT NULL,
    half_stars smallint NOT NULL CHECK (half_stars BETWEEN 2 AND 10),
    PRIMARY KEY (user_id, tag_id)
);
CREATE TABLE tag_rating_totals (
    tag_id uuid PRIMARY KEY,
    rating_count int NOT NULL CHECK (rating_count >= 0),
    half_stars bigint NOT NULL CHECK (half_stars >= 0)
);
CREATE TABLE tag_favorites (
    user_id uuid NOT NULL,
    tag_id uuid NOT NULL,
    PRIMARY KEY (user_id, tag_id)
);

CREATE TABLE tag_word_revisions (
    shard smallint PRIMARY KEY,
    revision bigint NOT NULL
);

CREATE INDEX ix_tag_cardinality_stats_source ON tag_cardinality_stats (content_source, cardinality DESC);
"""

# What the projections would have made of the tags that are there: they go on from it, and a rebuild is equal.
ROWS = """
INSERT INTO tag_closure (ancestor_id, descendant_id, depth)
WITH RECURSIVE way (ancestor_id, descendant_id, depth) AS (
    SELECT parent_id, tag_id, 1 FROM tag_parents
    UNION
    SELECT p.parent_id, way.descendant_id, way.depth + 1 FROM way JOIN tag_parents p ON p.tag_id = way.ancestor_id
)
SELECT ancestor_id, descendant_id, min(depth) FROM way GROUP BY ancestor_id, descendant_id;
INSERT INTO tag_word_revisions (shard, revision)
SELECT get_byte(uuid_send((data ->> 'tag_id')::uuid), 0) >> 2, count(*) FROM events
WHERE type = 'content.tag.published'
   OR type = 'content.tag.created' AND data -> 'is_private' IS DISTINCT FROM 'true'::jsonb
GROUP BY 1;
"""


def upgrade() -> None:
    for statement in statements(TABLES + ROWS):
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP INDEX ix_tag_cardinality_stats_source")
    op.execute("DROP TABLE tag_word_revisions, tag_favorites, tag_rating_totals, tag_ratings")
    op.execute("DROP TABLE tag_implications, tag_aliases, tag_closure")
    op.execute("DROP INDEX ix_tags_lower_name")
