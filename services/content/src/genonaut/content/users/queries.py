"""Users, read."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import ColumnElement, Select, Text, cast, func, literal, or_, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.users.tables import users

GRAM = 3
"""Characters of the pieces that names and addresses are found by, see `grams` in the migrations."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What users are searched by; None is any."""

    username: str | None = None
    """A part of it, in any case."""
    email: str | None = None
    """A part of it, in any case."""
    active: bool | None = None
    preference: str | None = None
    """A key of their preferences."""
    value: str | None = None
    """What that key has: a text, or any other value as JSON."""


async def by_id(connection: AsyncConnection, user_id: UUID) -> dict[str, Any] | None:
    """The user's columns by name; None when there is no such user."""
    row = (await connection.execute(select(users).where(users.c.id == user_id))).mappings().one_or_none()
    return dict(row) if row else None


async def plan_by_values(connection: AsyncConnection) -> None:
    """Until the transaction ends, each statement is planned for the values that it has.

    A plan for any values, as a statement that is often run would get, finds the wrong index for a part, or none.
    """
    await connection.execute(text("SET LOCAL plan_cache_mode = force_custom_plan"))


def found(wanted: Wanted) -> Select[Any]:
    """The users who have all that is wanted. See `plan_by_values`."""
    statement = select(users)
    if wanted.username:
        statement = statement.where(*_with_part(func.lower(users.c.username), wanted.username.lower()))
    if wanted.email:
        statement = statement.where(*_with_part(users.c.email, wanted.email.lower()))
    if wanted.active is not None:
        statement = statement.where(users.c.is_active.is_(wanted.active))
    if wanted.preference is not None:
        statement = statement.where(_prefers(wanted.preference, wanted.value))
    return statement


def _with_part(column: ColumnElement[str], part: str) -> Sequence[ColumnElement[bool]]:
    literally = re.sub(r"([%_/])", r"/\1", part)
    contains = column.like(f"%{literally}%", escape="/")
    if len(part) < GRAM:  # has no grams, and is in so many that no index would help
        return [contains]
    return [func.grams(column).op("@>")(func.grams(cast(part, Text))), contains]


def _prefers(key: str, value: str | None) -> ColumnElement[bool]:
    if value is None:
        return users.c.preferences.op("?", is_comparison=True)(key)
    return or_(*(users.c.preferences.contains(cast(literal(each, Text), JSONB)) for each in _as_json(key, value)))


def _as_json(key: str, value: str) -> Sequence[str]:
    """The objects that say that `key` has this value: as a text, and as what it is when read as JSON."""
    quoted = orjson.dumps(key).decode()
    texts = [f"{{{quoted}:{orjson.dumps(value).decode()}}}"]
    try:
        orjson.loads(value)
    except orjson.JSONDecodeError:
        return texts
    return [*texts, f"{{{quoted}:{value}}}"]


async def is_active(connection: AsyncConnection, user_id: UUID) -> bool | None:
    """None when there is no such user."""
    active: bool | None = await connection.scalar(select(users.c.is_active).where(users.c.id == user_id))
    return active


async def hold_names(connection: AsyncConnection, names: Sequence[str]) -> None:
    """Until the transaction ends nobody else takes or leaves any of these user names and addresses, in any case."""
    await connection.execute(text(_HOLD), {"names": [f"name of a user: {name.lower()}" for name in names]})


# In one order everywhere, so that two who want the same names wait for each other, and never both.
_HOLD = """
SELECT pg_advisory_xact_lock(key)
FROM (SELECT DISTINCT hashtextextended(name, 0) AS key FROM unnest(CAST(:names AS text[])) AS name ORDER BY key) AS held
"""


async def next_number(connection: AsyncConnection) -> int:
    number: int = await connection.scalar(text("SELECT nextval('users_number_seq')"))
    return number
