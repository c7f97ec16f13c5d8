"""What an import asks about the gallery, and what an export reads of it."""

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

PREFETCH = 1_000


@dataclass(frozen=True)
class Done:
    """How far a file has been taken in."""

    line: int = 0
    items: int = 0
    skipped: int = 0


async def notes(connection: AsyncConnection) -> dict[str, Done]:
    """How far files have been taken in, by the digest of what they have up to there."""
    return {row.digest: Done(row.line, row.items, row.skipped) for row in await connection.execute(text(_NOTES))}


async def note(connection: AsyncConnection, digest: str, done: Done) -> bool:
    """False when somebody else has taken that in."""
    noted = {"digest": digest, "line": done.line, "items": done.items, "skipped": done.skipped}
    return await connection.scalar(text(_NOTE), noted) is not None


async def make_room(connection: AsyncConnection) -> None:
    """Gives this transaction the memory that indexes of arrays take many items at once with."""
    await connection.execute(text(_ROOM))


async def bytes_in_outbox(connection: AsyncConnection) -> int:
    """About what the events that are on their way to the stream take there."""
    waiting: int = await connection.scalar(text(_WAITING))
    return waiting


async def creators(connection: AsyncConnection, names: Iterable[str]) -> dict[str, tuple[UUID, bool]]:
    """Ids and whether they are active, of users by their names in lower case and by their ids."""
    rows = await connection.execute(text(_CREATORS), {"names": [name.lower() for name in names]})
    return {row.name: (row.id, row.is_active) for row in rows}


async def next_ids(connection: AsyncConnection, count: int) -> list[int]:
    return list(await connection.scalars(text(_NEXT_IDS), {"count": count}))


async def exported(connection: asyncpg.Connection, *, public_only: bool) -> AsyncIterator[dict[str, Any]]:
    """All items by their ids, as `domain.written` takes them. `connection` is in a transaction."""
    async for row in connection.cursor(
        _EXPORTED.format(which="NOT i.is_private" if public_only else "true"), prefetch=PREFETCH
    ):
        yield dict(row)


async def count(connection: asyncpg.Connection, *, public_only: bool) -> int:
    which = "NOT i.is_private" if public_only else "true"
    total: int = await connection.fetchval(f"SELECT count(*) FROM content_items_all i WHERE {which}")
    return total


# Up to this limit such an index keeps what is new as a list, which who reads by it goes through: 10 ms at most.
_ROOM = "SELECT set_config('gin_pending_list_limit', '16MB', true), set_config('work_mem', '64MB', true)"

_WAITING = """
SELECT coalesce(sum(pg_column_size(e.data) + 700), 0) FROM outbox o JOIN events e ON e.id = o.event_id
"""

_NOTES = "SELECT digest, line, items, skipped FROM imports"

_NOTE = """
INSERT INTO imports (digest, line, items, skipped, updated_at) VALUES (:digest, :line, :items, :skipped, now())
ON CONFLICT (digest) DO NOTHING RETURNING line
"""

_CREATORS = """
SELECT lower(username) AS name, id, is_active FROM users WHERE lower(username) = ANY(CAST(:names AS text[]))
UNION ALL
SELECT CAST(id AS text), id, is_active FROM users WHERE CAST(id AS text) = ANY(CAST(:names AS text[]))
"""

_NEXT_IDS = "SELECT nextval('content_items_id_seq') FROM generate_series(1, :count)"

_EXPORTED = """
SELECT i.title, i.prompt, coalesce(u.username, CAST(i.creator_id AS text)) AS creator, i.source_type, i.content_type,
       i.quality_score, i.is_private, i.created_at, i.item_metadata, i.content_data,
       ARRAY(SELECT t.slug FROM unnest(r.keys) WITH ORDINALITY AS k (key, place)
             JOIN search_keys s ON s.key = k.key JOIN tags t ON t.id = s.id
             WHERE k.key & 7 = 0 ORDER BY k.place) AS tags
FROM content_items_all i
LEFT JOIN users u ON u.id = i.creator_id
LEFT JOIN search_rows r ON r.item_id = i.id
WHERE {which} ORDER BY i.id
"""
