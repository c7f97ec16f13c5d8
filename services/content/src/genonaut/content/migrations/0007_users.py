"""Users found by parts of what they are called; how many jobs they have in which state; what their passwords are."""

from alembic import op

from genonaut.platform.migrations import statements

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# Three characters at a time, as an index without extensions can have them: what contains a word has all its grams.
SEARCH = """
CREATE FUNCTION grams(word text) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS
    'SELECT array_agg(DISTINCT substr(word, place, 3)) FROM generate_series(1, length(word) - 2) AS place';
CREATE INDEX ix_users_grams ON users USING gin (grams(lower(username)), grams(email)) WITH (fastupdate = off);
CREATE INDEX ix_users_updated_id ON users (updated_at, id);
CREATE INDEX ix_users_username_id ON users (username, id);
"""

JOBS = """
CREATE TABLE user_jobs (
    job_id bigint PRIMARY KEY,
    user_id uuid NOT NULL,
    is_private boolean,
    status text NOT NULL,
    sequence int NOT NULL
);
CREATE TABLE user_job_counts (
    user_id uuid NOT NULL,
    is_private boolean NOT NULL,
    pending int NOT NULL,
    running int NOT NULL,
    completed int NOT NULL,
    failed int NOT NULL,
    cancelled int NOT NULL,
    PRIMARY KEY (user_id, is_private)
);
"""

# No projection: see docs/decisions/0017-credentials-are-not-events.md.
CREDENTIALS = """
CREATE TABLE credentials (
    user_id uuid PRIMARY KEY,
    password_hash text NOT NULL,
    changed_at timestamptz NOT NULL
);
"""
# What default privileges have given to others, as `provisioning.UNSEEN` takes it away.
UNSEEN = """
DO $$
DECLARE
    reader text;
BEGIN
    FOR reader IN
        SELECT DISTINCT pg_get_userbyid(acl.grantee)
        FROM pg_class CROSS JOIN aclexplode(relacl) AS acl
        WHERE pg_class.oid = to_regclass('credentials') AND acl.grantee NOT IN (0, relowner)
    LOOP
        IF reader <> 'genonaut_' || current_schema() THEN
            EXECUTE format('REVOKE ALL ON credentials FROM %I', reader);
        END IF;
    END LOOP;
END $$
"""


def upgrade() -> None:
    for statement in [*statements(SEARCH + JOBS + CREDENTIALS), UNSEEN]:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE user_jobs, user_job_counts, credentials")
    op.execute("DROP INDEX ix_users_grams, ix_users_updated_id, ix_users_username_id")
    op.execute("DROP FUNCTION grams")
