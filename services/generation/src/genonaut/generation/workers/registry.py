"""Which ComfyUI servers take jobs, as their drivers last told. Times are the database's."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import structlog
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.platform.service import Runtime
from genonaut.platform.serving import end, watched

if TYPE_CHECKING:  # who only asks need not load a ComfyUI client
    from genonaut.generation.workers.servers import Server

log = structlog.get_logger()

TELL_SECONDS = 5.0
LOOK_SECONDS = 0.25
"""A change is told this soon."""
FORGET_SECONDS = 20.0
"""What no driver has told of for so long counts for nothing."""


@asynccontextmanager
async def telling(runtime: Runtime[Any], servers: "Sequence[Server]") -> AsyncIterator[None]:
    """Inside, it is told which of these servers are fit, every few seconds and when that changes."""
    driver = uuid4()
    task = watched(_keep_telling(runtime, driver, servers), "registry of servers")
    try:
        yield
    finally:
        await end([task])
        await _told(runtime, text(_FORGET), [{"driver": driver}])


async def _keep_telling(runtime: Runtime[Any], driver: UUID, servers: "Sequence[Server]") -> None:
    clock = asyncio.get_running_loop().time
    told: dict[str, bool] = {}
    told_at = 0.0
    while True:
        now = {server.name: bool(server.fit) for server in servers}
        if now != told or clock() - told_at >= TELL_SECONDS:
            rows = [{"driver": driver, "name": name, "fit": fit} for name, fit in sorted(now.items())]
            if await _told(runtime, text(_TELL), rows):
                told, told_at = now, clock()
            else:
                await asyncio.sleep(TELL_SECONDS)
        await asyncio.sleep(LOOK_SECONDS)


async def _told(runtime: Runtime[Any], statement: TextClause, rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether it could be. Whatever the trouble is, it must not keep a driver from its jobs."""
    try:
        async with runtime.database.transaction() as connection:
            for row in rows:
                await connection.execute(statement, dict(row))
            await connection.execute(text(_FORGET_KILLED))
    except Exception as error:  # noqa: BLE001 - see above
        log.warning("driver.registry_unreachable", error=type(error).__name__)
        return False
    return True


async def fit(connection: AsyncConnection) -> int:
    """How many servers take jobs, as far as any of their drivers says."""
    return int((await connection.execute(text(_FIT), {"seconds": FORGET_SECONDS})).scalar_one())


_TELL = """
INSERT INTO driven_servers (driver, name, fit, told_at) VALUES (:driver, :name, :fit, clock_timestamp())
ON CONFLICT (driver, name) DO UPDATE SET fit = excluded.fit, told_at = excluded.told_at
"""
_FORGET = "DELETE FROM driven_servers WHERE driver = :driver"
# Who was killed did not say goodbye. They are no sooner forgotten, so that one can still see that they were there.
_FORGET_KILLED = "DELETE FROM driven_servers WHERE told_at < clock_timestamp() - interval '1 hour'"
_FIT = """
SELECT count(DISTINCT name) FROM driven_servers
WHERE fit AND told_at > clock_timestamp() - make_interval(secs => :seconds)
"""
