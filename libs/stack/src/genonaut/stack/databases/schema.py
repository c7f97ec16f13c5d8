"""The schema as SQL that is the same from every version of Postgres, to be read, and compared between commits."""

import asyncio
import re
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from uuid import uuid4

import asyncpg

from genonaut.platform.provisioning import SERVICES, provision_database
from genonaut.stack.databases.backup import login_of
from genonaut.stack.databases.place import Place, RefusedError
from genonaut.stack.prepare import migrate_all
from genonaut.stack.servers.installations import postgres_clients

HEAD = """\
-- The schemas of all services as the migrations make them. Written by `make dump-schema`, compared by a test.
-- Everything belongs to genonaut_admin; who may do what with it is in provisioning.py.

"""


async def of_migrations(place: Place) -> str:
    """What the migrations of this code make, in a database that is there for that only."""
    async with _scratch(place) as scratch:
        await migrate_all(scratch.owner_url)
        return await asyncio.to_thread(dump, scratch.owner_url)


def dump(owner_url: str) -> str:
    """The schemas that are in the database. Raises RefusedError."""
    url, environment = login_of(owner_url)
    major = asyncio.run(_major(owner_url))
    written = subprocess.run(  # noqa: S603 - a program of Postgres
        [
            postgres_clients(major).programs / "pg_dump",
            *("--schema-only", "--no-owner", "--no-privileges", "--no-password", f"--dbname={url}"),
            *(f"--schema={service}" for service in SERVICES),
        ],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if written.returncode:
        raise RefusedError(written.stderr.strip())
    return HEAD + _plain(written.stdout)


def _plain(sql: str) -> str:
    """Without what differs from version to version: comments, settings, the names of NOT NULL constraints."""
    comments = ("--", "SET ", "SELECT pg_catalog.set_config", "\\")
    lines = [line for line in sql.splitlines() if not line.startswith(comments)]
    text = re.sub(r" CONSTRAINT \w+_not_null NOT NULL", " NOT NULL", "\n".join(lines))
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


@asynccontextmanager
async def _scratch(place: Place) -> AsyncIterator[Place]:
    scratch = replace(place, database=f"genonaut_scratch_{uuid4().hex[:12]}")
    await provision_database(scratch.superuser_url, database=scratch.database, passwords=scratch.passwords)
    try:
        yield scratch
    finally:
        connection = await asyncpg.connect(place.superuser_url)
        try:
            await connection.execute(f'DROP DATABASE "{scratch.database}" WITH (FORCE)')
        finally:
            await connection.close()


async def _major(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        major: int = connection.get_server_version().major
        return major
    finally:
        await connection.close()
