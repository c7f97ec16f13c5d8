"""`genonaut provision`: roles, schemas, streams and durables, made or brought up to date."""

import asyncio
from typing import Annotated

import typer

from genonaut.platform.provisioning import Passwords, ProvisioningError, provision_bus, provision_database


def provision(
    superuser_url: Annotated[
        str,
        typer.Option(envvar="DATABASE_SUPERUSER_URL", help="Postgres, as a role that makes roles and databases."),
    ] = "",
    database: Annotated[str, typer.Option(envvar="DB_NAME", help="The database to make.")] = "genonaut",
    nats_url: Annotated[str, typer.Option(envvar="NATS_URL", help="NATS with JetStream.")] = "",
) -> None:
    """Make Postgres and NATS ready for the services. Repeat it as often as you like.

    Passwords come from DB_PASSWORD_ADMIN, DB_PASSWORD_RW, DB_PASSWORD_RO and DB_PASSWORD_CONTENT, …_GENERATION,
    …_ANALYTICS, …_NOTIFICATIONS. Leave out one of the two URLs to provision only the other server.
    """
    if not superuser_url and not nats_url:
        raise ProvisioningError("Say what to provision: DATABASE_SUPERUSER_URL, NATS_URL or both.")
    if superuser_url:
        asyncio.run(provision_database(superuser_url, database=database, passwords=Passwords.from_environment()))
    if nats_url:
        asyncio.run(provision_bus(nats_url))
