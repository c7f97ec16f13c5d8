"""What is backed up comes back, whole or in part, and what cannot come back changes nothing."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from alembic import command
from sqlalchemy.engine import make_url

from genonaut.contracts.streams import (
    CONTENT,
    CONTENT_JOBS,
    DURABLES,
    GENERATION_DRIVERS,
    NOTIFICATIONS_RECIPIENTS,
    REQUESTS,
)
from genonaut.platform.bus import Bus, Message
from genonaut.platform.database import Database
from genonaut.platform.doctor.examination import examine
from genonaut.platform.migrations import config, newest_revision
from genonaut.platform.provisioning import SERVICES, Passwords, login
from genonaut.platform.relay import Relay
from genonaut.platform.service_cli import load_service
from genonaut.platform.serving import end
from genonaut.stack.databases import restore, streams
from genonaut.stack.databases.backup import MANIFEST, Contents, Manifest, back_up, digest, rows_of
from genonaut.stack.databases.place import Place, RefusedError
from genonaut.stack.databases.restore import Restored, restore_backup
from genonaut.testkit.platforms import PASSWORD, Platform
from genonaut.testkit.waiting import eventually

Digests = dict[str, str]


@dataclass
class Databases:
    place: Place
    platform: Platform
    folder: Path

    async def back_up(
        self, *, services: tuple[str, ...] = SERVICES, contents: Contents = "whole", on_progress: Any = lambda *_: None
    ) -> Manifest:
        return await back_up(self.place, self.folder, services=services, contents=contents, on_progress=on_progress)

    async def restore(
        self, *, services: tuple[str, ...] = SERVICES, contents: Contents = "whole", replace: bool = False
    ) -> Restored:
        return await restore_backup(
            self.place,
            self.folder,
            services=services,
            contents=contents,
            replace=replace,
            jobs=2,
            on_progress=lambda *_: None,
        )

    async def run(self, *statements: str) -> None:
        connection = await asyncpg.connect(self.place.inside_url)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    async def scalar(self, query: str) -> Any:
        connection = await asyncpg.connect(self.place.inside_url)
        try:
            return await connection.fetchval(query)
        finally:
            await connection.close()

    async def digests(self) -> Digests:
        """Of the rows of every table and the state of every sequence."""
        connection = await asyncpg.connect(self.place.inside_url)
        found = {}
        try:
            for service in SERVICES:
                for table in await rows_of(connection, service):
                    found[f"{service}.{table}"] = await connection.fetchval(
                        f"SELECT md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) FROM {service}.{table} t"
                    )
            for row in await connection.fetch("SELECT schemaname, sequencename, last_value FROM pg_sequences"):
                found[f"{row['schemaname']}.{row['sequencename']}"] = str(row["last_value"])
        finally:
            await connection.close()
        return found

    async def findings(self) -> list[tuple[str, str]]:
        """What the doctor finds bad, of all services."""
        found = []
        for service in map(load_service, SERVICES):
            found += [
                (service.name, finding.says)
                async for finding in examine(service, self.platform.settings(service))
                if finding.level == "bad"
            ]
        return found


def events(schema: str, first: int, last: int, *, unpublished: int = 0) -> list[str]:
    """Statements that put users into a log; the last `unpublished` of them wait in the outbox."""
    ids = "('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid"
    return [
        f"""
        INSERT INTO {schema}.events (id, stream, version, type, dataversion, time, correlation_id, data)
        SELECT {ids}, 'user-' || {ids}, 1, 'content.user.registered', 1, now(), 'c', jsonb_build_object('number', n,
            'user_id', {ids}, 'username', 'user' || n, 'email', 'a@example.org', 'preferences', '{{}}'::jsonb)
        FROM generate_series({first}, {last}) n
        """,
        f"""
        INSERT INTO {schema}.outbox (position, event_id)
        SELECT position, id FROM {schema}.events ORDER BY position DESC LIMIT {unpublished}
        """,
    ]


@pytest_asyncio.fixture
async def databases(platform: Platform, tmp_path: Path) -> AsyncIterator[Databases]:
    url = make_url(platform.superuser_url)
    passwords = Passwords(PASSWORD, PASSWORD, PASSWORD, dict.fromkeys(SERVICES, PASSWORD))
    place = Place("test", url.database or "", platform.superuser_url, platform.nats_url, passwords)
    databases = Databases(place, platform, tmp_path / "backup")
    await databases.run(
        *events("content", 1, 30, unpublished=3),
        "INSERT INTO generation.known_users SELECT gen_random_uuid(), now(), true, 0 FROM generate_series(1, 20)",
        "INSERT INTO analytics.generation_users_hourly VALUES (now(), gen_random_uuid())",
        "SELECT setval('content.content_items_id_seq', 777)",
    )
    yield databases


async def test_what_was_there_is_there_again_in_a_database_that_was_lost(databases: Databases) -> None:
    before = await databases.digests()
    manifest = await databases.back_up()
    name = databases.place.database
    connection = await asyncpg.connect(
        make_url(databases.place.superuser_url).set(database="postgres").render_as_string(False)
    )
    await connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await connection.close()
    lost = databases.place.superuser_url
    databases.place = Place(
        *("test", name, make_url(lost).set(database="postgres").render_as_string(False)),
        *(databases.place.nats_url, databases.place.passwords),
    )

    restored = await databases.restore()

    assert await databases.digests() == before
    assert restored.tables == {service: archive.tables for service, archive in manifest.services.items()}
    assert manifest.services["content"].unpublished == 3
    assert await databases.findings() == []
    analyzed = "SELECT count(*) FROM pg_stats WHERE schemaname = 'content' AND tablename = 'events'"
    assert await databases.scalar(analyzed) > 0
    await databases.run(*events("content", 31, 31))  # the log counts on


async def test_what_happened_after_the_backup_is_gone_and_only_when_one_says_so(databases: Databases) -> None:
    before = await databases.digests()
    await databases.back_up()
    await databases.run(*events("content", 31, 40))
    after = await databases.digests()

    with pytest.raises(RefusedError, match=r"is not empty: content\.events \(40\), content\.outbox \(3\), gen"):
        await databases.restore()
    assert await databases.digests() == after

    await databases.restore(replace=True)
    assert await databases.digests() == before
    assert await databases.scalar("SELECT count(*) FROM pg_namespace WHERE nspname LIKE '%restore'") == 0


async def test_one_service_alone(databases: Databases) -> None:
    before = await databases.digests()
    await databases.back_up(services=("content",))
    await databases.run(*events("content", 31, 40), "DELETE FROM generation.known_users")

    with pytest.raises(RefusedError, match="The backup has no generation, analytics, notifications; it has content"):
        await databases.restore(replace=True)
    await databases.restore(services=("content",), replace=True)

    after = await databases.digests()
    assert {name for name in before if before[name] != after[name]} == {"generation.known_users"}
    assert await databases.findings() == []


async def test_tables_without_rows(databases: Databases) -> None:
    await databases.back_up(contents="schema")

    with pytest.raises(RefusedError, match="The backup has the schema only: say --schema-only"):
        await databases.restore(replace=True)
    await databases.restore(contents="schema", replace=True)

    connection = await asyncpg.connect(databases.place.inside_url)
    rows = {service: await rows_of(connection, service) for service in SERVICES}
    await connection.close()
    assert {service: sum(tables.values()) for service, tables in rows.items()} == dict.fromkeys(SERVICES, 1)
    assert await databases.findings() == []


@pytest.mark.parametrize("made", ["whole", "data"])
async def test_rows_without_tables(databases: Databases, made: Contents) -> None:
    """From either kind of backup; rows that others refer to come first."""
    before = await databases.digests()
    await databases.back_up(contents=made)
    await databases.run("DELETE FROM generation.known_users", "DROP TABLE content.images")

    await databases.restore(contents="data", replace=True)

    assert await databases.digests() == before
    assert await databases.findings() == []


async def test_parents_come_first_whatever_they_are_called(databases: Databases) -> None:
    await databases.run(
        "CREATE TABLE generation.z_parent (id int PRIMARY KEY)",
        "CREATE TABLE generation.a_child (id int REFERENCES generation.z_parent (id))",
        "ALTER TABLE generation.z_parent OWNER TO genonaut_admin",
        "ALTER TABLE generation.a_child OWNER TO genonaut_admin",
    )
    await databases.back_up(services=("generation",))
    connection = await asyncpg.connect(databases.place.owner_url)
    try:
        work = restore._Restore(
            *(databases.place, databases.folder, Manifest.read(databases.folder)),
            *(restore._clients(Manifest.read(databases.folder), connection), connection, 1, lambda *_: None),
        )
        listing = await work._ordered("generation")
    finally:
        await connection.close()
    assert listing.index("TABLE DATA generation z_parent") < listing.index("TABLE DATA generation a_child")
    assert listing.index("TABLE DATA generation events") < listing.index("TABLE DATA generation outbox")


async def test_a_backup_is_of_one_moment(databases: Databases) -> None:
    before = await databases.digests()

    writers = []

    def meanwhile(service: str, done: int, _: int) -> None:
        if (service, done) == ("content", 0):
            writers.append(asyncio.ensure_future(databases.run(*events("content", 31, 40))))

    await databases.back_up(on_progress=meanwhile)
    await asyncio.gather(*writers)
    assert await databases.scalar("SELECT count(*) FROM content.events") == 40
    await databases.restore(replace=True)

    after = await databases.digests()
    # A sequence is of no moment: its next number is above all rows, and perhaps further.
    assert {name for name in before if before[name] != after[name]} <= {"content.events_position_seq"}
    assert await databases.findings() == []


async def test_a_backup_of_an_older_revision_is_migrated(databases: Databases) -> None:
    history = config("generation", admin_url=databases.place.owner_url)
    await asyncio.to_thread(command.downgrade, history, "0004")
    await databases.back_up()

    restored = await databases.restore(replace=True)

    assert restored.revisions["generation"] == ("0004", newest_revision("generation"))
    assert await databases.findings() == []


def altered(folder: Path, **changed: Any) -> None:
    told = json.loads((folder / MANIFEST).read_text())
    for name, value in changed.items():
        target, keys = told, name.split("__")
        for key in keys[:-1]:
            target = target[key]
        target[keys[-1]] = value
    (folder / MANIFEST).write_text(json.dumps(told))


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda folder: (folder / MANIFEST).unlink(), "is no whole backup: it has no readable manifest"),
        (lambda folder: (folder / MANIFEST).write_text("no"), "is no JSON"),
        (lambda folder: (folder / MANIFEST).write_text("[1]"), "has format None, this code reads 1"),
        (lambda folder: altered(folder, format=2), "has format 2, this code reads 1"),
        (lambda folder: altered(folder, unheard_of=2), "is not whole: .*unheard_of"),
        (lambda folder: altered(folder, services=[]), "is not whole"),
        (lambda folder: (folder / "content.dump").unlink(), "content.dump is missing"),
        (lambda folder: os.truncate(folder / "content.dump", 1000), "its checksum differs"),
        (lambda folder: altered(folder, services__content__sha256="0"), "its checksum differs"),
        (lambda folder: altered(folder, server=99), "The backup is of Postgres 99"),
        (lambda folder: altered(folder, pg_dump=99), "There is no pg_dump, pg_restore and psql of version 99 or newer"),
        (lambda folder: altered(folder, services__content__revision="9999"), "9999, which this code does not know"),
        # What is found when half of it is done:
        (lambda folder: altered(folder, services__notifications__tables__inbox=5), "inbox have other numbers of rows"),
    ],
)
async def test_a_backup_that_is_not_sound_changes_nothing(databases: Databases, harm: Any, said: str) -> None:
    await databases.back_up()
    harm(databases.folder)
    await databases.run(*events("content", 31, 40))
    before = await databases.digests()

    with pytest.raises(Exception, match=said):
        await databases.restore(replace=True)

    assert await databases.digests() == before
    assert await databases.findings() == []


async def test_an_archive_that_pg_restore_does_not_take_changes_nothing(databases: Databases) -> None:
    await databases.back_up()
    broken = databases.folder / "generation.dump"
    broken.write_bytes(broken.read_bytes()[:2000])
    altered(
        databases.folder,
        services__generation__size=2000,
        services__generation__sha256=digest(broken),
    )
    before = await databases.digests()

    with pytest.raises(RefusedError, match="pg_restore: error"):
        await databases.restore(replace=True)

    assert await databases.digests() == before


async def test_a_restore_that_was_killed_is_undone_by_the_next_one(databases: Databases) -> None:
    before = await databases.digests()
    await databases.back_up()
    await databases.run(
        "ALTER SCHEMA content RENAME TO content_before_restore",
        "CREATE SCHEMA content AUTHORIZATION genonaut_admin",
        "CREATE TABLE content.half (id int)",
    )

    with pytest.raises(RefusedError, match="is not empty"):  # what was there is, again
        await databases.restore(services=("generation",))
    assert await databases.digests() == before

    await databases.restore(replace=True)
    assert await databases.digests() == before


async def test_nothing_is_restored_under_a_service_at_work(databases: Databases) -> None:
    await databases.back_up()
    connection = await asyncpg.connect(databases.place.url(login("content")))
    try:
        with pytest.raises(RefusedError, match=r"Services are at work on .* \(genonaut_content\)"):
            await databases.restore(replace=True)
    finally:
        await connection.close()


async def test_a_backup_that_was_given_up_is_none(databases: Databases) -> None:
    def give_up(service: str, done: int, _: int) -> None:
        if service == "generation" and done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await databases.back_up(on_progress=give_up)
    assert not databases.folder.exists()
    with pytest.raises(RefusedError, match="is no whole backup"):
        Manifest.read(databases.folder.with_name("backup.part"))

    await databases.back_up()
    assert databases.folder.stat().st_mode & 0o077 == 0
    assert {file.stat().st_mode & 0o077 for file in databases.folder.iterdir()} == {0}
    with pytest.raises(RefusedError, match="is there"):
        await databases.back_up()


async def published(bus: Bus) -> set[str]:
    """The ids of all messages of content's stream."""
    state = (await bus.jetstream.stream_info(CONTENT.name)).state
    found = set()
    for sequence in range(state.first_seq, state.last_seq + 1):
        message = await bus.jetstream.get_msg(CONTENT.name, sequence)
        found.add((message.headers or {})["Nats-Msg-Id"])
    return found


async def test_the_streams_have_what_the_restored_logs_have_and_nothing_else(databases: Databases) -> None:
    """Unpublished when it was backed up: published. Published after the backup: gone."""
    await databases.back_up()
    await databases.run(*events("content", 31, 35, unpublished=5))
    await _relay(databases)
    assert len(await published(databases.platform.bus)) == 8
    request = Message("gateway.request.served", b"{}", "measured")
    await databases.platform.bus.publish(REQUESTS.name, [request])

    await databases.restore(replace=True)
    assert await streams.follow_logs(databases.place) == 27  # the other three waited already
    assert await databases.scalar("SELECT count(*) FROM content.outbox WHERE restored_at IS NULL") == 3
    await _relay(databases)

    ids = await databases.scalar("SELECT array_agg(id::text) FROM content.events")
    assert await published(databases.platform.bus) == set(ids)
    assert len(ids) == 30
    # No log has what was measured, and it was measured whatever was restored.
    assert (await databases.platform.bus.jetstream.stream_info(REQUESTS.name)).state.messages == 1


async def _relay(databases: Databases) -> None:
    """Runs the relay of content until its outbox is empty."""
    database = Database(databases.place.url(login("content")), name="test", search_path="content")
    relay = asyncio.create_task(
        Relay(database, databases.platform.bus, schema="content", source="genonaut/content").run()
    )
    try:
        await eventually(lambda: databases.scalar("SELECT count(*) = 0 FROM content.outbox"))
    finally:
        await end([relay])
        await database.close()


async def test_a_service_restored_alone_hears_everything_once_more(databases: Databases) -> None:
    jetstream = databases.platform.bus.jetstream
    made = {
        durable.name: (await jetstream.consumer_info(durable.stream.name, durable.name)).created for durable in DURABLES
    }

    heard = await streams.hear_again(databases.place, ["notifications", "generation"])

    assert NOTIFICATIONS_RECIPIENTS.name in heard
    assert {CONTENT_JOBS.name, GENERATION_DRIVERS.name} & set(heard) == set()
    for durable in DURABLES:
        created = (await jetstream.consumer_info(durable.stream.name, durable.name)).created
        assert (created != made[durable.name]) == (durable.name in heard), durable.name
