"""Images that nobody needs any more, and what became of their bytes.

An image that no item has shown for a while is retired first: from then on it is there for nobody, and bringing it again
makes it a new one. Then its bytes go, and last it is said to be removed. Each step is safe to be the last one: the next
sweep goes on from there.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.images import queries
from genonaut.content.images.domain import IMAGE, Remove, Retire
from genonaut.platform.database import Database
from genonaut.platform.images import derived_prefix, image_key
from genonaut.platform.objects import YOUNG, ObjectNotFoundError, ObjectStore
from genonaut.platform.service import Runtime

log = structlog.get_logger()

AT_ONCE = 1000
"""Images in one sweep."""
SHARDS = [f"{number:02x}" for number in range(256)]
"""What names of images begin with."""


@dataclass(frozen=True)
class Swept:
    retired: int
    removed: int


async def sweep_images(runtime: Runtime[Any]) -> None:
    """For ever, every `image_sweep_seconds`. Two processes at it do no harm."""
    while True:
        await asyncio.sleep(runtime.settings.image_sweep_seconds)
        try:
            swept = await sweep(runtime)
        except Exception as error:  # noqa: BLE001 - whatever it was, the next sweep may succeed
            log.warning("images.sweep_failed", error=f"{type(error).__name__}: {error}")
        else:
            log.info("images.swept", retired=swept.retired, removed=swept.removed)


async def sweep(runtime: Runtime[Any]) -> Swept:
    """Once: at most AT_ONCE images take each of the two steps."""
    before = runtime.clock() - timedelta(seconds=runtime.settings.image_grace_seconds)
    async with runtime.database.reading() as connection:
        unused = await queries.unused(connection, before, limit=AT_ONCE)
    retired = [await _retire(runtime, sha256, before) for sha256 in unused]
    async with runtime.database.reading() as connection:
        leaving = await queries.retired(connection, limit=AT_ONCE)
    removed = [await _remove(runtime, sha256) for sha256 in leaving]
    return Swept(sum(retired), sum(removed))


async def _retire(runtime: Runtime[Any], sha256: str, before: datetime) -> bool:
    async def work(connection: AsyncConnection) -> bool:
        use = await queries.hold(connection, sha256)
        if use is None:
            return False
        outcome = await runtime.store.execute_in(connection, IMAGE, sha256, Retire(sha256, use, before))
        return bool(outcome.appended)

    return await runtime.database.transact(work)


async def _remove(runtime: Runtime[Any], sha256: str) -> bool:
    async def work(connection: AsyncConnection) -> bool:
        # Held while bytes are deleted, which is some requests to the store: who brings the image meanwhile waits, and
        # looks afterwards whether what they have stored is still there.
        use = await queries.hold(connection, sha256)
        if use is None or not use.retired or not await _deleted(runtime.objects, sha256, runtime.clock() - YOUNG):
            return False
        await runtime.store.execute_in(connection, IMAGE, sha256, Remove(sha256))
        return True

    return await runtime.database.transact(work)


async def _deleted(objects: ObjectStore, sha256: str, stored_before: datetime) -> bool:
    """Whether nothing of the image is in the store any more.

    An original that was stored since then stays: the driver may have put it there, for an item that is not known yet.
    """
    key = image_key(sha256)
    try:
        if (await objects.facts(key)).stored_at >= stored_before:
            return False
    except ObjectNotFoundError:
        pass  # an earlier sweep came this far
    async for derived in objects.below(derived_prefix(sha256).rstrip("/")):
        await objects.delete(derived.key)
    await objects.delete(key)
    return True


@dataclass
class Check:
    """What a comparison of rows and bytes found."""

    images: int = 0
    lost: list[str] = field(default_factory=list)
    """Known images without an original."""
    stray: list[str] = field(default_factory=list)
    """Hashes with bytes that are no known image, and that have been there for a while."""
    stray_bytes: int = 0
    repaired: int = 0
    """Of the stray ones: deleted."""


async def check(
    database: Database,
    objects: ObjectStore,
    *,
    stored_before: datetime,
    repair: bool,
    progress: Callable[[int, int], None],
) -> Check:
    """Compares all rows with all bytes; `repair` deletes bytes that have no row and were stored before then."""
    found = Check()
    for number, shard in enumerate(SHARDS):
        following = SHARDS[number + 1] if number + 1 < len(SHARDS) else None
        # The rows first: what is stored before it is known is then found stored.
        async with database.reading() as connection:
            rows = await queries.between(connection, shard, following)
        originals, sizes, young = set(), dict[str, int](), set()
        async for sha256, size, stored_at, is_original in _stored(objects, shard):
            sizes[sha256] = sizes.get(sha256, 0) + size
            if is_original:
                originals.add(sha256)
            if stored_at >= stored_before:
                young.add(sha256)
        found.images += len(rows)
        found.lost += sorted(sha256 for sha256, retired in rows.items() if sha256 not in originals and not retired)
        for sha256 in sorted(sizes.keys() - rows.keys() - young):
            found.stray.append(sha256)
            found.stray_bytes += sizes[sha256]
            if repair:
                found.repaired += await _repaired(database, objects, sha256, stored_before)
        progress(number + 1, len(SHARDS))
    return found


async def _stored(objects: ObjectStore, shard: str) -> AsyncIterator[tuple[str, int, datetime, bool]]:
    async for each in objects.below(f"images/{shard}"):
        yield each.key.rpartition("/")[2], each.size, each.stored_at, True
    async for each in objects.below(f"thumbnails/{shard}"):
        yield each.key.split("/")[3], each.size, each.stored_at, False


async def _repaired(database: Database, objects: ObjectStore, sha256: str, stored_before: datetime) -> bool:
    async with database.transaction() as connection:
        if await queries.hold(connection, sha256) is not None:
            return False
        return await _deleted(objects, sha256, stored_before)
