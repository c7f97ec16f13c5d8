"""Postgres: one engine a process, short transactions, and a retry for conflicts, which are expected."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import asyncpg
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

T = TypeVar("T")

RETRIED_SQLSTATES = {"40001", "40P01"}
"""Serialization failure and deadlock: the transaction was fine, its moment was not."""


class ConcurrencyConflictError(Exception):
    """Somebody else appended to the same aggregate first. Decide again on the new state."""


class Database:
    """A pool of connections.

    `transaction` for one try, `transact` when conflicts shall be retried, `reading` to look.
    """

    def __init__(self, url: str, *, name: str, pool_size: int = 5, search_path: str | None = None) -> None:
        self.url = make_url(url).set(drivername="postgresql+asyncpg")
        self._server_settings = {"application_name": name, "jit": "off"}
        if search_path:
            self._server_settings["search_path"] = search_path
        self.engine: AsyncEngine = create_async_engine(
            self.url,
            pool_size=pool_size,
            max_overflow=pool_size,
            pool_timeout=10,
            pool_pre_ping=True,
            hide_parameters=True,
            connect_args={"server_settings": self._server_settings, "timeout": 10},
        )

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        async with self.engine.begin() as connection:
            yield connection

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """One snapshot for all the statements inside, and no writes."""
        async with self.engine.connect() as connection:
            await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            async with connection.begin():
                yield connection

    async def transact(self, work: Callable[[AsyncConnection], Awaitable[T]], *, tries: int = 8) -> T:
        """What `work` returns, committed.

        `work` runs again, on new state, after a conflict; the last one is raised.
        """
        for attempt in range(1, tries + 1):
            try:
                async with self.transaction() as connection:
                    return await work(connection)
            except (ConcurrencyConflictError, DBAPIError) as error:
                if attempt == tries or not _is_conflict(error):
                    raise
                await asyncio.sleep(random.uniform(0, 0.005 * 2**attempt))  # noqa: S311 - jitter
        raise AssertionError("unreachable")

    async def connect_raw(self) -> asyncpg.Connection:
        """A connection outside the pool, for LISTEN, session locks and COPY. The caller closes it."""
        return await asyncpg.connect(
            self.url.set(drivername="postgresql").render_as_string(hide_password=False),
            server_settings=self._server_settings,
            timeout=10,
        )

    async def ping(self) -> None:
        async with self.engine.connect() as connection:
            await connection.execute(text("SELECT 1"))

    async def close(self) -> None:
        await self.engine.dispose()


def _is_conflict(error: Exception) -> bool:
    if isinstance(error, DBAPIError):
        return getattr(error.orig, "sqlstate", None) in RETRIED_SQLSTATES
    return isinstance(error, ConcurrencyConflictError)


def is_outage(error: BaseException) -> bool:
    """True when the trouble is the database, not what was asked of it: worth waiting for, never poison."""
    if isinstance(error, DBAPIError):
        sqlstate = getattr(error.orig, "sqlstate", None) or ""
        # 08 connection, 53 out of resources, 57P shutting down or starting up; 57014 is the statement timeout
        return (
            error.connection_invalidated
            or sqlstate[:2] in {"08", "53"}
            or sqlstate.startswith("57P")
            or (isinstance(error, InterfaceError | OperationalError) and not sqlstate)
        )
    return isinstance(error, PoolTimeoutError | ConnectionError | OSError | asyncpg.InterfaceError) or (
        isinstance(error, asyncpg.PostgresError) and (error.sqlstate or "")[:3] in {"57P", "080", "530"}
    )
