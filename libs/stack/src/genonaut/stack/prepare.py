"""Makes the servers of a stack ready for the services, in one process: roles, schemas, streams, durables, tables.

Run by the supervisor as `python -m genonaut.stack.prepare` with DATABASE_SUPERUSER_URL, NATS_URL, APP_ENV and
GENONAUT_STATE. It changes only what differs.
"""

import asyncio
import os
import sys
import time
from pathlib import Path

from genonaut.platform.migrations import migrate
from genonaut.platform.provisioning import Passwords, ProvisioningError, provision_bus, provision_database
from genonaut.stack.credentials import Credentials
from genonaut.stack.processes import DATABASE_SERVICES
from genonaut.stack.servers import Postgres
from genonaut.stack.site import DATABASES


async def prepare(state: Path, *, environment: str, superuser_url: str, nats_url: str) -> None:
    """The servers look as this version of the code expects. Raises ProvisioningError when they cannot."""
    credentials = Credentials(state)
    passwords = Passwords(
        admin=credentials.of("genonaut_admin"),
        read_write=credentials.of("genonaut_rw"),
        read_only=credentials.of("genonaut_ro"),
        services={name: credentials.of(f"genonaut_{name}") for name in DATABASE_SERVICES},
    )
    database = DATABASES[environment]
    await asyncio.gather(
        provision_database(superuser_url, database=database, passwords=passwords), provision_bus(nats_url)
    )
    admin_url = Postgres(state, given=superuser_url).url(
        user="genonaut_admin", password=passwords.admin, database=database
    )
    for service in DATABASE_SERVICES:
        await migrate(service, admin_url=admin_url)


def main() -> None:
    """Exit code 1 and one clear line when a server is unfit."""
    started = time.monotonic()
    try:
        asyncio.run(
            prepare(
                Path(os.environ["GENONAUT_STATE"]),
                environment=os.environ["APP_ENV"],
                superuser_url=os.environ["DATABASE_SUPERUSER_URL"],
                nats_url=os.environ["NATS_URL"],
            )
        )
    except ProvisioningError as error:
        sys.exit(str(error))
    sys.stdout.write(f"prepared in {time.monotonic() - started:.1f} s\n")


if __name__ == "__main__":
    main()
