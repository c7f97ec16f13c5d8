"""A backup: a folder with one pg_dump archive for each service, all of one moment, and a manifest that describes them.

The services go on meanwhile. The archives are pg_dump's own (custom format), so that pg_restore takes them without us.
"""

import asyncio
import hashlib
import json
import os
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Literal, Self
from urllib.parse import unquote, urlsplit, urlunsplit

import asyncpg

from genonaut.stack.databases.place import Place, RefusedError
from genonaut.stack.files import PRIVATE, write_whole
from genonaut.stack.servers.installations import postgres_clients
from genonaut.stack.servers.server import Installation, child_environment

FORMAT = 1
MANIFEST = "manifest.json"

Contents = Literal["whole", "schema", "data"]
Progress = Callable[[str, int, int], None]
"""Called with what is at work, how many of its tables are done, and how many there are."""


@dataclass(frozen=True)
class Archive:
    """One service's part of a backup."""

    file: str
    size: int
    sha256: str
    revision: str
    """Of its schema."""
    tables: dict[str, int]
    """Rows of each table at that moment."""

    @property
    def unpublished(self) -> int:
        """Events that were still to leave."""
        return self.tables.get("outbox", 0)


@dataclass(frozen=True)
class Manifest:
    """What a backup is."""

    format: int
    made_at: str
    environment: str
    database: str
    server: int
    """The major version of Postgres."""
    pg_dump: int
    """The major version of what wrote the archives: nothing older reads them."""
    contents: Contents
    services: dict[str, Archive]

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Raises RefusedError when there is none, or one of a later format."""
        try:
            found = json.loads((folder / MANIFEST).read_text())
        except OSError as error:
            raise RefusedError(f"{folder} is no whole backup: it has no readable {MANIFEST} ({error}).") from error
        except ValueError as error:
            raise RefusedError(f"{folder / MANIFEST} is no JSON: {error}.") from error
        format_ = found.get("format") if isinstance(found, dict) else None
        if format_ != FORMAT:
            raise RefusedError(f"{folder} has format {format_}, this code reads {FORMAT}. Use the code that wrote it.")
        try:
            services = {name: Archive(**archive) for name, archive in found.pop("services").items()}
            return cls(**found, services=services)
        except (LookupError, TypeError, AttributeError) as error:
            raise RefusedError(f"{folder / MANIFEST} is not whole: {error}.") from error

    def write(self, folder: Path) -> None:
        write_whole(folder / MANIFEST, json.dumps(asdict(self), indent=2) + "\n")


async def back_up(
    place: Place, folder: Path, *, services: Sequence[str], contents: Contents, on_progress: Progress
) -> Manifest:
    """`folder` holds the backup when this returns, and never a part of one under this name."""
    draft = _draft(folder)
    async with _snapshot(place.owner_url) as (connection, snapshot):
        server = connection.get_server_version().major
        clients = postgres_clients(server)
        dump = _Dump(clients, place.owner_url, snapshot, contents, on_progress)
        archives = {}
        for service in services:
            revision = await connection.fetchval(f"SELECT version_num FROM {service}.schema_version")
            tables = await rows_of(connection, service)
            file = draft / f"{service}.dump"
            await dump.write(service, file, len(tables))
            archives[service] = Archive(file.name, file.stat().st_size, digest(file), revision, tables)
    manifest = Manifest(
        format=FORMAT,
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        environment=place.environment,
        database=place.database,
        server=server,
        pg_dump=clients.version[0],
        contents=contents,
        services=archives,
    )
    manifest.write(draft)
    draft.rename(folder)
    return manifest


def _draft(folder: Path) -> Path:
    """Where the backup is made, beside where it shall be: what a killed one left there is written over."""
    if folder.exists():
        raise RefusedError(f"{folder} is there. Name a folder that is not there yet.")
    draft = folder.with_name(f"{folder.name}.part")
    draft.mkdir(parents=True, mode=0o700, exist_ok=True)
    return draft


async def rows_of(connection: asyncpg.Connection, schema: str) -> dict[str, int]:
    """How many rows every table of the schema has, by name."""
    names = await connection.fetch(
        """
        SELECT relname FROM pg_class
        WHERE relnamespace = to_regnamespace($1) AND relkind = 'r' ORDER BY relname
        """,
        schema,
    )
    return {name: await connection.fetchval(f'SELECT count(*) FROM {schema}."{name}"') for (name,) in names}


def digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def login_of(url: str) -> tuple[str, dict[str, str]]:
    """The URL without its password, for command lines, and the environment that has it."""
    parts = urlsplit(url)
    login, _, address = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    bare = urlunsplit(parts._replace(netloc=f"{user}@{address}" if user else address))
    return bare, child_environment(PGPASSWORD=unquote(password), PGCONNECT_TIMEOUT="10")


@asynccontextmanager
async def _snapshot(url: str) -> AsyncIterator[tuple[asyncpg.Connection, str]]:
    """A connection that holds one moment still, and the name under which pg_dump sees the same."""
    connection = await asyncpg.connect(url, server_settings={"application_name": "genonaut-backup", "jit": "off"})
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            yield connection, await connection.fetchval("SELECT pg_export_snapshot()")
    finally:
        await connection.close()


@dataclass(frozen=True)
class _Dump:
    clients: Installation
    owner_url: str
    snapshot: str
    contents: Contents
    on_progress: Progress

    async def write(self, service: str, file: Path, tables: int) -> None:
        url, environment = login_of(self.owner_url)
        only = [] if self.contents == "whole" else [f"--{self.contents}-only"]
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE), "wb") as out:
            await run_client(
                [
                    str(self.clients.programs / "pg_dump"),
                    *("--format=custom", f"--schema={service}", f"--snapshot={self.snapshot}", *only),
                    *("--verbose", "--no-password", f"--dbname={url}"),
                ],
                environment,
                stdout=out,
                counting="dumping contents of table",
                on_count=lambda done: self.on_progress(service, done, tables),
            )


async def run_client(
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    counting: str,
    on_count: Callable[[int], None],
    stdout: IO[bytes] | int = asyncio.subprocess.DEVNULL,
) -> None:
    """Runs pg_dump or pg_restore to its end, and counts the lines of what it says that have `counting` in them.

    Raises RefusedError with its errors. It does not outlive the one who waits for it.
    """
    process = await asyncio.create_subprocess_exec(
        *command, env=environment, stdout=stdout, stderr=asyncio.subprocess.PIPE
    )
    done, errors = 0, []
    on_count(done)
    try:
        assert process.stderr  # noqa: S101 - it is a pipe
        async for line in process.stderr:
            said = line.decode(errors="replace").rstrip()
            if counting in said:
                done += 1
                on_count(done)
            elif re.search(r"error:|detail:|hint:", said, re.IGNORECASE):
                errors.append(said)
        await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        name = Path(command[0]).name
        raise RefusedError("\n".join(errors) or f"{name} ended with exit code {process.returncode}.")
