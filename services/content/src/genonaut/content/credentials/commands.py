"""Passwords, set and verified. They are in no event, no log line and no error: only their hashes are kept, here."""

from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.credentials import queries
from genonaut.content.credentials.hashing import Hashing
from genonaut.content.credentials.queries import Found
from genonaut.content.users.domain import USER, ChangePassword
from genonaut.platform.database import Database
from genonaut.platform.events import EventStore

log = structlog.get_logger()


async def set_password(store: EventStore, hashing: Hashing, user_id: UUID, password: str) -> None:
    """The user has this password and no other. Raises UnknownUserError, and NoRoomError of the hashing."""
    hashed = await hashing.hash(password)

    async def work(connection: AsyncConnection) -> None:
        # First the event: of two changes at once the later one in the log is also the one whose hash stays.
        outcome = await store.execute_in(connection, USER, user_id, ChangePassword())
        await queries.put(connection, user_id, hashed, outcome.appended[0].envelope.time)

    await store.database.transact(work)


async def verify(database: Database, hashing: Hashing, login: str, password: str) -> Found | None:
    """The user whose name or e-mail address and whose password these are, active or not; else None.

    None takes the same time whether there is no such user, no password, or another one. Raises NoRoomError.
    """
    async with database.reading() as connection:
        found = await queries.of_login(connection, login)
    old = found.password_hash if found else None
    right, new = await hashing.check(password, old)
    if not (found and old and right):
        return None
    if new:
        async with database.transaction() as connection:
            await queries.replace(connection, found.user_id, old, new)
        log.info("credentials.rehashed", user_id=str(found.user_id))
    return found
