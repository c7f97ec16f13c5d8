"""Given these events, then these rows: a projection by itself, on the real tables of its service."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Table, select
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.contracts import Envelope, Event
from genonaut.platform.database import Database
from genonaut.platform.projections import Projection, Recorded
from genonaut.platform.provisioning import login
from genonaut.stack.servers import Postgres
from genonaut.testkit.envelopes import enveloped
from genonaut.testkit.platforms import PASSWORD
from genonaut.testkit.servers import fresh_database

HOUR = datetime(2026, 1, 2, 3, tzinfo=UTC)


def minute(number: int) -> datetime:
    """The time of event `number`."""
    return HOUR + timedelta(minutes=number)


def at(number: int, event: Event, *, subject: object = "subject") -> Recorded:
    """The event as a log or the bus gives it. The number gives the id, the time and the sequence."""
    envelope = enveloped(event, subject, id=UUID(int=number), time=minute(number), sequence=number)
    return Recorded.of(Envelope.from_json(envelope.to_json()))


@dataclass(frozen=True)
class Tables:
    """The tables of one service, empty but for what a test puts there: its transaction is never committed."""

    connection: AsyncConnection

    async def given(self, projection: Projection, *recorded: Recorded) -> None:
        """In a transaction of their own, as far as it can be seen: a refusal raises and leaves nothing behind."""
        async with self.connection.begin_nested():
            await projection.apply(self.connection, recorded)

    async def rows(self, table: Table) -> list[dict[str, Any]]:
        """All of them with all their columns, in the order of the key."""
        found = await self.connection.execute(select(table).order_by(*table.primary_key))
        return [dict(row) for row in found.mappings()]


TablesOf = Callable[[str], AbstractAsyncContextManager[Tables]]


@pytest.fixture(scope="session")
def tables_of(postgres: Postgres, migrated_template: str) -> TablesOf:
    """The tables of a service by its name, as its own login sees them. One database serves all tests."""
    superuser = make_url(fresh_database(postgres, template=migrated_template))

    @asynccontextmanager
    async def tables_of(service: str) -> AsyncIterator[Tables]:
        url = superuser.set(username=login(service), password=PASSWORD).render_as_string(hide_password=False)
        database = Database(url, name="test", search_path=service, pool_size=1)
        try:
            async with database.engine.connect() as connection:
                yield Tables(connection)
        finally:
            await database.close()

    return tables_of
