"""Provisioning: makes Postgres and JetStream look like what the services expect.

Run it as an administrator, as often as you like; it changes only what differs. Services themselves create nothing.

Postgres: the database, the roles `genonaut_admin` (owns and migrates), `genonaut_rw`, `genonaut_ro`, and for each
service a schema and a login whose grants end there; to the log in it a service can only append. JetStream: the streams
and durables of `genonaut.contracts.streams`.
"""

import asyncio
from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any, Self

import asyncpg
import orjson
import structlog
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    DiscardPolicy,
    PersistMode,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from nats.js.errors import NotFoundError, ServerError
from sqlalchemy.engine import URL, make_url

from genonaut.contracts.streams import DURABLES, STREAMS, Durable, Stream
from genonaut.platform.bus import REQUIRED_API_LEVEL, Bus
from genonaut.platform.settings import secret
from genonaut.platform.trouble import ExpectedError

log = structlog.get_logger()

CREATE_TRIES = 5
REQUIRED_PAYLOAD = 1024 * 1024
"""Bytes of one message. See `events.MAX_EVENT_BYTES`."""

SERVICES = ("content", "generation", "analytics", "notifications")
"""Those with a database of their own. The gateway keeps nothing."""

KEPT = {"events": "UPDATE, DELETE", "schema_version": "INSERT, UPDATE, DELETE"}
"""By table of a service: what is the owner's alone. The log is the truth, and the revision is what migrations go by."""

UNSEEN = ("credentials",)
"""Tables that are their service's alone: who may look at all others, or work on them, has no need of hashes."""


class ProvisioningError(ExpectedError):
    """A server is unfit; the message says which and what to do."""


@dataclass(frozen=True)
class Passwords:
    admin: str
    read_write: str
    read_only: str
    services: Mapping[str, str]

    @classmethod
    def from_environment(cls) -> Self:
        """From DB_PASSWORD_*, or the files that DB_PASSWORD_*_FILE name.

        Raises ProvisioningError that names every one that is missing; there are no defaults.
        """
        names = ["ADMIN", "RW", "RO", *(service.upper() for service in SERVICES)]
        found = {name: secret(f"DB_PASSWORD_{name}") for name in names}
        missing = [f"DB_PASSWORD_{name}" for name, value in found.items() if not value]
        if missing:
            raise ProvisioningError(f"Set {', '.join(missing)}.")
        services = {service: found[service.upper()] for service in SERVICES}
        return cls(found["ADMIN"], found["RW"], found["RO"], services)


async def provision_database(superuser_url: str, *, database: str, passwords: Passwords) -> list[str]:
    """Gives what it made that was not there. `superuser_url` may create roles and databases.

    Raises ProvisioningError below Postgres 15, and for a role that may not, or that is one of those to make.
    """
    server = make_url(superuser_url).set(drivername="postgresql")
    made = []
    logins = {"genonaut_admin": passwords.admin, "genonaut_rw": passwords.read_write}
    logins |= {"genonaut_ro": passwords.read_only}
    logins |= {login(service): passwords.services[service] for service in SERVICES}
    connection = await asyncpg.connect(_dsn(server))
    try:
        await _require_power(connection, logins)
        if connection.get_server_version().major < 15:  # noqa: PLR2004 - the floor
            raise ProvisioningError(f"Genonaut needs Postgres 15 or newer, this is {connection.get_server_version()}")
        # Roles belong to the whole server, and two clones may provision at once.
        await connection.execute("SELECT pg_advisory_lock(hashtext('genonaut provisioning'))")
        for role, password in logins.items():
            made += await _ensure_role(connection, role, password)
        if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", database):
            made.append(f"database {database}")
            await connection.execute(f'CREATE DATABASE "{database}" OWNER genonaut_admin TEMPLATE template0')
        await connection.execute(f'REVOKE ALL ON DATABASE "{database}" FROM PUBLIC')
        for role in logins:
            await connection.execute(f'GRANT CONNECT ON DATABASE "{database}" TO {role}')
    finally:
        await connection.close()

    connection = await asyncpg.connect(_dsn(server.set(database=database)))
    try:
        await connection.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
        for service in SERVICES:
            made += await _ensure_schema(connection, service)
    finally:
        await connection.close()
    return made


async def _require_power(connection: asyncpg.Connection, own: Container[str]) -> None:
    """The one who provisions makes roles, and is none of them: it would take rights from itself on the way."""
    row = await connection.fetchrow(
        "SELECT rolname, rolsuper OR (rolcreaterole AND rolcreatedb) AS may FROM pg_roles WHERE rolname = current_user"
    )
    if row["rolname"] in own or not row["may"]:
        raise ProvisioningError(
            f"Postgres is named as {row['rolname']}, but making roles and databases takes a superuser or a role with "
            "CREATEROLE and CREATEDB that is none of Genonaut's own, such as postgres. What is made already can be "
            "migrated by genonaut_admin: DATABASE_ADMIN_URL and genonaut <service> migrate."
        )


def login(service: str) -> str:
    """The database role a service connects as."""
    return f"genonaut_{service}"


async def _ensure_role(connection: asyncpg.Connection, role: str, password: str) -> list[str]:
    is_there = await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role)
    verb = "ALTER" if is_there else "CREATE"
    secret = await connection.fetchval("SELECT quote_literal($1::text)", password)
    await connection.execute(
        f"{verb} ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD {secret}"
    )
    if role != "genonaut_admin":  # a migration may take its time
        await connection.execute(f"ALTER ROLE {role} SET statement_timeout = '15s'")
        await connection.execute(f"ALTER ROLE {role} SET idle_in_transaction_session_timeout = '60s'")
    return [] if is_there else [f"role {role}"]


async def _ensure_schema(connection: asyncpg.Connection, service: str) -> list[str]:
    role = login(service)
    is_there = await connection.fetchval("SELECT to_regnamespace($1)", service)
    await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {service} AUTHORIZATION genonaut_admin")
    await connection.execute(f"ALTER ROLE {role} SET search_path = {service}")
    await connection.execute(f"GRANT USAGE ON SCHEMA {service} TO {role}, genonaut_rw, genonaut_ro")
    writers = f"{role}, genonaut_rw"
    # In one transaction, so that what is kept from a running service is not its own for a moment either.
    async with connection.transaction():
        for what, rights, roles in (
            ("TABLES", "SELECT, INSERT, UPDATE, DELETE", writers),
            ("TABLES", "SELECT", "genonaut_ro"),
            ("SEQUENCES", "USAGE, SELECT", writers),
        ):
            await connection.execute(f"GRANT {rights} ON ALL {what} IN SCHEMA {service} TO {roles}")
            await connection.execute(
                f"ALTER DEFAULT PRIVILEGES FOR ROLE genonaut_admin IN SCHEMA {service} "
                f"GRANT {rights} ON {what} TO {roles}"
            )
        for table, rights in KEPT.items():
            # Those that do not exist yet get the default privileges when they are made, and lose these by a migration.
            if await connection.fetchval("SELECT to_regclass($1)", f"{service}.{table}"):
                await connection.execute(f"REVOKE {rights} ON {service}.{table} FROM {writers}")
        for table in UNSEEN:
            if await connection.fetchval("SELECT to_regclass($1)", f"{service}.{table}"):
                await connection.execute(f"REVOKE ALL ON {service}.{table} FROM genonaut_rw, genonaut_ro")
    return [] if is_there else [f"schema {service}"]


def _dsn(url: URL) -> str:
    return url.render_as_string(hide_password=False)


async def provision_bus(url: str) -> list[str]:
    """Streams and durables as data say; gives those that it made.

    Raises ProvisioningError when the server is too old or JetStream is off.
    """
    made = []
    bus = await Bus.connect(url, name="genonaut-provisioning")
    try:
        await _require_fitness(bus)
        for stream in STREAMS:
            made += await _ensure_stream(bus.jetstream, stream)
        known = {info.name for stream in STREAMS for info in await bus.jetstream.consumers_info(stream.name)}
        for durable in DURABLES:
            await ensure_durable(bus.jetstream, durable)
            made += [] if durable.name in known else [f"durable {durable.name}"]
    finally:
        await bus.close()
    return made


async def reload_bus(system_url: str) -> None:
    """The server reads its users and their rights again, as an upgrade may have changed them.

    `system_url` is of a user of the system account. Raises ProvisioningError when the server does not take them.
    """
    bus = await Bus.connect(system_url, name="genonaut-provisioning")
    try:
        server = orjson.loads((await bus.client.request("$SYS.REQ.SERVER.PING", b"", timeout=5)).data)["server"]
        subject = f"$SYS.REQ.SERVER.{server['id']}.RELOAD"
        answer = orjson.loads((await bus.client.request(subject, b"", timeout=5)).data)
    finally:
        await bus.close()
    if error := answer.get("error"):
        raise ProvisioningError(f"NATS does not take its new configuration: {error.get('description')}")


async def _require_fitness(bus: Bus) -> None:
    info: dict[str, Any] = orjson.loads((await bus.client.request("$JS.API.INFO", b"", timeout=5)).data)
    # An older server accepts settings it does not know, such as allow_atomic, and ignores them.
    level = info.get("api", {}).get("level", 0)
    if "error" in info or level < REQUIRED_API_LEVEL:
        raise ProvisioningError(
            f"Genonaut needs nats-server 2.14 or newer with JetStream; this one has API level {level} "
            f"({bus.client.connected_server_version})"
        )
    if bus.client.max_payload < REQUIRED_PAYLOAD:
        raise ProvisioningError(
            f"Genonaut's events can have {REQUIRED_PAYLOAD} bytes, this nats-server takes {bus.client.max_payload}: "
            "set its max_payload to 1MB or more"
        )


def stream_config(stream: Stream) -> StreamConfig:
    """What the server is asked for."""
    return StreamConfig(
        name=stream.name,
        subjects=[f"{stream.prefix}.>"],
        retention=RetentionPolicy.WORK_QUEUE if stream.work_queue else RetentionPolicy.LIMITS,
        # Not in memory, from where a restart of the server would take the stream away, settings and all.
        storage=StorageType.FILE,
        persist_mode=PersistMode.ASYNC if stream.latest_only else None,
        discard=DiscardPolicy.OLD if stream.latest_only or stream.discard_old else DiscardPolicy.NEW,
        max_msgs_per_subject=1 if stream.latest_only else -1,
        max_bytes=stream.max_bytes,
        max_age=stream.max_age.total_seconds(),
        duplicate_window=stream.duplicate_window.total_seconds(),
        deny_delete=True,
        allow_atomic=not stream.latest_only,
        allow_direct=True,
    )


def durable_config(durable: Durable) -> ConsumerConfig:
    """What the server is asked for. It never gives up on a message: how often to try is the consumer's decision."""
    return ConsumerConfig(
        durable_name=durable.name,
        filter_subjects=durable.filter_subjects(),
        deliver_policy=DeliverPolicy.ALL,
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=durable.ack_wait.total_seconds(),
        max_deliver=-1,
        max_ack_pending=durable.max_ack_pending,
    )


async def _ensure_stream(jetstream: JetStreamContext, stream: Stream) -> list[str]:
    config = stream_config(stream)
    found = await _config_of(jetstream, stream.name)
    if (
        found and stream.latest_only and found.storage != config.storage
    ):  # which cannot be changed, and is worth nothing
        await jetstream.delete_stream(stream.name)
        found = None
    if found:
        await jetstream.update_stream(config)
        return []
    await _create(jetstream, config)
    return [f"stream {stream.name}"]


async def _config_of(jetstream: JetStreamContext, stream: str) -> StreamConfig | None:
    try:
        return (await jetstream.stream_info(stream)).config
    except NotFoundError:
        return None


async def _create(jetstream: JetStreamContext, config: StreamConfig) -> None:
    """A stream of that name that was deleted a moment ago may still be in the way."""
    for _ in range(CREATE_TRIES):
        try:
            await jetstream.add_stream(config)
        except ServerError as error:
            log.warning("provisioning.stream_not_created", stream=config.name, error=str(error))
            await asyncio.sleep(0.2)
        else:
            return
    await jetstream.add_stream(config)


async def ensure_durable(jetstream: JetStreamContext, durable: Durable) -> None:
    """Makes the durable, or updates it in place; it keeps its position."""
    await jetstream.add_consumer(durable.stream.name, durable_config(durable))
