"""Restoring a backup: whole or a part, beside what is there, which goes when the restored is proved complete.

The bus is brought to what the restored logs say: after a restore of everything its streams start again and are filled
from the logs; after one of a single service that service hears everything on the bus once more, and knows what it has
handled. docs/operations.md says what that means for what happened after the backup.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from tempfile import NamedTemporaryFile

import asyncpg

from genonaut.platform.migrations import knows_revision, migrate
from genonaut.platform.provisioning import SERVICES, provision_database
from genonaut.stack.databases.backup import (
    Contents,
    Manifest,
    Progress,
    digest,
    login_of,
    rows_of,
    run_client,
)
from genonaut.stack.databases.place import Place, RefusedError, require_quiet
from genonaut.stack.prepare import migrate_all
from genonaut.stack.servers.installations import postgres_clients
from genonaut.stack.servers.server import Installation


@dataclass(frozen=True)
class Restored:
    """What was put back."""

    tables: dict[str, dict[str, int]]
    """By service: rows of each table, counted again."""
    revisions: dict[str, tuple[str | None, str]]
    """By service: that of the backup, and the one it was migrated to."""


async def restore_backup(
    place: Place,
    folder: Path,
    *,
    services: Sequence[str],
    contents: Contents,
    replace: bool,
    jobs: int,
    on_progress: Progress,
) -> Restored:
    """Raises RefusedError, with everything as it was before, when anything of it cannot be."""
    manifest = Manifest.read(folder)
    _check_contents(manifest, services, contents)
    _check_files(manifest, folder, services, on_progress)
    await provision_database(place.superuser_url, database=place.database, passwords=place.passwords)
    connection = await asyncpg.connect(place.owner_url, server_settings={"application_name": "genonaut-restore"})
    try:
        clients = _clients(manifest, connection)
        await require_quiet(connection, place)
        await _undo(connection)  # one that was killed
        await _require_empty(connection, place, services, replace=replace)
        work = _Restore(place, folder, manifest, clients, connection, jobs, on_progress)
        await work.beside(services, contents)
        counted = {service: await rows_of(connection, service) for service in services}
    finally:
        await connection.close()
    await provision_database(place.superuser_url, database=place.database, passwords=place.passwords)
    revisions = await migrate_all(place.owner_url)
    await _analyze(place.owner_url, services)
    return Restored(counted, {service: revisions[service] for service in services})


def _check_contents(manifest: Manifest, services: Sequence[str], contents: Contents) -> None:
    if missing := [service for service in services if service not in manifest.services]:
        raise RefusedError(f"The backup has no {', '.join(missing)}; it has {', '.join(manifest.services)}.")
    if manifest.contents not in {"whole", contents}:
        raise RefusedError(f"The backup has the {manifest.contents} only: say --{manifest.contents}-only.")
    for service in services:
        revision = manifest.services[service].revision
        if not knows_revision(service, revision):
            raise RefusedError(
                f"The backup's {service} is at revision {revision}, which this code does not know. "
                "Restore it with the code it was made with, or newer."
            )


def _check_files(manifest: Manifest, folder: Path, services: Sequence[str], on_progress: Progress) -> None:
    for done, service in enumerate(services):
        on_progress("checksums", done, len(services))
        archive = manifest.services[service]
        file = folder / archive.file
        if not file.is_file():
            raise RefusedError(f"{file} is missing.")
        if file.stat().st_size != archive.size or digest(file) != archive.sha256:
            raise RefusedError(f"{file} is not what was written: its checksum differs. Take another backup.")
    on_progress("checksums", len(services), len(services))


def _clients(manifest: Manifest, connection: asyncpg.Connection) -> Installation:
    server = connection.get_server_version().major
    if server < manifest.server:
        raise RefusedError(f"The backup is of Postgres {manifest.server}; {server} is older. Restore into a newer one.")
    return postgres_clients(max(server, manifest.pg_dump))


async def _require_empty(
    connection: asyncpg.Connection, place: Place, services: Sequence[str], *, replace: bool
) -> None:
    full = [
        f"{service}.{table} ({rows:,})"
        for service in services
        for table, rows in (await rows_of(connection, service)).items()
        if rows and table != "schema_version"
    ]
    if full and not replace:
        more = f" and {len(full) - 4} more tables" if len(full) > 4 else ""  # noqa: PLR2004 - enough to know it by
        raise RefusedError(
            f"{place.words} is not empty: {', '.join(full[:4])}{more}. --replace puts the backup in its place, "
            "and what is there now is gone."
        )


async def _analyze(url: str, services: Sequence[str]) -> None:
    """The planner knows the rows that have come."""
    connection = await asyncpg.connect(url)
    try:
        for service in services:
            names = await connection.fetch(
                "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace($1) AND relkind IN ('r', 'p')",
                service,
            )
            await connection.execute("ANALYZE " + ", ".join(f'{service}."{name}"' for (name,) in names))
    finally:
        await connection.close()


def _aside(service: str) -> str:
    return f"{service}_before_restore"


async def _undo(connection: asyncpg.Connection) -> None:
    """Whatever was put aside is in its place again."""
    async with connection.transaction():
        for service in SERVICES:
            if await connection.fetchval("SELECT to_regnamespace($1)", _aside(service)):
                await connection.execute(f"DROP SCHEMA IF EXISTS {service} CASCADE")
                await connection.execute(f"ALTER SCHEMA {_aside(service)} RENAME TO {service}")


@dataclass(frozen=True)
class _Restore:
    place: Place
    folder: Path
    manifest: Manifest
    clients: Installation
    connection: asyncpg.Connection
    jobs: int
    on_progress: Progress

    async def beside(self, services: Sequence[str], contents: Contents) -> None:
        """The schemas are made anew; what was there is put aside, and goes at the very end."""
        async with self.connection.transaction():
            for service in services:
                await self.connection.execute(f"ALTER SCHEMA {service} RENAME TO {_aside(service)}")
        try:
            for service in services:
                await self._make(service, contents)
        except BaseException:
            await _undo(self.connection)
            raise
        async with self.connection.transaction():
            for service in services:
                await self.connection.execute(f"DROP SCHEMA {_aside(service)} CASCADE")

    async def _make(self, service: str, contents: Contents) -> None:
        revision = self.manifest.services[service].revision
        if contents == "schema":
            await self._archive(service, "--schema-only")
            await self.connection.execute(f"INSERT INTO {service}.schema_version VALUES ($1)", revision)
            return
        if contents == "whole":
            await self._archive(service)
        else:
            await self.connection.execute(f"CREATE SCHEMA {service}")
            await migrate(service, admin_url=self.place.owner_url, to=revision)
            await self.connection.execute(f"DELETE FROM {service}.schema_version")  # the row is one of those that come
            with NamedTemporaryFile("w", suffix=".list") as ordered:
                ordered.write(await self._ordered(service))
                ordered.flush()
                await self._archive(service, "--data-only", f"--use-list={ordered.name}", jobs=1)
        await self._compare(service)

    async def _archive(self, service: str, *options: str, jobs: int | None = None) -> None:
        url, environment = login_of(self.place.owner_url)
        archive = self.manifest.services[service]
        await run_client(
            [
                str(self.clients.programs / "pg_restore"),
                *("--exit-on-error", "--verbose", "--no-password", f"--jobs={jobs or self.jobs}", f"--dbname={url}"),
                *options,
                str(self.folder / archive.file),
            ],
            environment,
            counting="processing data for table",
            on_count=lambda done: self.on_progress(service, done, len(archive.tables)),
        )

    async def _ordered(self, service: str) -> str:
        """The archive's list of contents, rows that others refer to first: an archive has them by name."""
        file = self.folder / self.manifest.services[service].file
        listing = await asyncio.create_subprocess_exec(
            self.clients.programs / "pg_restore", "--list", file, stdout=asyncio.subprocess.PIPE
        )
        lines = (await listing.communicate())[0].decode().splitlines()
        references = await self.connection.fetch(
            """
            SELECT r.relname AS child, p.relname AS parent
            FROM pg_constraint c JOIN pg_class r ON r.oid = c.conrelid JOIN pg_class p ON p.oid = c.confrelid
            WHERE c.contype = 'f' AND c.connamespace = to_regnamespace($1)
            """,
            service,
        )
        parents: dict[str, set[str]] = {}
        for row in references:
            parents.setdefault(row["child"], set()).add(row["parent"])
        place = {name: index for index, name in enumerate(TopologicalSorter(parents).static_order())}
        rows = re.compile(rf" TABLE DATA {service} (\S+) ")
        return "\n".join(
            sorted(lines, key=lambda line: place.get(found[1], -1) if (found := rows.search(line)) else len(place))
        )

    async def _compare(self, service: str) -> None:
        """Every table has as many rows as when it was backed up."""
        found, wanted = await rows_of(self.connection, service), self.manifest.services[service].tables
        if found != wanted:
            differ = sorted(name for name in {*found, *wanted} if found.get(name) != wanted.get(name))
            raise RefusedError(f"{service} is not complete: {', '.join(differ)} have other numbers of rows.")
