"""Interactions with items, and what they add up to."""

from alembic import op

from genonaut.platform.migrations import statements

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

# Where the name is one of an older schema, the columns behind it are those that make the index sort, too: a shorter
# index would be the beginning of a longer one.
TABLES = """
CREATE SEQUENCE user_interactions_id_seq;
CREATE TABLE user_interactions (
    id bigint PRIMARY KEY,
    user_id uuid NOT NULL,
    content_item_id bigint NOT NULL,
    interaction_type text NOT NULL,
    rating smallint CHECK (rating BETWEEN 1 AND 5),
    duration int CHECK (duration >= 0),
    metadata jsonb NOT NULL,
    audience uuid NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX idx_user_interactions_user_created ON user_interactions (user_id, created_at DESC, id DESC);
CREATE INDEX ix_user_interactions_user_id ON user_interactions (user_id, rating, id);
CREATE INDEX ix_user_interactions_user_duration ON user_interactions (user_id, duration, id);
CREATE INDEX idx_user_interactions_content_created ON user_interactions (content_item_id, created_at DESC, id DESC);
CREATE INDEX ix_user_interactions_content_item_id ON user_interactions (content_item_id, rating, id);
CREATE INDEX ix_user_interactions_content_duration ON user_interactions (content_item_id, duration, id);
CREATE INDEX ix_user_interactions_interaction_type ON user_interactions (interaction_type, audience, created_at, id);
CREATE INDEX ix_user_interactions_type_rating ON user_interactions (interaction_type, audience, rating, id);
CREATE INDEX ix_user_interactions_type_duration ON user_interactions (interaction_type, audience, duration, id);
CREATE INDEX ix_user_interactions_created_at ON user_interactions (audience, created_at, id);
CREATE INDEX ix_user_interactions_rating ON user_interactions (audience, rating, id) WHERE rating > 0;

CREATE TABLE interaction_client_ids (
    user_id uuid NOT NULL,
    client_id text NOT NULL,
    interaction_id bigint NOT NULL,
    PRIMARY KEY (user_id, client_id)
);
CREATE TABLE interaction_items (
    item_id bigint PRIMARY KEY,
    creator_id uuid NOT NULL,
    kind text NOT NULL,
    audience uuid NOT NULL
);
CREATE TABLE interaction_user_counts (
    user_id uuid NOT NULL,
    facet text NOT NULL,
    value text NOT NULL,
    shown bigint NOT NULL,
    total bigint NOT NULL,
    PRIMARY KEY (user_id, facet, value)
) WITH (fillfactor = 80);
CREATE TABLE interaction_pairs (
    user_id uuid NOT NULL,
    item_id bigint NOT NULL,
    shown bigint NOT NULL,
    total bigint NOT NULL,
    PRIMARY KEY (user_id, item_id)
);
CREATE INDEX ix_interaction_pairs_shown ON interaction_pairs (user_id, shown, item_id);
CREATE INDEX ix_interaction_pairs_total ON interaction_pairs (user_id, total, item_id);
CREATE TABLE interaction_creators (
    user_id uuid NOT NULL,
    creator_id uuid NOT NULL,
    shown bigint NOT NULL,
    total bigint NOT NULL,
    PRIMARY KEY (user_id, creator_id)
);
CREATE INDEX ix_interaction_creators_shown ON interaction_creators (user_id, shown, creator_id);
CREATE INDEX ix_interaction_creators_total ON interaction_creators (user_id, total, creator_id);
CREATE TABLE interaction_item_counts (
    item_id bigint NOT NULL,
    facet text NOT NULL,
    value text NOT NULL,
    total bigint NOT NULL,
    PRIMARY KEY (item_id, facet, value)
) WITH (fillfactor = 80);
CREATE TABLE interaction_totals (
    audience uuid NOT NULL,
    facet text NOT NULL,
    value text NOT NULL,
    stripe smallint NOT NULL,
    total bigint NOT NULL,
    PRIMARY KEY (audience, facet, value, stripe)
) WITH (fillfactor = 50);

CREATE TABLE item_popularity (
    item_id bigint PRIMARY KEY,
    popularity bigint NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX ix_item_popularity ON item_popularity (popularity DESC, item_id DESC);

INSERT INTO interaction_items (item_id, creator_id, kind, audience)
SELECT id, creator_id, source_type || '/' || content_type,
       CASE WHEN is_private THEN creator_id ELSE '00000000-0000-0000-0000-000000000000' END
FROM content_items_all;
INSERT INTO item_popularity (item_id, popularity) SELECT id, 0 FROM content_items_all;
"""


def upgrade() -> None:
    for statement in statements(TABLES):
        op.execute(statement)


def downgrade() -> None:
    op.execute("""
        DROP TABLE user_interactions, interaction_client_ids, interaction_items, interaction_user_counts,
                   interaction_pairs, interaction_creators, interaction_item_counts, interaction_totals, item_popularity
    """)
    op.execute("DROP SEQUENCE user_interactions_id_seq")
