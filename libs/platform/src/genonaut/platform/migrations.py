"""Migrations: one Alembic history for each service, all run by the one environment in `alembic_env/`.

A service's revisions are in `genonaut/<service>/migrations/`. Nothing in them names a schema: the search path does,
so that the same revisions build a service's schema anywhere. They run as the owner, under a lock, so two at once do
no harm.
"""

import asyncio
from importlib.resources import files
from pathlib import Path

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy.engine import make_url

PLATFORM_TABLES = """
CREATE TABLE events (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id uuid NOT NULL UNIQUE,
    stream text NOT NULL,
    version int NOT NULL CHECK (version > 0),
    type text NOT NULL,
    dataversion int NOT NULL,
    time timestamptz NOT NULL,
    correlation_id text NOT NULL,
    causation_id uuid,
    traceparent text,
    data jsonb NOT NULL,
    CONSTRAINT events_stream_version_key UNIQUE (stream, version)
);
CREATE TABLE outbox (
    position bigint PRIMARY KEY,
    event_id uuid NOT NULL REFERENCES events (id)
);
CREATE TABLE inbox (
    consumer text NOT NULL,
    event_id uuid NOT NULL,
    handled_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, event_id)
);
CREATE TABLE attempts (
    consumer text NOT NULL,
    event_id uuid NOT NULL,
    started int NOT NULL,
    PRIMARY KEY (consumer, event_id)
);
CREATE TABLE dead_letters (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    consumer text NOT NULL,
    stream_sequence bigint NOT NULL,
    stored_at timestamptz NOT NULL,
    subject text NOT NULL,
    headers jsonb NOT NULL,
    payload bytea NOT NULL,
    error text NOT NULL,
    deliveries int NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    redriven_at timestamptz,
    UNIQUE (consumer, stream_sequence, stored_at)
);
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'the event log is append-only'; END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON events FOR EACH ROW EXECUTE FUNCTION refuse_change();
"""
"""The first revision of every service runs this. Never edit it: later shapes are later revisions."""

RESTORED_OUTBOX = """
ALTER TABLE outbox ADD COLUMN restored_at timestamptz;
"""
"""The second: when an event was put back because its stream had lost it. Its work is not given out again."""

PRUNED = """
CREATE INDEX inbox_handled_at_idx ON inbox USING brin (handled_at);
ALTER TABLE attempts ADD COLUMN last_at timestamptz NOT NULL DEFAULT now();
"""
"""The third: what `pruning` goes by."""

LOG_KEPT = """
DO $$
DECLARE
    granted record;
BEGIN
    FOR granted IN
        SELECT DISTINCT kept.name, kept.rights, pg_get_userbyid(acl.grantee) AS role
        FROM (VALUES ('events', 'UPDATE, DELETE, TRUNCATE'), ('schema_version', 'INSERT, UPDATE, DELETE, TRUNCATE'))
            AS kept (name, rights)
        JOIN pg_class ON pg_class.oid = to_regclass(kept.name)
        CROSS JOIN aclexplode(pg_class.relacl) AS acl
        WHERE acl.grantee NOT IN (0, pg_class.relowner)
    LOOP
        EXECUTE format('REVOKE %s ON %I FROM %I', granted.rights, granted.name, granted.role);
    END LOOP;
END $$
"""
"""The fourth, one statement: nobody but the owner changes the log or the revision of the schema. Provisioning, which
gives the same rights on all tables, keeps to it: see `provisioning.KEPT`."""

VERIFIED = """
CREATE TABLE verifications (
    projection text PRIMARY KEY,
    verified_at timestamptz NOT NULL DEFAULT now(),
    events bigint NOT NULL,
    equal boolean NOT NULL
);
"""
"""The fifth: when each projection was last rebuilt whole and compared, and whether it was equal. `replay` writes it."""


def statements(script: str) -> list[str]:
    """The statements of a script, one by one as asyncpg wants them. Splits at `;` before a line end."""
    return [part.strip() for part in script.split(";\n") if part.strip()]


def config(service: str, *, admin_url: str = "") -> Config:
    """Alembic's configuration for one service, usable with any Alembic command that needs no database without a URL."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "alembic_env"))
    config.set_main_option("version_locations", str(files(f"genonaut.{service}") / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["admin_url"] = admin_url
    config.attributes["schema"] = service
    return config


def newest_revision(service: str) -> str:
    """The one that `migrate` brings a schema to."""
    head = ScriptDirectory.from_config(config(service)).get_current_head()
    assert head is not None  # noqa: S101 - every service has a first revision
    return head


def knows_revision(service: str, revision: str) -> bool:
    """Whether this code has it: what was made by newer code has others."""
    return revision in {each.revision for each in ScriptDirectory.from_config(config(service)).walk_revisions()}


async def current_revision(service: str, *, admin_url: str) -> str | None:
    """The one that the service's schema is at; None before the first."""
    connection = await asyncpg.connect(
        make_url(admin_url).set(drivername="postgresql").render_as_string(hide_password=False)
    )
    try:
        if not await connection.fetchval("SELECT to_regclass($1)", f"{service}.schema_version"):
            return None
        revision: str | None = await connection.fetchval(f"SELECT version_num FROM {service}.schema_version")
        return revision
    finally:
        await connection.close()


async def migrate(service: str, *, admin_url: str, to: str = "head") -> None:
    """Brings the service's schema up to a revision, the newest unless one is named. Does nothing when it is there."""
    await asyncio.to_thread(command.upgrade, config(service, admin_url=admin_url), to)
