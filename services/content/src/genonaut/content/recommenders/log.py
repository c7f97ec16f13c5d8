"""The SQL of evaluations: temporary tables, the log up to a place in it, and what it says happened afterwards."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from sqlalchemy import Table, text
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.contracts import UndecodableError
from genonaut.contracts.content import InteractionRecorded
from genonaut.platform.events import to_recorded
from genonaut.platform.projections import Recorded


async def stand_before(connection: AsyncConnection, tables: Iterable[Table]) -> None:
    """Makes empty tables of these names that this connection sees instead of the live ones."""
    for table in tables:
        await connection.execute(text(f"CREATE TEMPORARY TABLE {table.name} (LIKE {table.name} INCLUDING ALL)"))


async def cut(connection: AsyncConnection, split: float) -> int:
    """The place in the log up to which this share of all interactions was recorded; 0 when there are none."""
    async with connection.begin():
        asked = {"type": InteractionRecorded.type, "split": split}
        return int(await connection.scalar(_CUT, asked) or 0)


async def count_until(connection: AsyncConnection, position: int, types: Sequence[str]) -> int:
    async with connection.begin():
        return int(await connection.scalar(_COUNT, {"end": position, "types": list(types)}) or 0)


async def log_after(
    connection: AsyncConnection, position: int, end: int, types: Sequence[str], size: int
) -> tuple[list[Recorded], int]:
    """The next events of these types, and the place of the last of them. What cannot be decoded is left out."""
    asked = {"position": position, "end": end, "types": list(types), "size": size}
    recorded = []
    for row in (await connection.execute(_LOG, asked)).mappings():
        position = row["position"]
        try:
            recorded.append(to_recorded(row, "genonaut/content"))
        except UndecodableError:
            continue
    return recorded, position


async def note_all(connection: AsyncConnection) -> None:
    """Leaves every item to folding, as the triggers of the live tables do."""
    await connection.execute(text("INSERT INTO search_tail (item_id, created_at, keys) SELECT * FROM search_rows"))


async def unfolded(connection: AsyncConnection) -> int:
    return int(await connection.scalar(text("SELECT count(*) FROM search_tail")) or 0)


async def analyze(connection: AsyncConnection) -> None:
    await connection.execute(text("ANALYZE"))


async def catalog(connection: AsyncConnection) -> dict[int, UUID]:
    """The public items, and who made each."""
    rows = await connection.execute(text("SELECT id, creator_id FROM content_items_all WHERE NOT is_private"))
    return {row.id: row.creator_id for row in rows}


async def seen(connection: AsyncConnection, user_id: UUID) -> set[int]:
    return set(await connection.scalars(_SEEN, {"user_id": user_id}))


async def done_after(connection: AsyncConnection, position: int) -> dict[UUID, set[int]]:
    """What each user did things with after it that could have been recommended to them then."""
    found: dict[UUID, set[int]] = {}
    asked = {"position": position, "type": InteractionRecorded.type}
    for row in await connection.execute(_DONE_AFTER, asked):
        found.setdefault(row.user_id, set()).add(row.item_id)
    return found


_CUT = text("""
SELECT max(position) FROM (
    SELECT position FROM events WHERE type = :type ORDER BY position
    LIMIT (SELECT CAST(floor(CAST(:split AS float8) * count(*)) AS bigint) FROM events WHERE type = :type)
) first
""")

_COUNT = text("SELECT count(*) FROM events WHERE position <= :end AND type = ANY(CAST(:types AS text[]))")

_LOG = text("""
SELECT * FROM events
WHERE position > :position AND position <= :end AND type = ANY(CAST(:types AS text[]))
ORDER BY position LIMIT :size
""")

_SEEN = text("SELECT item_id FROM interaction_pairs WHERE user_id = :user_id")

_DONE_AFTER = text("""
SELECT DISTINCT a.user_id, a.item_id
FROM (
    SELECT CAST(data ->> 'user_id' AS uuid) AS user_id, CAST(data ->> 'content_item_id' AS bigint) AS item_id
    FROM events WHERE type = :type AND position > :position
) a
JOIN content_items_all i ON i.id = a.item_id AND NOT i.is_private AND i.creator_id <> a.user_id
WHERE NOT EXISTS (SELECT FROM interaction_pairs p WHERE p.user_id = a.user_id AND p.item_id = a.item_id)
""")
