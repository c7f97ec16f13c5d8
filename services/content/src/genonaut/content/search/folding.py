"""Folding: the tail moves into blocks, a thousand items at a time, and nothing that is found changes by it.

One process folds at a time. New items go behind the last block's last one. Those made earlier than that are merged into
the block of their time when there are enough of them: it is made anew with them, as two when it is full.
"""

from array import array
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import asyncpg
from pyroaring import BitMap

from genonaut.content.search.matches import SortKey

BLOCK_SIZE = 2**16
FULL_AFTER_MERGE = 3 * 2**14
"""Items in each of the blocks that a merge makes of one: room for the next."""

KEEP = 512
"""The newest items stay in the tail: others that were made at the same time may be committed later."""
BATCH = 1024
MERGE = 512
"""Items of one block's time that are worth making it anew."""


@dataclass
class Folded:
    """What one round has done."""

    appended: int = 0
    changed: int = 0
    merged: int = 0
    left: int = 0
    """Items still in the tail."""


@dataclass
class _Changes:
    """What is to happen to segments, by block and key."""

    added: "_Positions" = field(default_factory=lambda: defaultdict(_of_keys))
    removed: "_Positions" = field(default_factory=lambda: defaultdict(_of_keys))

    def add(self, block: int, position: int, keys: Iterable[int]) -> None:
        added = self.added[block]
        for key in keys:
            added[key].append(position)

    def remove(self, block: int, position: int, keys: Iterable[int]) -> None:
        removed = self.removed[block]
        for key in keys:
            removed[key].append(position)

    @property
    def touched(self) -> list[tuple[int, int]]:
        return list({(block, key) for each in (self.added, self.removed) for block, of in each.items() for key in of})


_Positions = dict[int, dict[int, "array[int]"]]


def _of_keys() -> dict[int, "array[int]"]:
    return defaultdict(lambda: array("I"))


async def fold(connection: asyncpg.Connection, *, keep: int, batch: int) -> Folded | None:
    """Moves up to `batch` new and `batch` changed items into the blocks, but not the `keep` newest.

    None when somebody else is folding. In a transaction of the caller.
    """
    if not await connection.fetchval(_ONE_AT_A_TIME):
        return None
    folded = Folded()
    changes = _Changes()
    done = await _fold_changed(connection, changes, batch)
    folded.changed = len(done)
    appended = await _append(connection, changes, batch, keep)
    folded.appended = len(appended)
    await _write(connection, changes)
    await connection.execute("DELETE FROM search_tail WHERE item_id = ANY($1::bigint[])", [*done, *appended])
    folded.left = await connection.fetchval("SELECT count(*) FROM search_tail")
    return folded


async def merge(connection: asyncpg.Connection, *, at_least: int) -> int | None:
    """Makes one block anew with the items of its time that came late, when there are `at_least` so many of them.

    Returns how many it merged. Writers wait meanwhile, up to a second. None when somebody else is folding. In a
    transaction of the caller that has done nothing before: it waits for writers, who may wait for rows.
    """
    if not await connection.fetchval(_ONE_AT_A_TIME):
        return None
    blocks = await _blocks(connection)
    late = [(row["created_at"], row["item_id"]) for row in await connection.fetch(_LATE)]
    if not blocks or not late:
        return 0
    firsts = [block.first for block in blocks]
    by_block: dict[int, int] = defaultdict(int)
    for sort_key in late:
        by_block[max(0, bisect_right(firsts, sort_key) - 1)] += 1
    index, count = max(by_block.items(), key=lambda item: item[1])
    if count < at_least:
        return 0
    await connection.execute("SELECT pg_advisory_xact_lock(hashtext('genonaut search positions'))")
    return await _remake(connection, blocks, index)


@dataclass(frozen=True)
class _Block:
    number: int
    first: SortKey
    last: SortKey
    next_position: int


async def _blocks(connection: asyncpg.Connection) -> list[_Block]:
    rows = await connection.fetch("SELECT * FROM search_blocks ORDER BY first_at, first_id")
    return [
        _Block(row["block"], (row["first_at"], row["first_id"]), (row["last_at"], row["last_id"]), row["next_position"])
        for row in rows
    ]


async def _fold_changed(connection: asyncpg.Connection, changes: _Changes, batch: int) -> list[int]:
    """Those whose segments say something else than their keys, and those that came and went meanwhile."""
    rows = await connection.fetch(_CHANGED, batch)
    gone = []
    for row in rows:
        if row["block"] is None:
            continue
        keys, before = set(row["keys"] or ()), set(row["folded_keys"])
        changes.add(row["block"], row["position"], keys - before)
        changes.remove(row["block"], row["position"], before - keys)
        if row["keys"] is None:
            gone.append(row["item_id"])
    await connection.execute("DELETE FROM search_positions WHERE item_id = ANY($1::bigint[])", gone)
    return [row["item_id"] for row in rows]


async def _append(connection: asyncpg.Connection, changes: _Changes, batch: int, keep: int) -> list[int]:
    """The earliest of those that come after the last block's last one, but not the newest of all."""
    blocks = await _blocks(connection)
    last = blocks[-1] if blocks else None
    rows = await (connection.fetch(_NEW, *last.last, batch, keep) if last else connection.fetch(_FIRST, batch, keep))
    block, position = (last.number, last.next_position) if last else (None, BLOCK_SIZE)
    ends: dict[int, tuple[SortKey, int]] = {}
    placed: list[tuple[int, int, int]] = []
    for row in rows:
        if block is None or position == BLOCK_SIZE:
            block, position = await _new_block(connection, (row["created_at"], row["item_id"])), 0
        changes.add(block, position, row["keys"])
        placed.append((block, position, row["item_id"]))
        position += 1
        ends[block] = (row["created_at"], row["item_id"]), position
    await _place(connection, placed)
    for number, ((last_at, last_id), next_position) in ends.items():
        await connection.execute(_END, number, last_at, last_id, next_position)
    return [row["item_id"] for row in rows]


async def remake(connection: asyncpg.Connection, numbers: Sequence[int]) -> None:
    """Makes these blocks anew from their rows, and has those noted that nothing knows of.

    Writers wait meanwhile. In a transaction of the caller that has done nothing before, as for `merge`.
    """
    await connection.execute("SELECT pg_advisory_xact_lock(hashtext('genonaut search folding'))")
    await connection.execute("SELECT pg_advisory_xact_lock(hashtext('genonaut search positions'))")
    for number in numbers:
        blocks = await _blocks(connection)
        index = next((index for index, block in enumerate(blocks) if block.number == number), None)
        if index is not None:  # nobody else has made it anew
            await _remake(connection, blocks, index)
    await connection.execute(_NOTE_LOST)


async def _remake(connection: asyncpg.Connection, blocks: Sequence[_Block], index: int) -> int:
    """The items of one block's time in new blocks. Returns how many of them were not in it."""
    old = blocks[index]
    # The first one's time begins with the first item ever, and the last one's ends where new items are appended.
    statement = _OF_TIME.format(
        start="true" if index == 0 else "(r.created_at, r.item_id) >= ($3, $4)",
        end="<=" if old is blocks[-1] else "<",
    )
    end = old.last if old is blocks[-1] else blocks[index + 1].first
    rows = await connection.fetch(statement, *end, *(() if index == 0 else old.first))
    before: int = await connection.fetchval("SELECT count(*) FROM search_positions WHERE block = $1", old.number)
    for table in ("search_segments", "search_positions", "search_blocks"):
        await connection.execute(f"DELETE FROM {table} WHERE block = $1", old.number)
    parts = 1 if len(rows) <= BLOCK_SIZE else -(-len(rows) // FULL_AFTER_MERGE)
    changes = _Changes()
    placed = []
    for part in range(parts):
        chunk = rows[part * len(rows) // parts : (part + 1) * len(rows) // parts]
        if not chunk:
            continue
        number = await _new_block(connection, (chunk[0]["created_at"], chunk[0]["item_id"]))
        for position, row in enumerate(chunk):
            changes.add(number, position, row["keys"])
            placed.append((number, position, row["item_id"]))
        await connection.execute(_END, number, chunk[-1]["created_at"], chunk[-1]["item_id"], len(chunk))
    await _place(connection, placed)
    await _write(connection, changes)
    # Those that were deleted are in nobody's rows any more, and their positions went with the old block.
    await connection.execute(_FORGET, old.number, [item_id for _, _, item_id in placed])
    return len(rows) - before


async def _new_block(connection: asyncpg.Connection, first: SortKey) -> int:
    number: int = await connection.fetchval(_BLOCK, *first)
    return number


async def _place(connection: asyncpg.Connection, placed: Sequence[tuple[int, int, int]]) -> None:
    await connection.copy_records_to_table("search_positions", records=placed, columns=["block", "position", "item_id"])


async def _write(connection: asyncpg.Connection, changes: _Changes) -> None:
    touched = changes.touched
    if not touched:
        return
    numbers, keys = [block for block, _ in touched], [key for _, key in touched]
    stored = {(row["block"], row["key"]): row["bits"] for row in await connection.fetch(_STORED, numbers, keys)}
    written: list[tuple[int, int, int, bytes]] = []
    emptied: list[tuple[int, int]] = []
    for block, key in touched:
        bits = BitMap.deserialize(stored[block, key]) if (block, key) in stored else BitMap()
        if added := changes.added[block].get(key):
            bits |= BitMap(added)
        if removed := changes.removed[block].get(key):
            bits -= BitMap(removed)
        if bits:
            bits.run_optimize()
            written.append((key, block, len(bits), bits.serialize()))
        else:
            emptied.append((key, block))
    await connection.execute(_WRITE, *(list(column) for column in zip(*written, strict=True)) if written else _NONE)
    await connection.execute(_EMPTY, [key for key, _ in emptied], [block for _, block in emptied])
    await connection.execute(
        "UPDATE search_blocks SET version = gen_random_uuid() WHERE block = ANY($1::int[])", sorted(set(numbers))
    )


_NONE: tuple[list[int], list[int], list[int], list[bytes]] = ([], [], [], [])

_ONE_AT_A_TIME = "SELECT pg_try_advisory_xact_lock(hashtext('genonaut search folding'))"

_CHANGED = """
SELECT item_id, keys, block, position, folded_keys FROM search_tail
WHERE block IS NOT NULL OR keys IS NULL ORDER BY item_id LIMIT $1 FOR UPDATE SKIP LOCKED
"""

_FIRST = """
SELECT item_id, created_at, keys FROM search_tail
WHERE block IS NULL AND keys IS NOT NULL
ORDER BY created_at, item_id
LIMIT least($1, (SELECT greatest(0, count(*) - $2) FROM search_tail WHERE block IS NULL AND keys IS NOT NULL))
FOR UPDATE SKIP LOCKED
"""

_NEW = """
SELECT item_id, created_at, keys FROM search_tail
WHERE block IS NULL AND keys IS NOT NULL AND (created_at, item_id) > ($1, $2)
ORDER BY created_at, item_id
LIMIT least($3, (SELECT greatest(0, count(*) - $4) FROM search_tail
                 WHERE block IS NULL AND keys IS NOT NULL AND (created_at, item_id) > ($1, $2)))
FOR UPDATE SKIP LOCKED
"""

_LATE = """
SELECT t.created_at, t.item_id FROM search_tail t
WHERE t.block IS NULL AND t.keys IS NOT NULL
  AND (t.created_at, t.item_id) < (SELECT b.last_at, b.last_id FROM search_blocks b ORDER BY 1 DESC, 2 DESC LIMIT 1)
"""

_OF_TIME = """
SELECT r.item_id, r.created_at, r.keys FROM search_rows r
WHERE (r.created_at, r.item_id) {end} ($1, $2) AND {start}
ORDER BY r.created_at, r.item_id
"""

_BLOCK = """
INSERT INTO search_blocks (block, first_at, first_id, last_at, last_id, next_position)
VALUES (nextval('search_blocks_seq'), $1, $2, $1, $2, 0) RETURNING block
"""

_END = "UPDATE search_blocks SET last_at = $2, last_id = $3, next_position = $4 WHERE block = $1"

_STORED = """
SELECT s.block, s.key, s.bits
FROM unnest($1::int[], $2::int[]) AS w (block, key) JOIN search_segments s ON s.key = w.key AND s.block = w.block
"""

_WRITE = """
INSERT INTO search_segments (key, block, cardinality, bits)
SELECT * FROM unnest($1::int[], $2::int[], $3::int[], $4::bytea[])
ON CONFLICT (key, block) DO UPDATE SET cardinality = excluded.cardinality, bits = excluded.bits
"""

_EMPTY = """
DELETE FROM search_segments s USING unnest($1::int[], $2::int[]) AS e (key, block)
WHERE s.key = e.key AND s.block = e.block
"""

_NOTE_LOST = """
INSERT INTO search_tail (item_id, created_at, keys)
SELECT r.item_id, r.created_at, r.keys FROM search_rows r
WHERE NOT EXISTS (SELECT FROM search_positions p WHERE p.item_id = r.item_id)
ON CONFLICT (item_id) DO UPDATE SET keys = excluded.keys
"""

_FORGET = "DELETE FROM search_tail WHERE block = $1 OR item_id = ANY($2::bigint[])"
