"""Which ComfyUI servers take jobs, as their drivers last told. Times are the database's."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.platform.database import is_outage
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
    """Inside, it is told which of these servers are fit, every few seconds and when that changes; at the end, none."""
    task = watched(_keep_telling(runtime, servers), "registry of servers")
    try:
        yield
    finally:
        await end([task])
        await _tell(runtime, dict.fromkeys((server.name for server in servers), False))


async def _keep_telling(runtime: Runtime[Any], servers: "Sequence[Server]") -> None:
    clock = asyncio.get_running_loop().time
    told: dict[str, bool] = {}
    told_at = 0.0
    while True:
        now = {server.name: bool(server.fit) for server in servers}
        if now != told or clock() - told_at >= TELL_SECONDS:
            await _tell(runtime, now)
            told, told_at = now, clock()
        await asyncio.sleep(LOOK_SECONDS)


async def _tell(runtime: Runtime[Any], fit: Mapping[str, bool]) -> None:
    """What cannot be told now is told the next time."""
    try:
        async with runtime.database.transaction() as connection:
            for name in sorted(fit):
                await connection.execute(text(_TELL), {"name": name, "fit": fit[name]})
    except Exception as error:
        if not is_outage(error):
            raise
        log.warning("driver.registry_unreachable", error=type(error).__name__)


async def fit(connection: AsyncConnection) -> int:
    """How many servers take jobs."""
    return int((await connection.execute(text(_FIT), {"seconds": FORGET_SECONDS})).scalar_one())


_TELL = """
INSERT INTO driven_servers (name, fit, told_at) VALUES (:name, :fit, clock_timestamp())
ON CONFLICT (name) DO UPDATE SET fit = excluded.fit, told_at = excluded.told_at
"""
_FIT = """
SELECT count(*) FROM driven_servers WHERE fit AND told_at > clock_timestamp() - make_interval(secs => :seconds)
"""
