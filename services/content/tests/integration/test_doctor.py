"""Every thing that the doctor looks at is broken once, and seen."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import asyncpg
import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from genonaut.content.commands import app
from genonaut.content.service import service
from genonaut.platform.doctor import statistics
from genonaut.platform.doctor.examination import examine
from genonaut.platform.doctor.findings import Finding, Limits, Patient, listed, size
from genonaut.testkit.waiting import eventually

TAGS = """
INSERT INTO content.tags (id, slug, name, is_private, created_at, updated_at)
SELECT gen_random_uuid(), 'tag-' || n, 'Tag ' || n, false, now(), now() FROM generate_series(1, 3000) n
"""
ITEM = """
INSERT INTO content.content_items_all (id, source_type, title, content_type, prompt, creator_id, item_metadata,
    quality_score, is_private, search_text, created_at, updated_at)
SELECT n, 'auto', 'Title', 'image', 'prompt', gen_random_uuid(), '{}', 0.5, false, '', now(), now()
FROM generate_series(1, 200) n
"""
EVENT = """
INSERT INTO content.events (position, id, stream, version, type, dataversion, time, correlation_id, data)
OVERRIDING SYSTEM VALUE
VALUES (1000, '00000000-0000-0000-0000-000000000001', 'user-1', 1, 'x', 1, now() - interval '%s', 'c', '{}')
"""
WAITS = "INSERT INTO content.outbox (position, event_id) SELECT position, id FROM content.events"
LETTER = """
INSERT INTO content.dead_letters (consumer, stream_sequence, stored_at, subject, headers, payload, error, deliveries)
VALUES ('content-jobs', 1, now(), 's', '{}', '', 'no', 3)
"""
NAMES = [projection.name for projection in service.projections]
VERIFIED = f"""
INSERT INTO content.verifications
SELECT name, now() - CAST('%s' AS interval), 1, %s FROM unnest(ARRAY{NAMES}) name
"""

# Under which limits what is done; what the doctor then says; and what mends what is of the whole server.
BROKEN: dict[str, tuple[Limits, Sequence[str], str, str, str, Sequence[str]]] = {
    "unused index": (
        Limits(unused_index_bytes=20_000),
        ["CREATE INDEX probe ON content.tags (updated_at)", TAGS],
        *("index usage", "warn", "probe ("),
        [],
    ),
    "scans": (
        Limits(scans=1, rows_a_scan=100),
        [TAGS, *["SELECT count(name || slug) FROM content.tags WHERE name || slug <> ''"] * 3],
        *("missing indexes", "warn", "tags ("),
        [],
    ),
    "invalid index": (
        Limits(),
        ["UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'content.ix_tags_name'::regclass"],
        *("invalid indexes", "bad", "ix_tags_name"),
        [],
    ),
    "dead rows": (
        Limits(dead_rows=100),
        ["ALTER TABLE content.tags SET (autovacuum_enabled = false)", TAGS, "DELETE FROM content.tags"],
        *("bloat", "warn", "tags ("),
        [],
    ),
    "old statistics": (
        Limits(changed_rows=100),
        ["ALTER TABLE content.tags SET (autovacuum_enabled = false)", TAGS],
        *("statistics", "warn", "tags"),
        [],
    ),
    "a partitioned table that nobody analyzes": (
        Limits(changed_rows=100),
        [ITEM, "ANALYZE content.content_items_auto"],
        *("statistics", "warn", "content_items_all"),
        [],
    ),
    "many connections": (Limits(connections_warn=0), [], "connections", "warn", " connections are taken", []),
    "too many connections": (
        Limits(connections_warn=0, connections_bad=0),
        *([], "connections", "bad", " connections are taken", []),
    ),
    "other revision": (
        Limits(),
        ["UPDATE content.schema_version SET version_num = '0004'"],
        *("revision", "bad", "the schema is at 0004, the code at"),
        [],
    ),
    "mighty role": (
        Limits(),
        ["ALTER ROLE genonaut_rw CREATEDB"],
        *("roles", "bad", "genonaut_rw may do more than it should"),
        ["ALTER ROLE genonaut_rw NOCREATEDB"],
    ),
    "role without login": (
        Limits(),
        ["ALTER ROLE genonaut_ro NOLOGIN"],
        *("roles", "bad", "genonaut_ro cannot log in"),
        ["ALTER ROLE genonaut_ro LOGIN"],
    ),
    "no time limit": (
        Limits(),
        ["ALTER ROLE genonaut_content RESET statement_timeout"],
        *("roles", "bad", "genonaut_content has no statement_timeout"),
        ["ALTER ROLE genonaut_content SET statement_timeout = '15s'"],
    ),
    "other search path": (
        Limits(),
        ["ALTER ROLE genonaut_content SET search_path = public"],
        *("roles", "bad", "genonaut_content has another search_path"),
        ["ALTER ROLE genonaut_content SET search_path = content"],
    ),
    "missing role": (
        Limits(),
        ["ALTER ROLE genonaut_ro RENAME TO genonaut_away"],
        *("roles", "bad", "genonaut_ro is missing"),
        ["ALTER ROLE genonaut_away RENAME TO genonaut_ro"],
    ),
    "stranger": (
        Limits(),
        ["GRANT USAGE ON SCHEMA content TO genonaut_generation"],
        *("rights", "bad", "genonaut_generation reaches the schema"),
        [],
    ),
    "creator": (
        Limits(),
        ["GRANT CREATE ON SCHEMA content TO genonaut_rw"],
        *("rights", "bad", "genonaut_rw may create in the schema"),
        [],
    ),
    "own schema shut": (
        Limits(),
        ["REVOKE USAGE ON SCHEMA content FROM genonaut_content"],
        *("rights", "bad", "genonaut_content does not reach the schema"),
        [],
    ),
    "writable log": (
        Limits(),
        ["GRANT DELETE ON content.events TO genonaut_content"],
        *("rights", "bad", "genonaut_content has DELETE on events"),
        [],
    ),
    "unreadable table": (
        Limits(),
        ["REVOKE SELECT ON content.tags FROM genonaut_ro"],
        *("rights", "bad", "genonaut_ro lacks SELECT on tags"),
        [],
    ),
    "another owner": (
        Limits(),
        ["ALTER TABLE content.tags OWNER TO genonaut_rw"],
        *("rights", "bad", "tags belongs to genonaut_rw"),
        [],
    ),
    "schema of another": (
        Limits(),
        ["ALTER SCHEMA content OWNER TO genonaut_rw"],
        *("rights", "bad", "the schema belongs to genonaut_rw"),
        [],
    ),
    "no rights for what is new": (
        Limits(),
        [
            f"ALTER DEFAULT PRIVILEGES FOR ROLE genonaut_admin IN SCHEMA content REVOKE ALL ON SEQUENCES FROM {role}"
            for role in ("genonaut_content", "genonaut_rw")
        ],
        *("rights", "bad", "new sequences would have no rights"),
        [],
    ),
    "log that can be changed": (
        Limits(),
        ["DROP TRIGGER append_only ON content.events"],
        *("triggers", "bad", "append_only on events is missing"),
        [],
    ),
    "trigger off": (
        Limits(),
        ["ALTER TABLE content.content_items DISABLE TRIGGER prompt_is_immutable"],
        *("triggers", "bad", "prompt_is_immutable on content_items is disabled"),
        [],
    ),
    "prompts that can be changed": (
        Limits(),
        ["DROP TRIGGER prompt_is_immutable ON content.content_items_all"],
        *("trigger prompt_is_immutable", "bad", "is missing on content_items, content_items_all, content_items_auto"),
        [],
    ),
    "sequence of a column": (
        Limits(),
        [EVENT % "1 second"],
        *("sequences", "bad", "events_position_seq is at 0, events.position at 1000"),
        [],
    ),
    "sequence of items": (
        Limits(),
        [ITEM],
        *("sequence content_items_id_seq", "bad", "content_items_id_seq is at 0, content_items_all.id at 200"),
        [],
    ),
    "slow outbox": (Limits(), [EVENT % "1 minute", WAITS], "outbox", "warn", "1 events wait to leave", []),
    "stuck outbox": (Limits(), [EVENT % "1 hour", WAITS], "outbox", "bad", "the oldest for 3,60", []),
    "young outbox": (Limits(), [EVENT % "1 second", WAITS], "outbox", "ok", "1 events wait to leave", []),
    "dead letter": (Limits(), [LETTER], "dead letters", "warn", "waiting: 1 of content-jobs", []),
    "never proved": (Limits(), [], "projections", "warn", "never proved equal to their history: users, tags", []),
    "not equal": (Limits(), [VERIFIED % ("1 day", "false")], "projections", "bad", "differed from their history", []),
    "long ago": (Limits(), [VERIFIED % ("31 days", "true")], "projections", "warn", "not for 30 days: users", []),
    "proved": (
        Limits(),
        [VERIFIED % ("1 day", "true")],
        "projections",
        "ok",
        f"all {len(NAMES)} were proved equal",
        [],
    ),
    "detached partition": (
        Limits(),
        ["ALTER TABLE content.content_items_all DETACH PARTITION content.content_items_auto"],
        *("partitions", "bad", "content_items_auto is not attached to content_items_all"),
        [],
    ),
    "partition that nobody knows": (
        Limits(),
        ["CREATE TABLE content.extra PARTITION OF content.content_items_all FOR VALUES IN ('extra')"],
        *("partitions", "bad", "extra is attached to content_items_all"),
        [],
    ),
}


async def as_superuser(platform, *done: str) -> None:
    connection = await asyncpg.connect(platform.superuser_url)
    try:
        for statement in done:
            await connection.execute(statement)
        await connection.execute("SELECT pg_stat_force_next_flush()")
    finally:
        await connection.close()


async def findings(platform, limits: Limits | None = None) -> dict[str, Finding]:
    return {each.about: each async for each in examine(service, platform.settings(service), limits=limits)}


@pytest.mark.parametrize("broken", BROKEN)
async def test_what_is_broken_is_seen(platform, broken: str) -> None:
    limits, done, about, level, says, repair = BROKEN[broken]
    await as_superuser(platform, *done)
    try:

        async def seen() -> bool:
            found = (await findings(platform, limits))[about]
            return found.level == level and says in found.says and bool(found.do) == (level != "ok")

        await eventually(seen, reason=f"the doctor does not say so: {await findings(platform, limits)}")
    finally:
        await as_superuser(platform, *repair)


async def test_a_service_as_it_was_made_is_well(platform) -> None:
    found = await findings(platform)
    assert {each.about: each.says for each in found.values() if each.level == "bad"} == {}
    assert [each.about for each in found.values() if each.level == "warn"] == ["projections"]
    assert found["size"].says.startswith("genonaut_test_")
    assert "pg_stat_statements is not there" in found["slow statements"].says


async def test_a_long_transaction_is_named(platform) -> None:
    async with platform.database("content", as_owner=True) as database, database.transaction() as connection:
        pid = await connection.scalar(text("SELECT pg_backend_pid()"))
        found = await findings(platform, Limits(transaction=timedelta()))
    assert found["long transactions"].level == "warn"
    assert found["long transactions"].do.endswith(f"pg_terminate_backend({pid})")


async def test_sessions_that_cannot_be_seen_are_counted(platform) -> None:
    """The service's own login sees its own only."""
    settings = platform.settings(service, database_admin_url=None)
    async with platform.database("content", as_owner=True) as database, database.transaction() as connection:
        await connection.scalar(text("SELECT 1"))
        found = {each.about: each async for each in examine(service, settings)}
    assert "sessions of other roles cannot be seen from here" in found["long transactions"].says
    assert {about for about, each in found.items() if each.level == "bad"} == set()


async def test_freezing_that_lags_is_seen(platform, monkeypatch) -> None:
    monkeypatch.setattr(statistics, "FREEZE_WARN", -1)
    assert (await findings(platform))["freezing"].level == "warn"
    monkeypatch.setattr(statistics, "FREEZE_BAD", -1)
    assert (await findings(platform))["freezing"].level == "bad"


async def test_slow_statements_are_named(platform) -> None:
    await as_superuser(
        platform,
        """
        CREATE TABLE content.measured AS SELECT oid AS dbid, 'SELECT  slow' AS query, 30 AS calls,
            9000.0 AS total_exec_time, 300.0 AS mean_exec_time, 1.0 AS stddev_exec_time
        FROM pg_database WHERE datname = current_database()
        """,
        "GRANT SELECT ON content.measured TO genonaut_content",
    )
    async with platform.database("content") as database, database.reading() as connection:
        patient = Patient("content", (), connection, lambda: None)
        (slow,) = await statistics.slowest(patient, "content.measured")
        (fast,) = await statistics.slowest(replace(patient, limits=Limits(statement_ms=400)), "content.measured")
    assert (slow.level, slow.says) == ("warn", "1 statements, the slowest takes 300 ms: SELECT slow")
    assert fast.level == "ok"


async def test_a_check_of_a_service_that_fails_is_a_finding_and_the_others_go_on(platform) -> None:
    async def image_references(patient: Patient) -> Sequence[Finding]:
        assert patient.objects() is not None
        return await patient.rows("SELECT * FROM nowhere")

    odd = replace(service, checks=[image_references, *service.checks])
    found = {each.about: each async for each in examine(odd, platform.settings(odd))}

    assert found["image references"].level == "bad"
    assert 'relation "nowhere" does not exist' in found["image references"].says
    assert found["partitions"].level == "ok"


def cli(platform, monkeypatch, *words: str):
    settings = platform.settings(service)
    for name in ("database_url", "database_admin_url", "nats_url", "api_secret_key"):
        monkeypatch.setenv(name.upper(), getattr(settings, name).get_secret_value())
    monkeypatch.setenv("OBJECT_STORE_URL", platform.objects_url)
    monkeypatch.setenv("COLUMNS", "200")
    return CliRunner().invoke(app, ["doctor", *words])


def test_the_command_says_what_to_do_and_ends_with_one_when_something_is_bad(platform, monkeypatch) -> None:
    well = cli(platform, monkeypatch)
    assert well.exit_code == 0, well.output
    assert "genonaut replay rebuild content.users" in well.output
    assert "0 bad, 1 to look at" in well.output
    assert "heap_bytes" in cli(platform, monkeypatch, "--figures").output

    asyncio.run(as_superuser(platform, "DROP TRIGGER append_only ON content.events"))
    ill = cli(platform, monkeypatch, "--json")
    assert ill.exit_code == 1
    told = json.loads(ill.stdout)
    assert told["service"] == "content"
    assert [each["about"] for each in told["findings"] if each["level"] == "bad"] == ["triggers"]


def test_sizes_and_lists_are_short() -> None:
    assert [size(n) for n in (0, 1023, 1024, 3 * 1024**2, 5 * 1024**4)] == [
        "0 bytes",
        "1023 bytes",
        "1 kB",
        "3 MB",
        "5.0 TB",
    ]
    assert listed(["a", "b", "c"], 2) == "a, b and 1 more"
