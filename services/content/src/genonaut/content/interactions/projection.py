"""Interaction events into the rows and into every counter, and item events into what counting needs to know of items.

In batches: what a batch does is added up first, so that a thousand interactions are as few statements as one. All who
write take their rows in the same order (items, users, pairs, creators, counts of items, totals, popularity; each by
key), the most wanted ones last, so that nobody waits in a circle, or for long.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Table, TextClause, any_, literal, select, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.interactions.counting import (
    ALL,
    EVERYONE,
    ITEMS,
    USERS,
    Counted,
    K,
    Moved,
    Moves,
    stripe_of_item,
    stripe_of_user,
)
from genonaut.content.interactions.tables import (
    client_ids,
    interactions,
    item_counts,
    item_facts,
    pairs,
    popularity,
    totals,
    user_counts,
    user_creators,
)
from genonaut.contracts.content import (
    InteractionChanged,
    InteractionDeleted,
    InteractionRecorded,
    ItemCreated,
    ItemDeleted,
    ItemMadePrivate,
    ItemMadePublic,
)
from genonaut.platform.database import driver_of
from genonaut.platform.projections import Projection, Recorded

interactions_projection = Projection(
    "interactions",
    interactions,
    client_ids,
    item_facts,
    user_counts,
    pairs,
    user_creators,
    item_counts,
    totals,
    popularity,
    reads=(
        InteractionRecorded,
        InteractionChanged,
        InteractionDeleted,
        ItemCreated,
        ItemMadePrivate,
        ItemMadePublic,
        ItemDeleted,
    ),
)

Row = dict[str, Any]
"""Of the table of interactions, by column."""


@dataclass(frozen=True)
class _Item:
    creator_id: UUID
    kind: str
    audience: UUID


@interactions_projection.in_batches
async def _apply(connection: AsyncConnection, recorded: Sequence[Recorded]) -> None:
    for is_privacy, run in groupby(recorded, lambda each: isinstance(each.event, ItemMadePrivate | ItemMadePublic)):
        if is_privacy:
            for each in run:
                await _privacy_changed(connection, each.event)  # type: ignore[arg-type]  # the run is of these
        else:
            await _without_changes_of_privacy(connection, list(run))


async def _without_changes_of_privacy(connection: AsyncConnection, run: Sequence[Recorded]) -> None:
    # Whatever their order in the log: an item is created before anything else, and one that is deleted stays so.
    created = [each.event for each in run if isinstance(each.event, ItemCreated)]
    deleted = [each.event.item_id for each in run if isinstance(each.event, ItemDeleted)]
    of_interactions = [each for each in run if not isinstance(each.event, ItemCreated | ItemDeleted)]
    if created:
        driver = await driver_of(connection)
        facts = [tuple(_facts_of(event).values()) for event in created]
        await driver.copy_records_to_table(item_facts.name, records=facts, columns=_FACTS)
        zeros = [(event.item_id, 0) for event in created]
        await driver.copy_records_to_table(popularity.name, records=zeros, columns=["item_id", "popularity"])
    if of_interactions:
        await _interactions(connection, of_interactions)
    if deleted:
        gone = popularity.c.item_id == any_(literal(deleted, ARRAY(popularity.c.item_id.type)))
        await connection.execute(popularity.delete().where(gone))


_FACTS = ["item_id", "creator_id", "kind", "audience"]


def _facts_of(event: ItemCreated) -> Row:
    return {
        "item_id": event.item_id,
        "creator_id": event.creator_id,
        "kind": f"{event.source_type}/{event.content_type}",
        "audience": event.creator_id if event.is_private else EVERYONE,
    }


async def _interactions(connection: AsyncConnection, recorded: Sequence[Recorded]) -> None:
    items = await _held(connection, {_event(each).content_item_id for each in recorded})
    new = {each.event.interaction_id for each in recorded if isinstance(each.event, InteractionRecorded)}
    before = await _present(connection, {_event(each).interaction_id for each in recorded} - new)
    after: dict[int, Row | None] = dict(before)
    for each in recorded:
        interaction_id = _event(each).interaction_id
        after[interaction_id] = _after(each, after.get(interaction_id), items)
    moved = Moved()
    for interaction_id, row in after.items():
        moved.change(_counted(before.get(interaction_id), items), _counted(row, items))
    await _write(connection, after)
    await _name(connection, recorded)
    await _count(connection, moved, items)


def _event(recorded: Recorded) -> InteractionRecorded | InteractionChanged | InteractionDeleted:
    return recorded.event  # type: ignore[return-value]  # what it reads, less the events of items


def _after(recorded: Recorded, row: Row | None, items: Mapping[int, _Item]) -> Row | None:
    """What has become of the row."""
    event, time = _event(recorded), recorded.envelope.time
    if isinstance(event, InteractionDeleted):
        return None
    said = {
        "interaction_type": event.interaction_type,
        "rating": event.rating,
        "duration": event.duration,
        "metadata": event.metadata,
        "updated_at": time,
    }
    if row:
        return {**row, **said}
    return {
        "id": event.interaction_id,
        "user_id": event.user_id,
        "content_item_id": event.content_item_id,
        "audience": items[event.content_item_id].audience,
        "created_at": time,
        **said,
    }


def _counted(row: Row | None, items: Mapping[int, _Item]) -> Counted | None:
    if row is None:
        return None
    item = items[row["content_item_id"]]
    return Counted(
        user_id=row["user_id"],
        item_id=row["content_item_id"],
        creator_id=item.creator_id,
        kind=item.kind,
        audience=item.audience,
        interaction_type=row["interaction_type"],
        rating=row["rating"],
        duration=row["duration"],
        created_at=row["created_at"],
    )


async def _held(connection: AsyncConnection, item_ids: Iterable[int]) -> dict[int, _Item]:
    """The items, whose privacy does not change before this transaction ends. Others may hold them, too."""
    held = (
        select(item_facts)
        .where(item_facts.c.item_id == any_(literal(list(item_ids), ARRAY(item_facts.c.item_id.type))))
        .order_by(item_facts.c.item_id)
        .with_for_update(read=True)
    )
    rows = (await connection.execute(held)).all()
    return {row.item_id: _Item(row.creator_id, row.kind, row.audience) for row in rows}


async def _present(connection: AsyncConnection, interaction_ids: Iterable[int]) -> dict[int, Row]:
    """The rows as they are, by their ids."""
    wanted = list(interaction_ids)
    if not wanted:
        return {}
    present = select(interactions).where(interactions.c.id == any_(literal(wanted, ARRAY(interactions.c.id.type))))
    return {row["id"]: dict(row) for row in (await connection.execute(present)).mappings()}


async def _write(connection: AsyncConnection, after: Mapping[int, Row | None]) -> None:
    there = [row for row in after.values() if row]
    gone = [interaction_id for interaction_id, row in after.items() if row is None]
    if there:
        put = insert(interactions)
        said = ("interaction_type", "rating", "duration", "metadata", "updated_at")
        again = put.on_conflict_do_update(index_elements=["id"], set_={name: put.excluded[name] for name in said})
        await connection.execute(again, there)
    if gone:
        await connection.execute(
            interactions.delete().where(interactions.c.id == any_(literal(gone, ARRAY(interactions.c.id.type))))
        )


async def _name(connection: AsyncConnection, recorded: Sequence[Recorded]) -> None:
    names = [
        {"user_id": event.user_id, "client_id": event.client_id, "interaction_id": event.interaction_id}
        for each in recorded
        if isinstance(event := each.event, InteractionRecorded) and event.client_id is not None
    ]
    if names:
        await connection.execute(client_ids.insert(), sorted(names, key=lambda row: (row["user_id"], row["client_id"])))


async def _privacy_changed(connection: AsyncConnection, event: ItemMadePrivate | ItemMadePublic) -> None:
    """Moves every interaction with the item to its new audience, which takes time in proportion to their number."""
    of_item = item_facts.c.item_id == event.item_id
    # Those who record interactions with it hold its row: they have committed when this goes on, or wait for it.
    facts = (await connection.execute(select(item_facts).where(of_item).with_for_update())).one()
    audience = facts.creator_id if isinstance(event, ItemMadePrivate) else EVERYONE
    if audience == facts.audience:
        return
    before = {event.item_id: _Item(facts.creator_id, facts.kind, facts.audience)}
    after = {event.item_id: _Item(facts.creator_id, facts.kind, audience)}
    moved, any_at_all = Moved(), False
    counted = ("user_id", "content_item_id", "interaction_type", "rating", "duration", "created_at")
    rows = select(*(interactions.c[name] for name in counted)).where(interactions.c.content_item_id == event.item_id)
    async with connection.stream(rows) as found:
        async for mapping in found.mappings():
            row = dict(mapping)
            moved.change(_counted(row, before), _counted(row, after))
            any_at_all = True
    if any_at_all:
        moved.of_total(EVERYONE, ITEMS, stripe_of_item(event.item_id), 1 if audience == EVERYONE else -1)
    await connection.execute(item_facts.update().where(of_item).values(audience=audience))
    await connection.execute(
        interactions.update().where(interactions.c.content_item_id == event.item_id).values(audience=audience)
    )
    await _count(connection, moved, after)


async def _count(connection: AsyncConnection, moved: Moved, items: Mapping[int, _Item]) -> None:
    """Moves the counters; and with them, how many users and items are behind them."""
    for key, (shown, _) in (await add(connection, user_counts, moved.users)).items():
        user_id, *facet = key
        if tuple(facet) == ALL:
            change = appeared(shown, moved.users[key][0])
            moved.of_total(EVERYONE, USERS, stripe_of_user(user_id), change)
    for pair, (_, total) in (await add(connection, pairs, moved.pairs)).items():
        moved.of_item(pair[1], USERS, appeared(total, moved.pairs[pair][1]))
    await add(connection, user_creators, moved.creators)
    for of_item, (total,) in (await add(connection, item_counts, moved.items)).items():
        item_id, *facet = of_item
        if tuple(facet) == ALL and items[item_id].audience == EVERYONE:
            change = appeared(total, moved.items[of_item][0])
            moved.of_total(EVERYONE, ITEMS, stripe_of_item(item_id), change)
    await add(connection, totals, moved.totals)
    more_popular = {item_id: count for item_id, count in moved.popularity.items() if count}
    if more_popular:  # the item may be deleted, and then has no row
        await connection.execute(_POPULARITY, {"ids": list(more_popular), "counts": list(more_popular.values())})


def appeared(count: int, moved: int) -> int:
    """1 for what there was none of before it moved, -1 for what there is none of now."""
    return (count > 0) - (count - moved > 0)


async def add(connection: AsyncConnection, table: Table, moves: Moves[K]) -> dict[K, Sequence[int]]:
    """The counts of the rows that moved, by key. A row that counts nothing is gone."""
    width = len(table.primary_key)
    nothing = [0] * (len(table.columns) - width)
    moving = [(*key, *counts) for key, counts in moves.items() if counts != nothing]
    if not moving:
        return {}
    adding, cleaning = _statements(table)
    columns = dict(zip(table.columns.keys(), map(list, zip(*moving, strict=True)), strict=True))
    after: dict[K, Sequence[int]] = {
        cast("K", row[:width]): row[width:] for row in await connection.execute(adding, columns)
    }
    if tuple(nothing) in after.values():
        await connection.execute(cleaning, {column.name: columns[column.name] for column in table.primary_key})
    return after


@cache
def _statements(table: Table) -> tuple[TextClause, TextClause]:
    """One that adds to rows, in the order of their keys, and gives them; one that removes those that count nothing."""
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    array = {column.name: f"CAST(:{column.name} AS {column.type.compile(dialect)}[])" for column in table.columns}
    keys = [column.name for column in table.primary_key]
    counts = [name for name in array if name not in keys]
    added = ", ".join(f"{name} = t.{name} + excluded.{name}" for name in counts)
    adding = f"""
        INSERT INTO {table.name} AS t ({", ".join(array)})
        SELECT * FROM unnest({", ".join(array.values())}) AS more ({", ".join(array)}) ORDER BY {", ".join(keys)}
        ON CONFLICT ({", ".join(keys)}) DO UPDATE SET {added}
        RETURNING {", ".join(array)}
    """
    cleaning = f"""
        DELETE FROM {table.name} WHERE {" AND ".join(f"{name} = 0" for name in counts)}
        AND ({", ".join(keys)}) IN (SELECT * FROM unnest({", ".join(array[key] for key in keys)}))
    """
    return text(adding), text(cleaning)


_POPULARITY = text("""
UPDATE item_popularity p SET popularity = p.popularity + more.count
FROM unnest(CAST(:ids AS bigint[]), CAST(:counts AS bigint[])) AS more (item_id, count) WHERE p.item_id = more.item_id
""")
