"""Postgres: one engine a process, short transactions, and a retry for conflicts, which are expected."""

import asyncio
import random
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar, cast
from weakref import WeakKeyDictionary

import asyncpg
from sqlalchemy import event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from genonaut.platform.trouble import ConcurrencyConflictError, is_conflict

T = TypeVar("T")

ANSWER_SECONDS = 5.0
"""How much longer than its statement timeout the server may take to answer before it counts as gone."""
CLOSE_SECONDS = 5.0
IDLE_SECONDS = 60.0
"""After how long an unused connection of the pool is ended."""
TRIES = 8
"""Of a transaction that meets conflicts."""


class DatabaseUnavailableError(ConnectionError):
    """There is no connection to be had."""


class Database:
    """A pool of connections, all of them direct: a pooler in between would break LISTEN and session locks.

    `transaction` for one try, `transact` when conflicts shall be retried, `reading` to look.
    """

    def __init__(
        self,
        url: str,
        *,
        name: str,
        pool_size: int = 5,
        search_path: str | None = None,
        statement_timeout_ms: int | None = None,
    ) -> None:
        """Without a `statement_timeout_ms` the role's own holds, and the client waits for ever."""
        self.url = make_url(url).set(drivername="postgresql+asyncpg")
        # The server notices a client that is gone within half a minute; its locks go with it.
        keepalives = {"tcp_keepalives_idle": "10", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "4"}
        self._server_settings = {"application_name": name, "jit": "off", **keepalives}
        if search_path:
            self._server_settings["search_path"] = search_path
        self._command_timeout: float | None = None
        if statement_timeout_ms is not None:
            self._server_settings["statement_timeout"] = str(statement_timeout_ms)
            self._command_timeout = statement_timeout_ms / 1000 + ANSWER_SECONDS
        self.engine = self._engine(pool_size, at_peaks=pool_size)
        # Of its own, because a process whose connections are all at work is busy, and not unready.
        self._ping_engine = self._engine(1, at_peaks=0)

    def _engine(self, pool_size: int, *, at_peaks: int) -> AsyncEngine:
        """Nothing connects before the first use. `at_peaks` is how many connections may come on top."""
        engine = create_async_engine(
            self.url,
            pool_size=pool_size,
            max_overflow=at_peaks,
            pool_timeout=10,
            # The same few connections are used again and again; the server ends those that a peak has left behind, each
            # of which is some megabytes there.
            pool_use_lifo=True,
            hide_parameters=True,
            connect_args=self._connect_args
            | {"server_settings": {**self._server_settings, "idle_session_timeout": f"{IDLE_SECONDS:.0f}s"}},
        )
        # Instead of the pool's own ping, which is a transaction of three round trips before each of ours: a server that
        # ends a connection says so, and a connection that is lost in silence would not answer a ping either.
        event.listen(engine.sync_engine, "checkout", _refuse_closed)
        return engine

    @property
    def _connect_args(self) -> dict[str, Any]:
        return {
            "server_settings": self._server_settings,
            "timeout": 10,
            "command_timeout": self._command_timeout,
        }

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        ended: Sequence[asyncio.Task[None]] = ()
        async with self._connected() as connection:
            try:
                async with connection.begin():
                    yield connection
                for call in _after_commit.pop(connection, ()):
                    call()
            finally:
                ended = [call() for call in _afterwards.pop(connection, ())]
        if ended:
            await asyncio.wait(ended)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """One snapshot for all the statements inside, and no writes."""
        async with self._connected() as connection:
            await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            async with connection.begin():
                yield connection

    @asynccontextmanager
    async def _connected(self, engine: AsyncEngine | None = None) -> AsyncIterator[AsyncConnection]:
        try:
            connection = await (engine or self.engine).connect()
        except (TimeoutError, OSError) as error:
            raise DatabaseUnavailableError(f"no connection to the database: {type(error).__name__}") from error
        try:
            yield connection
        finally:
            await connection.close()

    @asynccontextmanager
    async def driver(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection of the pool as the driver's own, in no transaction: for what is asked often, or moves much."""
        async with self._connected() as connection:
            raw = await connection.get_raw_connection()
            try:
                yield cast("asyncpg.Connection", raw.driver_connection)
            except BaseException:
                # A BEGIN that was cancelled, or not answered in time, leaves the driver in a transaction of which the
                # pool knows nothing: whoever came next would fail, again and again.
                await connection.invalidate()
                raise

    async def transact(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """What `work` returns, committed.

        `work` runs again, on new state, after a conflict; the last one is raised.
        """
        for attempt in range(1, TRIES + 1):
            try:
                async with self.transaction() as connection:
                    return await work(connection)
            except (ConcurrencyConflictError, DBAPIError) as error:
                if attempt == TRIES or not is_conflict(error):
                    raise
                await asyncio.sleep(random.uniform(0, 0.005 * 2**attempt))  # noqa: S311 - jitter
        raise AssertionError("unreachable")

    async def connect_raw(self) -> asyncpg.Connection:
        """A connection outside the pool, for LISTEN, session locks and COPY. The caller closes it."""
        return await asyncpg.connect(
            self.url.set(drivername="postgresql").render_as_string(hide_password=False),
            **self._connect_args,
        )

    async def ping(self) -> None:
        """Raises when the database does not answer. Waits for nobody who uses the pool."""
        async with self._connected(self._ping_engine) as connection:
            await connection.execute(text("SELECT 1"))

    async def close(self) -> None:
        """Says goodbye to the server, but does not wait for a farewell that never comes."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await asyncio.gather(self.engine.dispose(), self._ping_engine.dispose())


async def driver_of(connection: AsyncConnection) -> asyncpg.Connection:
    """The driver's connection, in the transaction that `connection` has begun with its first statement.

    For what is asked often, or moves much. Raises RuntimeError when there was no statement yet.
    """
    raw = cast("asyncpg.Connection", (await connection.get_raw_connection()).driver_connection)
    if not raw.is_in_transaction():
        raise RuntimeError("no statement was run on this connection yet, so it is in no transaction")
    return raw


def lock_key(purpose: str) -> int:
    """The key of the advisory lock for this purpose, the same in every version: old and new processes meet in it."""
    return zlib.crc32(f"genonaut {purpose}".encode())


_afterwards: "WeakKeyDictionary[AsyncConnection, list[Callable[[], asyncio.Task[None]]]]" = WeakKeyDictionary()


def afterwards(connection: AsyncConnection, call: Callable[[], "asyncio.Task[None]"]) -> None:
    """Has it called when the `transaction` that gave the connection has ended, well or not.

    The task that it gives is waited for when it has ended well.
    """
    _afterwards.setdefault(connection, []).append(call)


_after_commit: WeakKeyDictionary[AsyncConnection, list[Callable[[], None]]] = WeakKeyDictionary()


def after_commit(connection: AsyncConnection, call: Callable[[], None]) -> None:
    """Has it called when the `transaction` that gave the connection is committed, and never if it is not."""
    _after_commit.setdefault(connection, []).append(call)


def _refuse_closed(_: object, entry: ConnectionPoolEntry, __: object) -> None:
    """Raises DisconnectionError for what the server has ended, whereupon the pool opens another one."""
    if entry.driver_connection is None or entry.driver_connection.is_closed():
        raise DisconnectionError("the server has ended the connection")
