"""Looking up users."""

import asyncio
from uuid import UUID

from sqlalchemy import exists, select

from genonaut.generation.users.tables import known_users
from genonaut.platform.database import Database

_LOOK_SECONDS = (0.05, 0.5)
"""Between two looks: from, doubled each time up to. The news is nearly always there at the second."""


async def is_known(database: Database, user_id: UUID, *, within: float) -> bool:
    """Whether this is a registered user. The news of a registration may take a moment: `within` that many seconds."""
    clock = asyncio.get_running_loop().time
    until = clock() + within
    wait, longest = _LOOK_SECONDS
    while True:
        async with database.reading() as connection:
            if await connection.scalar(select(exists().where(known_users.c.user_id == user_id))):
                return True
        if clock() >= until:
            return False
        await asyncio.sleep(min(wait, until - clock()))
        wait = min(2 * wait, longest)
