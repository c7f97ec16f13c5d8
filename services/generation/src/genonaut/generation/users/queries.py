"""Looking up users."""

import asyncio
from collections.abc import Container
from typing import Literal
from uuid import UUID

from sqlalchemy import select

from genonaut.generation.users.tables import known_users
from genonaut.platform.database import Database

Standing = Literal["active", "inactive", "unknown"]

_LOOK_SECONDS = (0.05, 0.5)
"""Between two looks: from, doubled each time up to. The news is nearly always there at the second."""


async def standing(database: Database, user_id: UUID, *, hoped: Container[Standing], within: float) -> Standing:
    """Who this is. The news of a user may take a moment: anything not `hoped` for is waited out, `within` seconds."""
    clock = asyncio.get_running_loop().time
    until = clock() + within
    wait, longest = _LOOK_SECONDS
    while True:
        async with database.reading() as connection:
            active = await connection.scalar(select(known_users.c.is_active).where(known_users.c.user_id == user_id))
        seen: Standing = "unknown" if active is None else "active" if active else "inactive"
        if seen in hoped or clock() >= until:
            return seen
        await asyncio.sleep(min(wait, until - clock()))
        wait = min(2 * wait, longest)
