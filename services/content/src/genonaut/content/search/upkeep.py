"""What keeps search fast and proves it right, beside the requests: folding, and a recount now and then."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import structlog
from prometheus_client import Gauge

from genonaut.content.search import folding
from genonaut.content.search.checks import Drift, Progress, drift, mend
from genonaut.content.search.folding import Folded
from genonaut.content.search.planner import tell_retired
from genonaut.platform.database import Database
from genonaut.platform.guards import drop_everything
from genonaut.platform.metrics import REGISTRY
from genonaut.platform.service import Runtime

log = structlog.get_logger()

DRIFT = Gauge(
    "content_search_drift", "Blocks, items and counts of tags that the last recount found wrong.", registry=REGISTRY
)

LOOK_SECONDS = 1.0
CHANGED = 256
"""So many items whose segments are outdated are worth a round."""
QUIET = timedelta(minutes=1)
"""After so long without a new item nobody is still committing one that was made before, and the tail may go whole."""


async def keep_folded(runtime: Runtime[Any]) -> None:
    """For ever. Of several processes one folds at a time."""
    # Not when settings are read: that is before there is a log, and by commands that have something else to say, too.
    tell_retired(runtime.settings.knobs)
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        try:
            folded = await fold_what_is_due(runtime.database, runtime.clock())
        except Exception as error:  # noqa: BLE001 - whatever it was, the next look may succeed
            log.warning("search.folding_failed", error=f"{type(error).__name__}: {error}")
            continue
        if folded.appended or folded.changed or folded.merged:
            log.info("search.folded", **vars(folded))


async def recount_now_and_then(runtime: Runtime[Any]) -> None:
    """For ever, every `search_recount_seconds`. What is wrong is reported, and mended."""
    while True:
        await asyncio.sleep(runtime.settings.search_recount_seconds)
        try:
            found = await recount(runtime.database)
        except Exception as error:  # noqa: BLE001 - whatever it was, the next time may succeed
            log.warning("search.recount_failed", error=f"{type(error).__name__}: {error}")
            continue
        if found is not None:
            DRIFT.set(len(found.blocks) + found.lost + len(found.counts))
            log.info("search.recounted", items=found.items)


async def recount(database: Database, *, repair: bool = True, progress: Progress = lambda *_: None) -> Drift | None:
    """Compares index and counts with the rows, and mends what differs. None when another process is at it."""
    async with database.driver() as connection:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            if not await connection.fetchval("SELECT pg_try_advisory_xact_lock(hashtext('genonaut search recount'))"):
                return None
            found = await drift(connection, progress=progress)
        if found:
            counts = {f"{key}/{source}": off for (key, source), off in list(found.counts.items())[:20]}
            log.error("search.drift", blocks=found.blocks, lost=found.lost, tags=len(found.counts), some=counts)
        if found and repair:
            try:
                async with connection.transaction():
                    await mend(connection, found)
            finally:
                await drop_everything(database)
    return found


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
                    folded = await folding.fold(connection, keep=keep, batch=folding.BATCH)
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
        folded = await fold_once(database, at_least=1)
        total.appended += folded.appended
        total.changed += folded.changed
        total.merged += folded.merged
        if not (folded.appended or folded.changed or folded.merged):
            return total


async def fold_once(database: Database, *, at_least: int = folding.MERGE) -> Folded:
    """One round for what is in the tail now. Of those that came late, only `at_least` so many are worth a merge."""
    async with database.driver() as connection:
        async with connection.transaction():
            folded = await folding.fold(connection, keep=0, batch=folding.BLOCK_SIZE) or Folded()
        folded.merged = await _merge(connection, at_least=at_least)
        return folded


async def _merge(connection: asyncpg.Connection, *, at_least: int | None = None) -> int:
    async with connection.transaction():
        return await folding.merge(connection, at_least=at_least or folding.MERGE) or 0


_DUE = """
SELECT count(*) FILTER (WHERE block IS NULL AND keys IS NOT NULL) AS fresh,
       count(*) FILTER (WHERE block IS NOT NULL OR keys IS NULL) AS changed,
       max(created_at) AS newest
FROM search_tail
"""
