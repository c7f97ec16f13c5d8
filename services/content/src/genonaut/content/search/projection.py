"""Item events into the keys that items are found by, and into how many public items each tag is on."""

import sys
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from io import BytesIO
from struct import Struct
from typing import cast
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.search.guards import touch_items, touch_names
from genonaut.content.search.keys import (
    SOURCES,
    Kind,
    class_key,
    creator_key,
    is_private,
    kind_of,
    quality_keys,
    source_of,
    tag_key,
    tags_among,
    type_key,
    without,
)
from genonaut.content.search.tables import search_keys, search_rows, search_word_revision, tag_cardinality_stats
from genonaut.contracts import Envelope, Event
from genonaut.contracts.content import (
    ItemCreated,
    ItemDeleted,
    ItemEdited,
    ItemMadePrivate,
    ItemMadePublic,
    ItemQualityChanged,
    ItemRetagged,
    ItemTagsImplied,
    SourceType,
    TagAliasAdded,
    TagAliasRemoved,
    TagCreated,
    TagParentAdded,
    TagParentRemoved,
    UserProfileChanged,
    UserRegistered,
)
from genonaut.platform.database import driver_of
from genonaut.platform.projections import Projection, Recorded

search_projection = Projection("search", search_keys, search_rows, tag_cardinality_stats, search_word_revision)


@search_projection.on_many(TagCreated)
async def _tags_created(connection: AsyncConnection, recorded: Sequence[Recorded]) -> None:
    events = [cast("TagCreated", each.event) for each in recorded]
    await connection.execute(
        search_keys.insert(), [{"id": event.tag_id, "key": tag_key(event.number)} for event in events]
    )


@search_projection.on(UserRegistered)
async def _user_registered(connection: AsyncConnection, event: UserRegistered, _: Envelope) -> None:
    await connection.execute(search_keys.insert().values(id=event.user_id, key=creator_key(event.number)))


@search_projection.on_many(ItemCreated)
async def _created(connection: AsyncConnection, recorded: Sequence[Recorded]) -> None:
    events = [cast("ItemCreated", each.event) for each in recorded]
    # By number: hashing a UUID runs Python, and there are tens of thousands of them.
    ids = {tag_id.int: tag_id for event in events for tag_id in (event.creator_id, *event.tag_ids)}
    known = dict(zip(ids, await _keys(connection, list(ids.values())), strict=True))
    keys, rows = [], [_BEGIN]
    counts: dict[SourceType, Counter[int]] = {source: Counter() for source in SOURCES}
    latest: dict[SourceType, dict[int, datetime]] = {source: {} for source in SOURCES}
    for event, each in sorted(zip(events, recorded, strict=True), key=lambda both: both[1].envelope.time):
        tags = [known[tag_id.int] for tag_id in event.tag_ids]
        other = [
            known[event.creator_id.int],
            class_key(event.source_type, is_private=event.is_private),
            type_key(event.content_type),
            *quality_keys(event.quality_score),
        ]
        keys.append(tags + other)
        rows.append(_row(event.item_id, each.envelope.time, keys[-1]))
        if not event.is_private:
            counts[event.source_type].update(tags)
            latest[event.source_type].update(dict.fromkeys(tags, each.envelope.time))
    driver = await driver_of(connection)
    await driver.copy_to_table(
        search_rows.name, source=BytesIO(b"".join([*rows, _END])), columns=_COLUMNS, format="binary"
    )
    touch_items(connection, *keys)
    for source in SOURCES:
        await _move(connection, source, counts[source], latest[source])


@search_projection.on(ItemEdited)
async def _edited(connection: AsyncConnection, event: ItemEdited, _: Envelope) -> None:
    touch_items(connection, await _present(connection, event.item_id))


@search_projection.on(ItemRetagged)
async def _retagged(connection: AsyncConnection, event: ItemRetagged, envelope: Envelope) -> None:
    tags = await _keys(connection, event.tag_ids)
    await _change(connection, event.item_id, envelope.time, tags, Kind.TAG)


@search_projection.on(ItemTagsImplied)
async def _tags_implied(connection: AsyncConnection, event: ItemTagsImplied, envelope: Envelope) -> None:
    await _change(connection, event.item_id, envelope.time, await _keys(connection, [i.tag_id for i in event.implied]))


@search_projection.on(ItemMadePrivate)
async def _made_private(connection: AsyncConnection, event: ItemMadePrivate, envelope: Envelope) -> None:
    await _change_privacy(connection, event.item_id, envelope.time, is_private=True)


@search_projection.on(ItemMadePublic)
async def _made_public(connection: AsyncConnection, event: ItemMadePublic, envelope: Envelope) -> None:
    await _change_privacy(connection, event.item_id, envelope.time, is_private=False)


@search_projection.on(ItemQualityChanged)
async def _quality_changed(connection: AsyncConnection, event: ItemQualityChanged, envelope: Envelope) -> None:
    keys = quality_keys(event.quality_score)
    await _change(connection, event.item_id, envelope.time, keys, Kind.QUALITY, Kind.QUALITY_RANGE)


@search_projection.on(ItemDeleted)
async def _deleted(connection: AsyncConnection, event: ItemDeleted, envelope: Envelope) -> None:
    keys = await _present(connection, event.item_id)
    touch_items(connection, keys)
    await connection.execute(search_rows.delete().where(search_rows.c.item_id == event.item_id))
    await _count(connection, keys, [], envelope.time)


@search_projection.on(TagParentAdded, TagParentRemoved, TagAliasAdded, TagAliasRemoved)
async def _words_changed(connection: AsyncConnection, event: Event, _: Envelope) -> None:  # noqa: ARG001 - any of them
    touch_names(connection)
    await connection.execute(_CHANGE_WORDS)


@search_projection.on(UserProfileChanged)
async def _user_renamed(connection: AsyncConnection, event: UserProfileChanged, _: Envelope) -> None:
    if event.username is not None:
        touch_names(connection)


async def _keys(connection: AsyncConnection, ids: Sequence[UUID]) -> list[int]:
    """The keys of tags and creators, in their order."""
    found = {row.id: row.key for row in await connection.execute(_KEYS, {"ids": list(ids)})}
    return [found[id_] for id_ in ids]


async def _present(connection: AsyncConnection, item_id: int) -> list[int]:
    keys: list[int] = (await connection.execute(_PRESENT, {"item_id": item_id})).scalar_one()
    return keys


async def _change_privacy(connection: AsyncConnection, item_id: int, time: datetime, *, is_private: bool) -> None:
    (old,) = [key for key in await _present(connection, item_id) if kind_of(key) == Kind.CLASS]
    new = class_key(source_of(old), is_private=is_private)
    await _change(connection, item_id, time, [new], Kind.CLASS)


async def _change(
    connection: AsyncConnection, item_id: int, time: datetime, added: Sequence[int], *replaced: Kind
) -> None:
    """Gives the item these keys in the place of all that it has of the replaced kinds."""
    old = await _present(connection, item_id)
    together = dict.fromkeys([*without(old, *replaced), *added])
    new = sorted(together, key=lambda key: kind_of(key) != Kind.TAG)
    touch_items(connection, old, new)
    if new != old:
        await connection.execute(search_rows.update().where(search_rows.c.item_id == item_id).values(keys=new))
        await _count(connection, old, new, time)


async def _count(connection: AsyncConnection, old: Sequence[int], new: Sequence[int], time: datetime) -> None:
    """Counts the public tags that are new, and those that are no more."""
    changes = Counter(_public_tags(new))
    changes.subtract(_public_tags(old))
    counted = {key: change for key, change in changes.items() if change}
    if counted:
        (source,) = {source_of(key) for key in new or old if kind_of(key) == Kind.CLASS}
        await _move(connection, source, counted, dict.fromkeys(counted, time))


async def _move(
    connection: AsyncConnection, source: SourceType, changes: Mapping[int, int], times: Mapping[int, datetime]
) -> None:
    """Counts of tags by so much, each as of its own time: what came together live need not in a rebuild."""
    if changes:
        columns = {
            "keys": list(changes),
            "changes": list(changes.values()),
            "times": [times[key] for key in changes],
        }
        await connection.execute(_COUNT, {"source": source, **columns})


def _public_tags(keys: Sequence[int]) -> list[int]:
    if any(kind_of(key) == Kind.CLASS and is_private(key) for key in keys):
        return []
    return tags_among(keys)


# In Postgres' own format for copies: the driver takes longer for the keys of an item than for all else of it.
_COLUMNS = ("item_id", "created_at", "keys")
_BEGIN = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END = b"\xff\xff"
_HEAD = Struct("!hiqiqiiiiii")
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_INT4 = 23
"""The type's number, in every Postgres."""


def _row(item_id: int, created_at: datetime, keys: Sequence[int]) -> bytes:
    microseconds = (created_at - _EPOCH) // timedelta(microseconds=1)
    values = array("i", [4]) * (2 * len(keys))  # each behind its size
    values[1::2] = array("i", keys)
    if sys.byteorder == "little":
        values.byteswap()
    size = 20 + 8 * len(keys)  # of the array: dimensions, no nulls, type, length, first index, values
    return _HEAD.pack(3, 8, item_id, 8, microseconds, size, 1, 0, _INT4, len(keys), 1) + values.tobytes()


_KEYS = text("SELECT id, key FROM search_keys WHERE id = ANY(CAST(:ids AS uuid[]))")

_PRESENT = text("SELECT keys FROM search_rows WHERE item_id = :item_id")

# In one order everywhere, so that two who count the same tags wait for each other, and never both.
_COUNT = text("""
INSERT INTO tag_cardinality_stats AS stats (tag_id, content_source, cardinality, updated_at)
SELECT k.id, :source, c.change, c.time
FROM unnest(CAST(:keys AS int[]), CAST(:changes AS int[]), CAST(:times AS timestamptz[])) AS c (key, change, time)
JOIN search_keys k ON k.key = c.key
ORDER BY k.id
ON CONFLICT (tag_id, content_source) DO UPDATE
SET cardinality = stats.cardinality + excluded.cardinality, updated_at = greatest(stats.updated_at, excluded.updated_at)
""")

_CHANGE_WORDS = text("""
INSERT INTO search_word_revision AS known (id, revision) VALUES (1, 1)
ON CONFLICT (id) DO UPDATE SET revision = known.revision + 1
""")
