"""Every login ends at its own schema, and provisioning again changes nothing."""

import asyncio
import os
import signal
from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio
from alembic import command
from sqlalchemy.engine import make_url

from genonaut.contracts.streams import DURABLES, LIVE, STREAMS
from genonaut.platform import provisioning
from genonaut.platform.bus import Bus
from genonaut.platform.migrations import config, migrate
from genonaut.platform.provisioning import (
    SERVICES,
    Passwords,
    ProvisioningError,
    login,
    provision_bus,
    provision_database,
)
from genonaut.stack.servers import Nats
from genonaut.testkit.platforms import PASSWORD
from genonaut.testkit.servers import as_superuser

PASSWORDS = Passwords(PASSWORD, PASSWORD, PASSWORD, dict.fromkeys(SERVICES, PASSWORD))


async def as_role(platform, role: str, statement: str) -> str:
    """Empty when it is allowed, else the SQLSTATE."""
    url = make_url(platform.superuser_url).set(username=role, password=PASSWORD)
    connection = await asyncpg.connect(url.render_as_string(hide_password=False))
    try:
        await connection.execute(statement)
    except asyncpg.PostgresError as error:
        return error.sqlstate or "?"
    finally:
        await connection.close()
    return ""


DENIED = "42501"


@pytest_asyncio.fixture(autouse=True)
async def _a_table_in_every_schema(platform) -> None:
    """Made by the owner after provisioning, as a migration would."""
    for service in SERVICES:
        assert await as_role(platform, "genonaut_admin", f"CREATE TABLE {service}.probe (id int)") == ""


APPEND = """
INSERT INTO {}.events (id, stream, version, type, dataversion, time, correlation_id, data)
VALUES (gen_random_uuid(), 'probe', 1, 'probe', 1, now(), 'probe', '{{}}')
"""
KEPT_FROM_WRITERS = (
    "UPDATE {}.events SET type = 'other'",
    "DELETE FROM {}.events",
    "TRUNCATE {}.events CASCADE",
    "UPDATE {}.schema_version SET version_num = '0001'",
    "DELETE FROM {}.schema_version",
    "INSERT INTO {}.schema_version VALUES ('9999')",
)


async def assert_the_log_is_kept(platform, service: str) -> None:
    for role in (login(service), "genonaut_rw"):
        answers = {each: await as_role(platform, role, each.format(service)) for each in KEPT_FROM_WRITERS}
        assert answers == dict.fromkeys(KEPT_FROM_WRITERS, DENIED), role


@pytest.mark.parametrize(("service", "other"), [*permutations(SERVICES, 2)])
async def test_a_service_reaches_no_other_schema(platform, service: str, other: str) -> None:
    assert await as_role(platform, login(service), f"SELECT * FROM {other}.probe") == DENIED
    assert await as_role(platform, login(service), f"INSERT INTO {other}.probe VALUES (1)") == DENIED


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_works_on_its_rows_and_cannot_change_its_schema(platform, service: str) -> None:
    role = login(service)
    for allowed in (
        "SELECT * FROM probe",
        "INSERT INTO probe VALUES (1)",
        "UPDATE probe SET id = 2",
        "DELETE FROM probe",
    ):
        assert await as_role(platform, role, allowed) == ""
    assert await as_role(platform, role, "CREATE TABLE mine (id int)") == DENIED
    assert await as_role(platform, role, "DROP TABLE probe") == DENIED
    assert await as_role(platform, role, "DROP TRIGGER append_only ON events") == DENIED
    assert await as_role(platform, role, "CREATE SCHEMA mine") == DENIED
    assert await as_role(platform, role, "CREATE ROLE mine") == DENIED


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_appends_to_its_log_and_cannot_change_it(platform, service: str) -> None:
    assert await as_role(platform, login(service), APPEND.format(service)) == ""
    await assert_the_log_is_kept(platform, service)
    for read in ("SELECT * FROM events", "SELECT * FROM schema_version"):
        assert await as_role(platform, login(service), read) == ""


@pytest.mark.parametrize("service", SERVICES)
async def test_the_rights_on_a_log_that_had_more_are_taken_away(platform, postgres, service: str) -> None:
    """By its migration, and by provisioning, in whichever order they come."""
    given = f"GRANT ALL ON {service}.events, {service}.schema_version TO {login(service)}, genonaut_rw"
    history = config(service, admin_url=platform.admin_url())
    await asyncio.to_thread(command.downgrade, history, "0003")
    assert await as_role(platform, "genonaut_admin", given) == ""
    assert await as_role(platform, login(service), f"DELETE FROM {service}.schema_version WHERE false") == ""

    await migrate(service, admin_url=platform.admin_url())

    await assert_the_log_is_kept(platform, service)

    given = given.replace("ALL", "SELECT, INSERT, UPDATE, DELETE", 1)
    assert await as_role(platform, "genonaut_admin", given) == ""
    name = make_url(platform.superuser_url).database
    await provision_database(postgres.url(), database=name, passwords=PASSWORDS)

    await assert_the_log_is_kept(platform, service)
    assert await as_role(platform, login(service), APPEND.format(service)) == ""


STRUCTURE = (
    "CREATE TABLE {}.mine (id int)",
    "CREATE VIEW {}.mine AS SELECT 1",
    "CREATE INDEX ON {}.probe (id)",
    "ALTER TABLE {}.probe ADD COLUMN mine int",
    "ALTER TABLE {}.events DISABLE TRIGGER ALL",
    "DROP TABLE {}.probe",
    "TRUNCATE {}.probe",
    "CREATE SCHEMA {}_mine",
)
ROWS = ("INSERT INTO {}.probe VALUES (1)", "UPDATE {}.probe SET id = 2", "DELETE FROM {}.probe")


async def answers(platform, role: str, statements: Sequence[str], service: str) -> dict[str, str]:
    return {each: await as_role(platform, role, each.format(service)) for each in statements}


@pytest.mark.parametrize("service", SERVICES)
async def test_the_reading_role_only_reads(platform, service: str) -> None:
    assert await as_role(platform, "genonaut_ro", f"SELECT * FROM {service}.probe") == ""
    for statements in (ROWS, STRUCTURE):
        assert await answers(platform, "genonaut_ro", statements, service) == dict.fromkeys(statements, DENIED)


@pytest.mark.parametrize("service", SERVICES)
async def test_the_writing_role_writes_rows_and_changes_no_structure(platform, service: str) -> None:
    assert await answers(platform, "genonaut_rw", ROWS, service) == dict.fromkeys(ROWS, "")
    assert await answers(platform, "genonaut_rw", STRUCTURE, service) == dict.fromkeys(STRUCTURE, DENIED)


async def test_what_was_made_is_said_once(postgres) -> None:
    name = f"genonaut_test_{uuid4().hex[:12]}"
    try:
        made = await provision_database(postgres.url(), database=name, passwords=PASSWORDS)
        assert made == [f"database {name}", *(f"schema {service}" for service in SERVICES)]
        assert await provision_database(postgres.url(), database=name, passwords=PASSWORDS) == []
    finally:
        as_superuser(postgres, f'DROP DATABASE "{name}" WITH (FORCE)')


async def test_nobody_but_the_superuser_is_one(platform) -> None:
    for role in ("genonaut_admin", "genonaut_rw", "genonaut_ro", "genonaut_content"):
        assert await as_role(platform, role, "ALTER SYSTEM SET work_mem = '1MB'") == DENIED


async def test_services_have_a_statement_timeout(platform) -> None:
    url = make_url(platform.superuser_url).set(username="genonaut_content", password=PASSWORD)
    connection = await asyncpg.connect(url.render_as_string(hide_password=False))
    try:
        assert await connection.fetchval("SHOW statement_timeout") == "15s"
        assert await connection.fetchval("SELECT current_schema()") == "content"
    finally:
        await connection.close()


async def test_provisioning_again_changes_nothing(platform, postgres) -> None:
    jetstream = platform.bus.jetstream
    name = make_url(platform.superuser_url).database
    before = [(await jetstream.stream_info(stream.name)).config for stream in STREAMS]
    consumers = [(await jetstream.consumer_info(d.stream.name, d.name)).created for d in DURABLES]

    assert await provision_bus(platform.nats_url) == []
    assert await provision_database(postgres.url(), database=name, passwords=PASSWORDS) == []

    assert [(await jetstream.stream_info(stream.name)).config for stream in STREAMS] == before
    assert [(await jetstream.consumer_info(d.stream.name, d.name)).created for d in DURABLES] == consumers
    assert await as_role(platform, "genonaut_content", "SELECT * FROM probe") == ""


async def test_streams_are_as_the_data_says(platform) -> None:
    for stream in STREAMS:
        config = (await platform.bus.jetstream.stream_info(stream.name)).config
        assert config.subjects == [f"{stream.prefix}.>"]
        assert config.max_bytes == stream.max_bytes
        assert config.max_age == stream.max_age.total_seconds()
        assert config.deny_delete
        assert config.allow_atomic is (None if stream.latest_only else True)
        assert config.discard == ("old" if stream.latest_only or stream.discard_old else "new")
        assert config.retention == ("workqueue" if stream.work_queue else "limits")


def test_a_missing_password_is_named_and_none_has_a_default(monkeypatch) -> None:
    monkeypatch.setenv("DB_PASSWORD_ADMIN", "x")
    for name in ("RW", "RO", *(service.upper() for service in SERVICES)):
        monkeypatch.delenv(f"DB_PASSWORD_{name}", raising=False)

    with pytest.raises(ProvisioningError, match="DB_PASSWORD_RW, DB_PASSWORD_RO, DB_PASSWORD_CONTENT"):
        Passwords.from_environment()


def test_passwords_come_from_files_too(monkeypatch, tmp_path) -> None:
    for name in ("ADMIN", "RW", "RO", *(service.upper() for service in SERVICES)):
        monkeypatch.delenv(f"DB_PASSWORD_{name}", raising=False)
        (tmp_path / name).write_text(f"of {name}\n")
        monkeypatch.setenv(f"DB_PASSWORD_{name}_FILE", str(tmp_path / name))

    found = Passwords.from_environment()

    assert (found.admin, found.read_write, found.read_only) == ("of ADMIN", "of RW", "of RO")
    assert found.services == {service: f"of {service.upper()}" for service in SERVICES}


async def test_a_server_whose_messages_are_too_small_is_refused(nats: str, monkeypatch) -> None:
    monkeypatch.setattr(provisioning, "REQUIRED_PAYLOAD", 2 * 1024 * 1024)

    with pytest.raises(ProvisioningError, match="takes 1048576: set its max_payload"):
        await provision_bus(nats)


async def test_no_stream_is_gone_after_a_kill_of_the_server(tmp_path) -> None:
    """One that is kept in memory would be, with its settings, and would stay away until the next provisioning."""
    server = Nats(tmp_path, environment="test")
    await asyncio.to_thread(server.start)
    try:
        await provision_bus(server.url())
        os.kill(server.pid, signal.SIGKILL)
        server.prefer_port = server.port
        await asyncio.to_thread(server.stop)
        await asyncio.to_thread(server.start)
        bus = await Bus.connect(server.url(), name="test")
        found = {info.config.name for info in await bus.jetstream.streams_info()}
        await bus.close()
    finally:
        await asyncio.to_thread(server.stop)

    assert found == {stream.name for stream in STREAMS}


async def test_a_stream_that_was_in_memory_is_made_anew(platform) -> None:
    jetstream = platform.bus.jetstream
    config = (await jetstream.stream_info(LIVE.name)).config
    await jetstream.delete_stream(LIVE.name)
    await jetstream.add_stream(replace(config, storage="memory", persist_mode=None))

    await provision_bus(platform.nats_url)

    assert (await jetstream.stream_info(LIVE.name)).config.storage == "file"
