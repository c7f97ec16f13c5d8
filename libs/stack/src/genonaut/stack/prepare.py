"""Makes the servers of a stack ready for the services, in one process: roles, schemas, streams, durables, tables.

Run by the supervisor as `python -m genonaut.stack.prepare` with DATABASE_SUPERUSER_URL, DB_NAME, NATS_URL and all
DB_PASSWORD_*. It changes only what differs.
"""

import asyncio
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.engine import make_url

from genonaut.platform.migrations import current_revision, migrate, newest_revision
from genonaut.platform.provisioning import Passwords, ProvisioningError, provision_bus, provision_database
from genonaut.stack.processes import DATABASE_SERVICES


@dataclass(frozen=True)
class Prepared:
    """What was made; everything else was there."""

    database: Sequence[str]
    bus: Sequence[str]
    revisions: dict[str, tuple[str | None, str]]
    """By service: where its schema was, and where it is."""


async def prepare(*, superuser_url: str, database: str, passwords: Passwords, nats_url: str) -> Prepared:
    """The servers look as this version of the code expects. Raises ProvisioningError when they cannot."""
    made, streams = await asyncio.gather(
        provision_database(superuser_url, database=database, passwords=passwords), provision_bus(nats_url)
    )
    owner = make_url(superuser_url).set(username="genonaut_admin", password=passwords.admin, database=database)
    return Prepared(made, streams, await migrate_all(owner.render_as_string(hide_password=False)))


async def migrate_all(owner_url: str) -> dict[str, tuple[str | None, str]]:
    """Every service's schema is at its newest revision. By service: where it was, and where it is."""
    revisions = {}
    for service in DATABASE_SERVICES:
        before = await current_revision(service, admin_url=owner_url)
        await migrate(service, admin_url=owner_url)
        revisions[service] = (before, newest_revision(service))
    return revisions


def main() -> None:
    """Exit code 1 and one clear line when a server is unfit."""
    started = time.monotonic()
    try:
        asyncio.run(
            prepare(
                superuser_url=os.environ["DATABASE_SUPERUSER_URL"],
                database=os.environ["DB_NAME"],
                passwords=Passwords.from_environment(),
                nats_url=os.environ["NATS_URL"],
            )
        )
    except ProvisioningError as error:
        sys.exit(str(error))
    sys.stdout.write(f"prepared in {time.monotonic() - started:.1f} s\n")


if __name__ == "__main__":
    main()
