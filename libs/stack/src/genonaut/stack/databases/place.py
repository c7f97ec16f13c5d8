"""Where an environment's database is, and the bus beside it: named by the environment, or the local stack's own."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import asyncpg
from sqlalchemy.engine import make_url

from genonaut.platform.provisioning import SERVICES, Passwords, login
from genonaut.platform.trouble import ExpectedError
from genonaut.stack import given
from genonaut.stack.local import LocalStack, StackError, said_environment
from genonaut.stack.servers import Nats, Postgres
from genonaut.stack.servers.server import without_login
from genonaut.stack.site import LOGINS, Site
from genonaut.stack.stackfile import READY


class RefusedError(ExpectedError):
    """It cannot be done so; the message says why and what to do."""


@dataclass(frozen=True)
class Place:
    """One environment's database and bus, which answer."""

    environment: str
    database: str
    superuser_url: str
    """As who makes roles and databases. It may name any database."""
    nats_url: str
    """As who makes streams."""
    passwords: Passwords

    def url(self, role: str) -> str:
        """The environment's database, as one of its roles."""
        passwords = {
            "genonaut_admin": self.passwords.admin,
            "genonaut_rw": self.passwords.read_write,
            "genonaut_ro": self.passwords.read_only,
            **{login(service): self.passwords.services[service] for service in SERVICES},
        }
        url = make_url(self.inside_url).set(username=role, password=passwords[role])
        return url.render_as_string(hide_password=False)

    @property
    def owner_url(self) -> str:
        """The environment's database, as the owner of the schemas."""
        return self.url("genonaut_admin")

    @property
    def inside_url(self) -> str:
        """The environment's database, as who makes roles."""
        url = make_url(self.superuser_url).set(drivername="postgresql", database=self.database)
        return url.render_as_string(hide_password=False)

    @property
    def words(self) -> str:
        """For a person: which database where."""
        return f"{self.database} at {without_login(self.superuser_url).partition('//')[2].partition('/')[0]}"


@contextmanager
def open_place(environment: str, stack: LocalStack | None = None) -> Iterator[Place]:
    """The environment's place. What is the local stack's own and does not run runs until the end.

    Raises ChildError for a server that cannot be had.
    """
    if environment not in given.DATABASES:
        raise StackError(f"The environment is {environment!r}; it is one of {', '.join(given.DATABASES)}.")
    stack = stack or LocalStack()
    with _secrets_as_values(), ExitStack() as servers:
        seen = stack.read()
        site = Site.of(stack.root, stack.state, environment, last_ports=seen.get("ports", {}))
        running = stack.is_running()
        if running and seen.get("state") != READY:
            raise StackError(f"The stack is {seen.get('state')}. Wait until it is ready, or: make down")
        for server in (site.postgres, site.nats):
            if running and not server.given:
                _join(server, seen)
            else:
                servers.callback(server.stop)
                server.start()
        place = Place(
            environment=environment,
            database=site.database,
            superuser_url=os.environ.get("DATABASE_SUPERUSER_URL") or site.postgres.url(),
            nats_url=site.nats.url(),
            passwords=Passwords(
                admin=site.password("genonaut_admin"),
                read_write=site.password("genonaut_rw"),
                read_only=site.password("genonaut_ro"),
                services={service: site.password(login(service)) for service in SERVICES},
            ),
        )
        if site.postgres.given:
            asyncio.run(_require_passwords(place))
        yield place


async def require_quiet(connection: asyncpg.Connection, place: Place) -> None:
    """No service is at work on the place: it would write to what goes away. Raises RefusedError."""
    rows = await connection.fetch(
        """
        SELECT DISTINCT usename FROM pg_stat_activity
        WHERE datname = current_database() AND usename = ANY($1) ORDER BY 1
        """,
        [login(service) for service in SERVICES],
    )
    if rows:
        names = ", ".join(row["usename"] for row in rows)
        raise RefusedError(
            f"Services are at work on {place.words} ({names}). Stop them first: make down, where they run as processes."
        )


async def _require_passwords(place: Place) -> None:
    """Nobody on a server of others gets another password because ours was made up here. Raises RefusedError."""
    connection = await asyncpg.connect(place.superuser_url)
    try:
        there = {row["rolname"] for row in await connection.fetch("SELECT rolname FROM pg_roles")}
    finally:
        await connection.close()
    unknown = [
        given.password_variable(role)
        for role in LOGINS
        if role in there and not given.password(role) and not await _may_log_in(place.url(role))
    ]
    if unknown:
        raise RefusedError(
            f"The roles of {place.words} have passwords that are not known here. Set {', '.join(unknown)} "
            "(or, with _FILE behind the name, where each is); otherwise they would be changed under those who use them."
        )


async def _may_log_in(url: str) -> bool:
    """Whether the password is right; what there is to see afterwards is another question."""
    try:
        connection = await asyncpg.connect(url)
    except (asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError):
        return False
    except asyncpg.PostgresError:
        return True  # there is no such database yet, or none for this role
    await connection.close()
    return True


def _join(server: Postgres | Nats, seen: dict[str, dict[str, dict[str, object]]]) -> None:
    """Uses the one that the running stack started."""
    entry = seen["processes"][server.name]
    if entry["given"]:
        raise StackError(
            f"The stack runs with a {server.name} that was named to it. Name it to this command, too: "
            f"{server.variable} is not set."
        )
    server.port = int(str(entry["port"]))


@contextmanager
def _secrets_as_values() -> Iterator[None]:
    """Inside, what `<name>_FILE` says is in the environment under its name."""
    before, said = dict(os.environ), said_environment()
    os.environ.clear()
    os.environ.update(said)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
