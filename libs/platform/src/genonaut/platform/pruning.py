"""Pruning: what a service remembers of messages is forgotten when they cannot come any more.

A message is in its stream for `max_age`. An event that is restored on its last day is there for as long again, so twice
the longest `max_age`, and a margin, after it was handled, no event can be delivered that the inbox would have to know.
The log itself is never pruned.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import text

from genonaut.contracts.streams import STREAMS
from genonaut.platform.clock import Clock
from genonaut.platform.database import Database

log = structlog.get_logger()

MESSAGE_GONE = 2 * max(stream.max_age for stream in STREAMS) + timedelta(days=30)
LETTER_READ = timedelta(days=90)
"""How long a dead letter is kept after it was redriven."""
BATCH = 10_000
"""Rows in one transaction."""
FIRST_SECONDS = 60.0
EVERY_SECONDS = 3600.0

RULES = {
    "inbox": ("handled_at", MESSAGE_GONE),
    "attempts": ("last_at", MESSAGE_GONE),
    "dead_letters": ("redriven_at", LETTER_READ),
}
"""By table: the column with its last use, which may be null while it is in use, and how old that may become."""


async def prune(database: Database, now: datetime) -> dict[str, int]:
    """How many rows of each table went."""
    return {table: await _prune(database, table, column, now - age) for table, (column, age) in RULES.items()}


async def _prune(database: Database, table: str, column: str, before: datetime) -> int:
    statement = text(
        f"DELETE FROM {table} WHERE ctid = ANY (ARRAY(SELECT ctid FROM {table} WHERE {column} < :before LIMIT {BATCH}))"
    )
    gone = 0
    while True:
        async with database.transaction() as connection:
            deleted = (await connection.execute(statement, {"before": before})).rowcount
        gone += deleted
        if deleted < BATCH:
            return gone


async def prune_now_and_then(
    database: Database, clock: Clock, *, sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep
) -> None:
    """For ever. Two processes of a service at it do no harm."""
    await sleep(FIRST_SECONDS)
    while True:
        try:
            gone = await prune(database, clock())
        except Exception as error:  # noqa: BLE001 - whatever it was, the next time may succeed
            log.warning("pruning.failed", error=f"{type(error).__name__}: {error}")
        else:
            log.info("pruning.done", **gone)
        await sleep(EVERY_SECONDS)
