"""The first tables: what every service has, jobs, who holds them, what drives them, and known users."""

from alembic import op

from genonaut.platform.migrations import PLATFORM_TABLES, statements

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# An index on user_id or status alone would repeat the front of one that is there.
TABLES = """
CREATE SEQUENCE jobs_id_seq;
CREATE TABLE generation_jobs (
    id bigint PRIMARY KEY,
    user_id uuid NOT NULL,
    job_type text NOT NULL,
    status text NOT NULL,
    prompt text NOT NULL,
    params jsonb NOT NULL,
    content_id bigint,
    content_ids jsonb NOT NULL,
    error_message text,
    error_type text,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    started_at timestamptz,
    completed_at timestamptz,
    dispatch_id uuid NOT NULL,
    negative_prompt text NOT NULL,
    checkpoint_model text NOT NULL,
    lora_models jsonb NOT NULL,
    width int NOT NULL,
    height int NOT NULL,
    batch_size int NOT NULL,
    sampler_params jsonb NOT NULL,
    comfyui_prompt_id uuid,
    output_paths jsonb NOT NULL,
    thumbnail_paths jsonb NOT NULL,
    attempt int NOT NULL,
    is_private boolean NOT NULL
);
CREATE INDEX idx_generation_jobs_user_created ON generation_jobs (user_id, created_at, id);
CREATE INDEX idx_generation_jobs_status_created ON generation_jobs (status, created_at, id);
CREATE INDEX idx_generation_jobs_type_created ON generation_jobs (job_type, created_at, id);
CREATE INDEX ix_generation_jobs_created_at ON generation_jobs (created_at, id);
CREATE UNIQUE INDEX ix_generation_jobs_comfyui_prompt_id ON generation_jobs (comfyui_prompt_id);
CREATE UNIQUE INDEX ix_generation_jobs_dispatch_id ON generation_jobs (dispatch_id);
CREATE INDEX ix_generation_jobs_active ON generation_jobs (updated_at) WHERE status IN ('pending', 'running');
CREATE TABLE job_leases (
    job_id bigint PRIMARY KEY,
    holder uuid NOT NULL,
    takes int NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE TABLE driven_servers (
    driver uuid NOT NULL,
    name text NOT NULL,
    fit boolean NOT NULL,
    told_at timestamptz NOT NULL,
    PRIMARY KEY (driver, name)
);
CREATE TABLE item_arrivals (
    job_id bigint NOT NULL,
    image_index int NOT NULL,
    content_id bigint NOT NULL,
    PRIMARY KEY (job_id, image_index)
);
CREATE TABLE known_users (
    user_id uuid PRIMARY KEY,
    registered_at timestamptz NOT NULL
);
"""


def upgrade() -> None:
    for statement in statements(PLATFORM_TABLES + TABLES):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("The log is the truth: there is no way back from the first revision.")
