"""Users, read."""

from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.users.tables import users


async def by_id(connection: AsyncConnection, user_id: UUID) -> dict[str, Any] | None:
    """The user's columns by name; None when there is no such user."""
    row = (await connection.execute(select(users).where(users.c.id == user_id))).mappings().one_or_none()
    return dict(row) if row else None


def found(username: str | None, email: str | None, *, active: bool | None) -> Select[Any]:
    """Users with these parts in their name and address, in any case, and of this activity; None is any."""
    statement = select(users)
    if username:
        statement = statement.where(func.lower(users.c.username).contains(username.lower(), autoescape=True))
    if email:
        statement = statement.where(users.c.email.contains(email.lower(), autoescape=True))
    if active is not None:
        statement = statement.where(users.c.is_active.is_(active))
    return statement


async def is_active(connection: AsyncConnection, user_id: UUID) -> bool | None:
    """None when there is no such user."""
    active: bool | None = await connection.scalar(select(users.c.is_active).where(users.c.id == user_id))
    return active


async def next_number(connection: AsyncConnection) -> int:
    number: int = await connection.scalar(text("SELECT nextval('users_number_seq')"))
    return number
