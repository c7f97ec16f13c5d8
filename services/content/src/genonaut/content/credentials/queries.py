"""Credentials, read and written."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.credentials.tables import credentials
from genonaut.content.users.tables import users


@dataclass(frozen=True)
class Found:
    user_id: UUID
    username: str
    is_active: bool
    password_hash: str | None
    """None for somebody who has no password."""


async def of_login(connection: AsyncConnection, login: str) -> Found | None:
    """The user of this name or e-mail address, in any case."""
    # No name has an @ in it, and every address does: one login is one user's at most.
    named = or_(func.lower(users.c.username) == login.lower(), users.c.email == login.lower())
    statement = (
        select(users.c.id, users.c.username, users.c.is_active, credentials.c.password_hash)
        .select_from(users.outerjoin(credentials, credentials.c.user_id == users.c.id))
        .where(named)
    )
    row = (await connection.execute(statement)).one_or_none()
    return Found(*row) if row else None


async def put(connection: AsyncConnection, user_id: UUID, password_hash: str, changed_at: datetime) -> None:
    """From now on this is the user's only one."""
    new = insert(credentials).values(user_id=user_id, password_hash=password_hash, changed_at=changed_at)
    changed = {"password_hash": new.excluded.password_hash, "changed_at": new.excluded.changed_at}
    await connection.execute(new.on_conflict_do_update(index_elements=["user_id"], set_=changed))


async def replace(connection: AsyncConnection, user_id: UUID, old: str, new: str) -> None:
    """Another hash of the same password, unless the password has been changed meanwhile."""
    unchanged = (credentials.c.user_id == user_id) & (credentials.c.password_hash == old)
    await connection.execute(credentials.update().where(unchanged).values(password_hash=new))
