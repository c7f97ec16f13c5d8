"""Items that were there before a tag came to imply another get the implied one, a few at a time."""

import asyncio
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.items import commands
from genonaut.content.search import queries as search
from genonaut.content.tag_meanings.queries import all_implications
from genonaut.platform.service import Runtime

log = structlog.get_logger()

LOOK_SECONDS = 30.0
MOST = 500
"""Items of one look and one implication: others shall have their turn."""


async def apply_implications(runtime: Runtime[Any]) -> None:
    """For ever. Two processes at it do no harm: an item is given a tag once."""
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        try:
            while given := await apply_implications_once(runtime):
                log.info("items.tags_implied", items=given)
        except Exception as error:  # noqa: BLE001 - whatever it was, the next look may succeed
            log.warning("items.implying_failed", error=f"{type(error).__name__}: {error}")


async def apply_implications_once(runtime: Runtime[Any], *, most: int = MOST) -> int:
    """One look. Returns how many items were given something."""
    async with runtime.database.reading() as connection:
        lacking = [
            item_id
            for tag_id, implied_id in await all_implications(connection)
            for item_id in await search.with_one_tag_and_not_the_other(connection, tag_id, implied_id, most=most)
        ]

    given = 0
    for item_id in dict.fromkeys(lacking):

        async def work(connection: AsyncConnection, item_id: int = item_id) -> bool:
            return await commands.imply_tags(runtime.store, connection, item_id)

        given += await runtime.database.transact(work)
    return given
