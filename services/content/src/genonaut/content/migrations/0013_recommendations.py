"""Recommendations, and what finds people who did things with the same items."""

from alembic import op

from genonaut.platform.migrations import statements

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

TABLES = """
CREATE SEQUENCE recommendations_id_seq;
CREATE TABLE recommendations (
    id bigint PRIMARY KEY,
    user_id uuid NOT NULL,
    content_item_id bigint NOT NULL,
    recommendation_score double precision NOT NULL CHECK (recommendation_score BETWEEN 0 AND 1),
    algorithm text NOT NULL,
    algorithm_version text NOT NULL,
    metadata jsonb NOT NULL,
    reasons jsonb NOT NULL,
    generated bool NOT NULL,
    shown bool NOT NULL,
    feedback text,
    comment text,
    served_at timestamptz,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX ix_recommendations_user_id ON recommendations (user_id, created_at, id);
CREATE INDEX idx_recommendations_user_score ON recommendations (user_id, recommendation_score, id);
CREATE INDEX ix_recommendations_user_served ON recommendations (user_id, served_at, id);
CREATE INDEX idx_recommendations_unserved ON recommendations (user_id) WHERE served_at IS NULL;
CREATE INDEX ix_recommendations_unwanted ON recommendations (user_id, content_item_id)
    WHERE feedback IN ('dislike', 'not_interested');
CREATE INDEX ix_recommendations_content_item_id ON recommendations (content_item_id);
CREATE INDEX idx_recommendations_served_created ON recommendations (shown, created_at, id);
CREATE INDEX ix_recommendations_served_at ON recommendations (shown, served_at, id);
CREATE INDEX ix_recommendations_recommendation_score ON recommendations (shown, recommendation_score, id);
CREATE INDEX ix_recommendations_algorithm_created ON recommendations (algorithm, shown, created_at, id);
CREATE INDEX ix_recommendations_algorithm_score ON recommendations (algorithm, shown, recommendation_score, id);
CREATE INDEX ix_recommendations_algorithm_served ON recommendations (algorithm, shown, served_at, id);

CREATE TABLE recommendation_items (
    item_id bigint PRIMARY KEY,
    is_private bool NOT NULL
);
CREATE TABLE recommendation_user_counts (
    user_id uuid NOT NULL,
    facet text NOT NULL,
    value text NOT NULL,
    shown bigint NOT NULL,
    total bigint NOT NULL,
    PRIMARY KEY (user_id, facet, value)
) WITH (fillfactor = 80);
CREATE TABLE recommendation_totals (
    facet text NOT NULL,
    value text NOT NULL,
    stripe smallint NOT NULL,
    total bigint NOT NULL,
    PRIMARY KEY (facet, value, stripe)
) WITH (fillfactor = 50);

INSERT INTO recommendation_items (item_id, is_private) SELECT id, is_private FROM content_items_all;
"""

# What a user did last, and who did something with an item last, are read by the hundred for each recommendation: with
# these the table itself is left alone.
COVERING = """
DROP INDEX idx_user_interactions_user_created;
DROP INDEX idx_user_interactions_content_created;
CREATE INDEX idx_user_interactions_user_created ON user_interactions (user_id, created_at DESC, id DESC)
    INCLUDE (content_item_id, interaction_type, rating);
CREATE INDEX idx_user_interactions_content_created ON user_interactions (content_item_id, created_at DESC, id DESC)
    INCLUDE (user_id, interaction_type, rating);
"""
NARROW = """
DROP INDEX idx_user_interactions_user_created;
DROP INDEX idx_user_interactions_content_created;
CREATE INDEX idx_user_interactions_user_created ON user_interactions (user_id, created_at DESC, id DESC);
CREATE INDEX idx_user_interactions_content_created ON user_interactions (content_item_id, created_at DESC, id DESC);
"""


def upgrade() -> None:
    for statement in [*statements(TABLES), *statements(COVERING)]:
        op.execute(statement)


def downgrade() -> None:
    for statement in statements(NARROW):
        op.execute(statement)
    op.execute("DROP TABLE recommendations, recommendation_items, recommendation_user_counts, recommendation_totals")
    op.execute("DROP SEQUENCE recommendations_id_seq")
