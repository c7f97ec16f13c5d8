"""`genonaut provision`: roles, schemas, streams and durables, made or brought up to date."""

import asyncio
from typing import Annotated

import typer

from genonaut.platform.provisioning import (
    Passwords,
    ProvisioningError,
    provision_bus,
    provision_database,
    reload_bus,
)
from genonaut.platform.settings import secret


def provision(
    superuser_url: Annotated[
        str,
        typer.Option(help="Postgres, as a role that makes roles and databases. [env var: DATABASE_SUPERUSER_URL]"),
    ] = "",
    database: Annotated[str, typer.Option(envvar="DB_NAME", help="The database to make.")] = "genonaut",
    nats_url: Annotated[str, typer.Option(help="NATS with JetStream. [env var: NATS_URL]")] = "",
) -> None:
    """Make Postgres and NATS ready for the services. Repeat it as often as you like.

    Passwords come from DB_PASSWORD_ADMIN, DB_PASSWORD_RW, DB_PASSWORD_RO and DB_PASSWORD_CONTENT, …_GENERATION,
    …_ANALYTICS, …_NOTIFICATIONS. Each variable can, with _FILE behind its name, say in which file its value is.
    Leave out one of the two URLs to provision only the other server. NATS_SYSTEM_URL, a user of the system account,
    makes NATS read its users again first, for rights that have changed.
    """
    superuser_url = superuser_url or secret("DATABASE_SUPERUSER_URL")
    nats_url = nats_url or secret("NATS_URL")
    if not superuser_url and not nats_url:
        raise ProvisioningError("Say what to provision: DATABASE_SUPERUSER_URL, NATS_URL or both.")
    made = []
    if superuser_url:
        made += asyncio.run(
            provision_database(superuser_url, database=database, passwords=Passwords.from_environment())
        )
    if system_url := secret("NATS_SYSTEM_URL"):
        asyncio.run(reload_bus(system_url))
    if nats_url:
        made += asyncio.run(provision_bus(nats_url))
    typer.echo("\n".join(f"made {each}" for each in made) or "Everything was there.")
