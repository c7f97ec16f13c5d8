"""Which ComfyUI servers take jobs, as their drivers last told. Times are the database's."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.generation.workers.servers import Server
from genonaut.platform.database import is_outage
from genonaut.platform.service import Runtime
from genonaut.platform.serving import end, watched

log = structlog.get_logger()

TELL_SECONDS = 5.0
LOOK_SECONDS = 0.25
"""A change is told this soon."""
FORGET_SECONDS = 20.0
"""What no driver has told of for so long counts for nothing."""


@asynccontextmanager
async def telling(runtime: Runtime[Any], servers: Iterable[Server]) -> AsyncIterator[None]:
    """Inside, it is told every few seconds which of these servers are fit."""
    task = watched(_tell(runtime, list(servers)), "registry of servers")
    try:
        yield
    finally:
        await end([task])


async def _tell(runtime: Runtime[Any], servers: list[Server]) -> None:
    clock = asyncio.get_running_loop().time
    told: dict[str, bool] = {}
    told_at = 0.0
    while True:
        now = {server.name: bool(server.fit) for server in servers}
        if now != told or clock() - told_at >= TELL_SECONDS:
            try:
                async with runtime.database.transaction() as connection:
                    for name in sorted(now):
                        await connection.execute(text(_TELL), {"name": name, "fit": now[name]})
                told, told_at = now, clock()
            except Exception as error:
                if not is_outage(error):
                    raise
                log.warning("driver.registry_unreachable", error=type(error).__name__)
                await asyncio.sleep(TELL_SECONDS)
        await asyncio.sleep(LOOK_SECONDS)


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
