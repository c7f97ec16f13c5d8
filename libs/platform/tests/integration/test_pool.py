"""Connections of the pool that the server has ended are not handed out, and a used-up pool is no lost database."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio
from sqlalchemy import text

from genonaut.platform.database import Database
from genonaut.stack.servers import Postgres
from genonaut.testkit.servers import fresh_database
from genonaut.testkit.waiting import eventually


@pytest_asyncio.fixture
async def database(postgres: Postgres) -> AsyncIterator[Database]:
    database = Database(fresh_database(postgres), name="test-pool", pool_size=3)
    yield database
    await database.close()


async def backends(database: Database) -> list[int]:
    """The server's processes of three connections at once, which then rest in the pool."""
    async with database.transaction() as one, database.transaction() as two, database.transaction() as three:
        return [int(await each.scalar(text("SELECT pg_backend_pid()")) or 0) for each in (one, two, three)]


async def test_connections_that_the_server_ended_are_replaced(database: Database, postgres: Postgres) -> None:
    before = await backends(database)
    admin = Database(postgres.url(), name="test-admin", pool_size=1)
    async with admin.transaction() as connection:
        await connection.execute(
            text("SELECT pg_terminate_backend(pid) FROM unnest(CAST(:pids AS int[])) AS pid"), {"pids": before}
        )

    async def gone() -> bool:
        async with admin.transaction() as connection:
            return not await connection.scalar(
                text("SELECT count(*) FROM pg_stat_activity WHERE pid = ANY(:pids)"), {"pids": before}
            )

    await eventually(gone)
    await admin.close()

    after = await backends(database)
    assert set(after).isdisjoint(before)
    assert set(await backends(database)) == set(after)


async def test_a_database_answers_though_all_of_the_pool_is_at_work(database: Database) -> None:
    async with AsyncExitStack() as at_work:
        for _ in range(6):
            await at_work.enter_async_context(database.transaction())

        async with asyncio.timeout(2):
            await asyncio.gather(*(database.ping() for _ in range(5)))


async def test_a_transaction_of_the_driver_that_failed_is_nobody_elses(database: Database) -> None:
    async def fail() -> None:
        async with database.driver() as connection:
            await connection.transaction().start()
            raise TimeoutError

    with pytest.raises(TimeoutError):
        await fail()

    async with database.reading() as snapshot:
        assert await snapshot.scalar(text("SELECT current_setting('transaction_isolation')")) == "repeatable read"
    async with database.transaction() as usual:
        assert await usual.scalar(text("SELECT current_setting('transaction_isolation')")) == "read committed"
