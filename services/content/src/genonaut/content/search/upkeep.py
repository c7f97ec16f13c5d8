"""What keeps search fast and proves it right, beside the requests: folding, and a recount now and then."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import structlog

from genonaut.content.search import folding
from genonaut.content.search.folding import Folded
from genonaut.platform.database import Database
from genonaut.platform.service import Runtime

log = structlog.get_logger()

LOOK_SECONDS = 1.0
CHANGED = 256
"""So many items whose segments are outdated are worth a round."""
QUIET = timedelta(minutes=1)
"""After so long without a new item nobody is still committing one that was made before, and the tail may go whole."""


async def keep_folded(runtime: Runtime[Any]) -> None:
    """For ever. Of several processes one folds at a time."""
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        try:
            folded = await fold_what_is_due(runtime.database, runtime.clock())
        except Exception as error:  # noqa: BLE001 - whatever it was, the next look may succeed
            log.warning("search.folding_failed", error=f"{type(error).__name__}: {error}")
            continue
        if folded.appended or folded.changed or folded.merged:
            log.info("search.folded", **vars(folded))


async def fold_what_is_due(database: Database, now: datetime) -> Folded:
    """Rounds of folding until nothing is due."""
    total = Folded()
    while True:
        async with database.driver() as connection:
            due = await connection.fetchrow(_DUE)
            keep = 0 if due["newest"] is None or now - due["newest"] > QUIET else folding.KEEP
            waits = due["fresh"] >= folding.BATCH + keep if keep else due["fresh"] > 0
            if waits or due["changed"] >= CHANGED or (due["changed"] and not keep):
                async with connection.transaction():
                    folded = await folding.fold(connection, keep=keep)
                if folded is None:
                    return total
                total.appended += folded.appended
                total.changed += folded.changed
                if folded.appended or folded.changed:
                    continue
            merged = await _merge(connection)
            if not merged:
                return total
            total.merged += merged


async def fold_everything(database: Database) -> Folded:
    """Rounds of folding until the tail is empty, but for what others are changing meanwhile."""
    total = Folded()
    while True:
        async with database.driver() as connection:
            async with connection.transaction():
                folded = await folding.fold(connection, keep=0, batch=folding.BLOCK_SIZE)
            merged = await _merge(connection, at_least=1)
        total.appended += folded.appended if folded else 0
        total.changed += folded.changed if folded else 0
        total.merged += merged
        if not (folded and (folded.appended or folded.changed)) and not merged:
            return total


async def _merge(connection: asyncpg.Connection, *, at_least: int | None = None) -> int:
    async with connection.transaction():
        return await folding.merge(connection, at_least=at_least or folding.MERGE) or 0


_DUE = """
SELECT count(*) FILTER (WHERE block IS NULL AND keys IS NOT NULL) AS fresh,
       count(*) FILTER (WHERE block IS NOT NULL OR keys IS NULL) AS changed,
       max(created_at) AS newest
FROM search_tail
"""
