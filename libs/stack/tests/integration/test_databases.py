"""`genonaut db` as a person types it, on a server that the environment names and on the stack's own."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy.engine import make_url
from typer.testing import CliRunner

from genonaut.platform.bus import Bus
from genonaut.platform.migrations import newest_revision
from genonaut.platform.provisioning import ProvisioningError
from genonaut.stack.databases import command, fixture, place, schema
from genonaut.stack.databases.new_migration import write
from genonaut.stack.databases.place import Place, RefusedError
from genonaut.stack.local import LocalStack, StackError, clone_root
from genonaut.stack.processes import DATABASE_SERVICES
from genonaut.stack.servers import Nats, Postgres
from genonaut.testkit.platforms import PASSWORD
from genonaut.testkit.servers import as_superuser

SAID = (
    *("DATABASE_SUPERUSER_URL", "DATABASE_URL", "DATABASE_URL_DEMO", "DATABASE_URL_TEST", "NATS_URL", "NATS_URL_TEST"),
    *("DB_HOST", "DB_PORT", "DB_USER", "DB_PASSWORD", "DB_NAME", "DB_NAME_DEMO", "DB_NAME_TEST", "APP_ENV", "DEMO"),
    *("GENONAUT_DB_ENVIRONMENT", "ENV_TARGET", "API_ENVIRONMENT", "OBJECT_STORE_URL"),
)
ROLES = ("ADMIN", "RW", "RO", "CONTENT", "GENERATION", "ANALYTICS", "NOTIFICATIONS")


@pytest.fixture
def stack(state: Path, monkeypatch: pytest.MonkeyPatch) -> LocalStack:
    """One that does not run, and an environment that says nothing."""
    for name in SAID:
        monkeypatch.delenv(name, raising=False)
    stack = LocalStack(state=state / ".genonaut")
    stack.state.mkdir()
    for module in (command, place):
        monkeypatch.setattr(module, "LocalStack", lambda: stack)
    monkeypatch.setattr(command.console, "_width", 200)
    return stack


@pytest.fixture
def given(
    stack: LocalStack, postgres: Postgres, nats_server: Nats, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, str]]:
    """A server of somebody else with databases of our names, gone afterwards."""
    names = {name: f"genonaut_{word}_{uuid4().hex[:8]}" for name, word in _NAMES.items()}
    for name, value in names.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DATABASE_URL", postgres.url())
    monkeypatch.setenv("NATS_URL_TEST", nats_server.url())
    monkeypatch.setenv("NATS_URL", nats_server.url())
    for role in ROLES:  # the roles are the whole server's
        monkeypatch.setenv(f"DB_PASSWORD_{role}", PASSWORD)
    yield names
    for name in names.values():
        as_superuser(postgres, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


_NAMES = {"DB_NAME": "dev", "DB_NAME_DEMO": "demo", "DB_NAME_TEST": "test"}


def genonaut(*words: str) -> str:
    """What is printed. Raises what the command raises."""
    result = CliRunner().invoke(command.app, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def query(postgres: Postgres, database: str, statement: str) -> Any:
    async def run() -> Any:
        connection = await asyncpg.connect(postgres.url(database=database))
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    return asyncio.run(run())


def test_init_makes_what_is_missing_and_says_so(given: dict[str, str], postgres: Postgres) -> None:
    first = genonaut("init")
    assert f"dev: {given['DB_NAME']} at 127.0.0.1" in first
    assert f"database: made {given['DB_NAME']}" in first
    assert "schema: made content, generation, analytics, notifications" in first
    assert f"content: nothing → {newest_revision('content')}" in first
    query(
        postgres,
        given["DB_NAME"],
        "INSERT INTO generation.known_users VALUES (gen_random_uuid(), now(), true, 0) RETURNING 1",
    )

    again = genonaut("init")
    assert "roles, database, schemas, streams and durables: all there" in again
    assert f"content: at {newest_revision('content')}, as before" in again
    assert query(postgres, given["DB_NAME"], "SELECT count(*) FROM generation.known_users") == 1
    assert PASSWORD not in first + again


@pytest.mark.parametrize(
    ("variable", "value"), [("GENONAUT_DB_ENVIRONMENT", "demo"), ("DEMO", "yes"), ("ENV_TARGET", "local-demo")]
)
def test_old_names_of_the_environment_are_understood(
    given: dict[str, str], monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv("APP_ENV", "restored afterwards")
    monkeypatch.delenv("APP_ENV")
    monkeypatch.setenv(variable, value)
    with pytest.warns(DeprecationWarning, match=variable):
        said = genonaut("init")
    assert f"demo: {given['DB_NAME_DEMO']}" in said


def test_test_is_emptied_and_filled(
    given: dict[str, str], postgres: Postgres, nats_server: Nats, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OBJECT_STORE_URL", tmp_path.as_uri())
    name = given["DB_NAME_TEST"]
    for emptied in (False, True):
        said = genonaut("init", "--env", "test")
        assert ("It was there and is emptied" in said) is emptied
        assert "The fixture hangs: 24 pictures" in said
        assert query(postgres, name, "SELECT count(*) FROM content.content_items_all") == 24
        assert query(postgres, name, "SELECT max(id) FROM content.content_items_all") == 24
        events = query(postgres, name, "SELECT count(*) FROM content.events")
        waiting = query(postgres, name, "SELECT count(*) FROM content.outbox")
        assert events == waiting + messages(nats_server, "CONTENT")
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) >= 24


def messages(nats_server: Nats, stream: str) -> int:
    async def run() -> int:
        bus = await Bus.connect(nats_server.url(), name="test")
        try:
            return (await bus.jetstream.stream_info(stream)).state.messages
        finally:
            await bus.close()

    return asyncio.run(run())


def test_nothing_but_test_is_emptied(
    given: dict[str, str], postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    genonaut("init")
    latest = f"latest_{given['DB_NAME']}"  # it has the letters, not the word
    for name in (given["DB_NAME"], latest):
        monkeypatch.setenv("DB_NAME_TEST", name)
        with pytest.raises(RefusedError, match="only a database with `test` in its name"):
            genonaut("init", "--env", "test")
    shared = given["DB_NAME_TEST"]
    for variable in ("DB_NAME_TEST", "DB_NAME_DEMO"):
        monkeypatch.setenv(variable, shared)
    with pytest.raises(RefusedError, match="Only a test environment is emptied"):
        genonaut("init", "--env", "test")
    assert query(postgres, given["DB_NAME"], "SELECT to_regclass('content.users')::text") == "content.users"

    with place.open_place("dev") as dev, pytest.raises(RefusedError, match="Only a test environment is emptied"):
        asyncio.run(fixture.empty(dev))


def test_the_streams_of_others_are_not_emptied(given: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NATS_URL_TEST")
    with pytest.raises(RefusedError, match="NATS_URL may name the streams of another environment"):
        genonaut("init", "--env", "test")


def test_a_test_database_in_use_is_not_emptied(given: dict[str, str], postgres: Postgres) -> None:
    with place.open_place("test") as test:
        asyncio.run(_made(test))

        async def busy() -> None:
            connection = await asyncpg.connect(test.url("genonaut_content"))
            try:
                await fixture.empty(test)
            finally:
                await connection.close()

        with pytest.raises(RefusedError, match="Services are at work on"):
            asyncio.run(busy())


async def _made(where: Place) -> None:
    await command.prepare(
        superuser_url=where.superuser_url,
        database=where.database,
        passwords=where.passwords,
        nats_url=where.nats_url,
    )


def test_migrate_needs_a_database_and_says_so(given: dict[str, str]) -> None:
    with pytest.raises(RefusedError, match=r"does not exist\. Is everything made\? See: genonaut db init"):
        genonaut("migrate", "--env", "demo")
    genonaut("init", "--env", "demo")
    assert f"generation: at {newest_revision('generation')}, as before" in genonaut("migrate", "--env", "demo")


def test_passwords_on_a_server_of_others_are_not_changed_unasked(
    given: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    genonaut("init")
    monkeypatch.delenv("DB_PASSWORD_RO")
    monkeypatch.delenv("DB_PASSWORD_CONTENT")
    with pytest.raises(RefusedError, match=r"not known here\. Set DB_PASSWORD_RO, DB_PASSWORD_CONTENT "):
        genonaut("init")
    monkeypatch.setenv("DB_PASSWORD_RO", PASSWORD)
    monkeypatch.setenv("DB_PASSWORD_CONTENT", PASSWORD)
    assert "all there" in genonaut("init")


def test_who_may_make_no_roles_is_told(
    given: dict[str, str], postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    genonaut("init")
    owner = make_url(postgres.url()).set(username="genonaut_admin", password=PASSWORD)
    monkeypatch.setenv("DATABASE_URL", owner.render_as_string(hide_password=False))
    with pytest.raises(ProvisioningError, match="Postgres is named as genonaut_admin, but making roles"):
        genonaut("init")
    assert "as before" in genonaut("migrate")  # which the owner may


def test_a_backup_there_and_back_on_the_command_line(given: dict[str, str], postgres: Postgres, tmp_path: Path) -> None:
    genonaut("init")
    query(
        postgres,
        given["DB_NAME"],
        "INSERT INTO generation.known_users VALUES (gen_random_uuid(), now(), true, 0) RETURNING 1",
    )
    folder = tmp_path / "backup"

    said = genonaut("backup", str(folder))
    assert re.search(r"generation +\d{4} +\d+ +2 +0", said)
    assert "Now copy the objects" in said
    with pytest.raises(RefusedError, match="--schema-only or --data-only"):
        genonaut("backup", str(tmp_path / "other"), "--schema-only", "--data-only")
    with pytest.raises(RefusedError, match="gateway has no database"):
        genonaut("backup", str(tmp_path / "other"), "--service", "gateway")

    with pytest.raises(RefusedError, match=r"generation\.known_users \(1\)"):
        genonaut("restore", str(folder))
    said = genonaut("restore", str(folder), "--replace")
    assert "generation: 2 rows" in said
    assert "0 events of the logs wait to be published again" in said

    said = genonaut("restore", str(folder), "--replace", "--service", "generation")
    assert "generation-users, generation-items hear them once more" in said
    assert "What generation stated after the backup is known to the others" in said


def test_the_stacks_own_servers_run_for_as_long_as_it_takes(stack: LocalStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """And with the passwords that are given."""
    monkeypatch.setenv("DB_PASSWORD_RO", "a password of our own")
    genonaut("init", "--env", "demo")
    assert stack.left() == []

    with place.open_place("demo") as demo:
        assert stack.left() == ["nats", "postgres"]
        assert demo.words.startswith("genonaut_demo at 127.0.0.1:")
        assert demo.passwords.read_only == "a password of our own"
        assert asyncio.run(_answer(demo.url("genonaut_ro"), "SELECT count(*) FROM content.events")) == 0
    assert stack.left() == []


async def _answer(url: str, statement: str) -> Any:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


def test_an_environment_that_is_none(stack: LocalStack) -> None:
    with pytest.raises(RefusedError, match="'staging'; it is one of dev, demo, test, prod"):
        genonaut("migrate", "--env", "staging")


def test_a_running_stack_is_joined(stack: LocalStack, monkeypatch: pytest.MonkeyPatch, postgres: Postgres) -> None:
    entry = {"given": False, "port": postgres.port}
    seen = {"state": "ready", "ports": {}, "processes": {"postgres": entry, "nats": {"given": False, "port": 4}}}
    monkeypatch.setattr(stack, "is_running", lambda: True)
    monkeypatch.setattr(stack, "read", lambda: seen)
    with place.open_place("dev") as joined:
        assert f":{postgres.port}/" in joined.superuser_url
        assert joined.nats_url.endswith(":4")

    seen["processes"]["postgres"] = {"given": True, "port": 5432}
    with pytest.raises(StackError, match="DATABASE_URL is not set"), place.open_place("dev"):
        pass
    seen["state"] = "starting"
    with pytest.raises(StackError, match="The stack is starting"), place.open_place("dev"):
        pass


def test_the_committed_schema_is_what_the_migrations_make(platform_database: str) -> None:
    """When it differs: make dump-schema, and look at the difference."""
    owner = make_url(platform_database).set(username="genonaut_admin", password=PASSWORD)
    found = schema.dump(owner.render_as_string(hide_password=False))
    assert (clone_root() / command.SCHEMA_FILE).read_text() == found


def test_the_schema_is_dumped_from_a_database_of_its_own(
    given: dict[str, str], postgres: Postgres, tmp_path: Path
) -> None:
    file = tmp_path / "schema.sql"
    assert "is written" in genonaut("dump-schema", "--to", str(file))
    assert file.read_text() == (clone_root() / command.SCHEMA_FILE).read_text()
    assert "is as it was" in genonaut("dump-schema", "--to", str(file))
    left = "SELECT count(*) FROM pg_database WHERE datname LIKE 'genonaut_scratch%'"
    assert query(postgres, "postgres", left) == 0


@pytest.mark.parametrize("service", DATABASE_SERVICES)
def test_a_new_migration_follows_the_newest(tmp_path: Path, service: str) -> None:
    folder = tmp_path / "services" / service / "src" / "genonaut" / service / "migrations"
    folder.mkdir(parents=True)

    path = write(tmp_path, service, "Big-Shelves")

    before = newest_revision(service)
    assert path == folder / f"{int(before) + 1:04}_big_shelves.py"
    text = path.read_text()
    assert text.startswith('"""Big shelves."""')
    assert f'down_revision = "{before}"' in text
    compile(text, str(path), "exec")


@pytest.mark.parametrize(
    ("service", "word"), [("gateway", "x"), ("content", "../x"), ("content", "9"), ("content", "")]
)
def test_a_migration_of_nobody_or_without_a_name(tmp_path: Path, service: str, word: str) -> None:
    with pytest.raises(RefusedError):
        write(tmp_path, service, word)
    assert list(tmp_path.iterdir()) == []
