"""Users, tags, images and items."""

from alembic import op

from genonaut.platform.migrations import PLATFORM_TABLES, statements

revision = "0001"
down_revision = None

TABLES = """
CREATE TABLE users (
    id uuid PRIMARY KEY,
    username text NOT NULL,
    email text NOT NULL,
    is_active boolean NOT NULL,
    preferences jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX ix_users_username ON users (lower(username));
CREATE UNIQUE INDEX ix_users_email ON users (email);
CREATE INDEX ix_users_is_active ON users (is_active);
CREATE INDEX ix_users_created_id ON users (created_at, id);
CREATE INDEX ix_users_preferences_gin ON users USING gin (preferences);

CREATE TABLE tags (
    id uuid PRIMARY KEY,
    slug text NOT NULL UNIQUE,
    name text NOT NULL,
    is_private boolean NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX ix_tags_name ON tags (name, id);
CREATE TABLE tag_parents (
    tag_id uuid NOT NULL,
    parent_id uuid NOT NULL,
    PRIMARY KEY (tag_id, parent_id)
);
CREATE INDEX ix_tag_parents_parent_id ON tag_parents (parent_id);

CREATE TABLE images (
    sha256 text PRIMARY KEY,
    media_type text NOT NULL,
    width int NOT NULL,
    height int NOT NULL,
    size_bytes bigint NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE TABLE image_uploads (
    sha256 text NOT NULL,
    user_id uuid NOT NULL,
    PRIMARY KEY (sha256, user_id)
);

CREATE SEQUENCE content_items_id_seq;
CREATE TABLE content_items_all (
    id bigint NOT NULL,
    source_type text NOT NULL,
    title varchar(255) NOT NULL,
    content_type text NOT NULL,
    content_data text,
    prompt varchar(20000) NOT NULL,
    creator_id uuid NOT NULL,
    item_metadata jsonb NOT NULL,
    tag_ids uuid[] NOT NULL,
    quality_score double precision NOT NULL CHECK (quality_score BETWEEN 0 AND 1),
    is_private boolean NOT NULL,
    path_thumb varchar(512),
    image_sha256 text,
    job_id bigint,
    image_index int,
    search_text text NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (id, source_type)
) PARTITION BY LIST (source_type);
CREATE TABLE content_items PARTITION OF content_items_all FOR VALUES IN ('items');
CREATE TABLE content_items_auto PARTITION OF content_items_all FOR VALUES IN ('auto');
CREATE UNIQUE INDEX content_items_all_job_image_key ON content_items_all (job_id, image_index, source_type);
CREATE INDEX idx_content_items_all_created_id ON content_items_all (created_at, id);
CREATE INDEX idx_content_items_all_updated_id ON content_items_all (updated_at, id);
CREATE INDEX idx_content_items_all_quality_id ON content_items_all (quality_score, id);
CREATE INDEX idx_content_items_all_title_id ON content_items_all (title, id);
CREATE INDEX idx_content_items_all_creator_created ON content_items_all (creator_id, created_at, id);
CREATE INDEX idx_content_items_all_image ON content_items_all (image_sha256);
CREATE INDEX idx_content_items_all_tags ON content_items_all USING gin (tag_ids);
CREATE FUNCTION refuse_new_prompt() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN RAISE EXCEPTION ''the prompt of a content item never changes'' USING ERRCODE = ''check_violation''; END';
CREATE TRIGGER prompt_is_immutable BEFORE UPDATE ON content_items_all
    FOR EACH ROW WHEN (OLD.prompt IS DISTINCT FROM NEW.prompt) EXECUTE FUNCTION refuse_new_prompt();
"""


def upgrade() -> None:
    for statement in statements(PLATFORM_TABLES + TABLES):
        op.execute(statement)
