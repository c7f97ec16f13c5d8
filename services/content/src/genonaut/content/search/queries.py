"""Pages of items: found by keys, in any order, with an exact total.

By time, which is how the bits are ordered, any page costs the same. By another value there are two ways: to fetch all
that is found and sort it, when it is little, and to walk the index of that value until the page is full, when it is
much.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast
from uuid import UUID

import asyncpg
from sqlalchemy import ARRAY, BigInteger, ColumnElement, Select, any_, literal, text
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.items.queries import with_phrases
from genonaut.content.items.tables import items
from genonaut.content.search import arrays
from genonaut.content.search.arrays import condition, named
from genonaut.content.search.domain import Named, Wanted, is_whole_step, term_of
from genonaut.content.search.matches import Bound, Loose, Matches, Place, SortKey
from genonaut.content.search.planner import Knobs, Plan, Strategy, plan, tell
from genonaut.content.search.segments import find
from genonaut.content.search.terms import Except, Has, Term
from genonaut.content.tags.queries import meant
from genonaut.platform.database import driver_of
from genonaut.platform.http.cursors import Position
from genonaut.platform.http.lists import ListQuery, Page, fetch_page

GATHERED = 3_000
"""As many items are fetched and sorted rather than looked for in the order of a value."""
WALKED = 30_000
"""After so many rows without a full page it is better to fetch and sort what is found, however much that is."""
TESTED = 20_000
"""As many items are tested one by one for what no key says."""


@dataclass(frozen=True, kw_only=True)
class _Search:
    term: Term
    plan: Plan
    conditions: Sequence[ColumnElement[bool]] = ()
    """On the table of items, for what no key says."""
    since: datetime | None = None


async def page(
    connection: AsyncConnection, wanted: Wanted, query: ListQuery, statement: Select[Any], *, knobs: Knobs
) -> Page:
    """One page of what is wanted, as `statement` selects it, which has every item and is not ordered.

    The guarantees are those of `fetch_page`. `connection` reads one snapshot.
    """
    search = await _search(connection, wanted, knobs)
    driver = await driver_of(connection)
    by_time = query.sort == "created_at"
    bounds: list[SortKey] = [(search.since, 0)] if search.since else []
    if by_time and query.start is not None:
        bounds.append(_beside(query, query.start))
    matches, places = await _found(driver, search, bounds, knobs)
    if search.since:
        matches = matches.from_(places.pop(0))
    if search.conditions and len(matches) > TESTED:
        return await fetch_page(connection, _scanned(statement, search), query)
    if search.conditions or (not by_time and len(matches) <= GATHERED):
        gathered = statement.where(_among(await _ids(driver, matches.between(0, len(matches)))))
        return await fetch_page(connection, gathered.where(*search.conditions), query)
    if by_time:
        return await _by_time(connection, matches, query, statement, places[0] if places else None)
    return await _walked(connection, matches, query, statement)


async def counts(connection: AsyncConnection, wanted: Sequence[Wanted]) -> list[int]:
    """How many items there are of each, as far as keys tell. `connection` reads one snapshot."""
    terms = [term_of(each, await _named(connection, each)) for each in wanted]
    found, _ = await find(await driver_of(connection), terms)
    return [len(matches) for matches in found]


async def with_one_tag_and_not_the_other(
    connection: AsyncConnection, tag_id: UUID, other_id: UUID, *, most: int
) -> list[int]:
    """Items with the one and without the other, the latest `most` of them, whoever sees them."""
    rows = await connection.execute(_KEYS, {"ids": [tag_id, other_id]})
    keys = {row.id: row.key for row in rows}
    driver = await driver_of(connection)
    (matches,), _ = await find(driver, [Except(Has(keys[tag_id]), Has(keys[other_id]))])
    return await _ids(driver, matches.between(max(0, len(matches) - most), len(matches)))


async def latest(connection: AsyncConnection, terms: Sequence[Term], *, most: int) -> list[int]:
    """The latest `most` items that each of the terms finds, whoever sees them. `connection` reads one snapshot."""
    if not terms:
        return []
    driver = await driver_of(connection)
    found, _ = await find(driver, terms)
    chosen = {place for each in found for place in each.between(max(0, len(each) - most), len(each))}
    return await _ids(driver, list(chosen))


async def _found(
    driver: asyncpg.Connection, search: _Search, bounds: Sequence[SortKey], knobs: Knobs
) -> tuple[Matches, list[Bound]]:
    began = time.perf_counter()
    if search.plan.strategy is Strategy.SEGMENTS:
        (matches,), places = await find(driver, [search.term], bounds)
    else:
        indexed = search.plan.strategy is Strategy.ARRAY_GIN
        matches, places = await arrays.find(driver, search.term, bounds, indexed=indexed)
    tell(search.plan, found=len(matches), seconds=time.perf_counter() - began, telemetry=knobs.telemetry)
    return matches, places


async def _search(connection: AsyncConnection, wanted: Wanted, knobs: Knobs) -> _Search:
    named = await _named(connection, wanted)
    conditions = list(with_phrases(wanted.phrases))
    if wanted.metadata:
        conditions.append(items.c.item_metadata.contains(wanted.metadata))
    if wanted.min_quality is not None and not is_whole_step(wanted.min_quality):
        conditions.append(items.c.quality_score >= wanted.min_quality)
    way = plan(named.tags, named.counts, every=wanted.every_tag, total=named.total, knobs=knobs)
    return _Search(term=term_of(wanted, named), plan=way, conditions=conditions, since=wanted.since)


async def _named(connection: AsyncConnection, wanted: Wanted) -> Named:
    meanings = await meant(connection, [*wanted.tags, *wanted.unwanted_tags])
    tags, unwanted = meanings[: len(wanted.tags)], meanings[len(wanted.tags) :]
    ids = {id_ for group in [*tags, *unwanted] for id_ in group} | {wanted.viewer, wanted.creator_id}
    rows = (await connection.execute(_KEYS, {"ids": [id_ for id_ in ids if id_]})).all()
    keys: dict[UUID | None, int] = {row.id: row.key for row in rows}
    return Named(
        viewer=keys.get(wanted.viewer),
        creator=keys.get(wanted.creator_id),
        tags=[[keys[tag_id] for tag_id in group if tag_id in keys] for group in tags],
        unwanted_tags=[[keys[tag_id] for tag_id in group if tag_id in keys] for group in unwanted],
        counts={row.key: row.cardinality for row in rows},
        total=rows[0].total if rows else 0,
    )


def _beside(query: ListQuery, start: Position) -> SortKey:
    """What has smaller sort keys lies on one side of the row that the page starts at, what has not on the other."""
    older = query.descending is not query.backward
    return cast("SortKey", (start.value, start.key if older else start.key + 1))


async def _by_time(
    connection: AsyncConnection, matches: Matches, query: ListQuery, statement: Select[Any], start: Bound | None
) -> Page:
    total = len(matches)
    falling = query.descending is not query.backward
    before = matches.before(start) if start else total if falling else 0
    ahead = before if falling else total - before
    skip = query.skipped(total, ahead)
    size = min(query.size, ahead) if query.backward else min(query.size, max(0, total - skip))
    first = total - skip - size if query.descending else skip
    chosen = matches.between(first, first + size)
    ids = await _ids(await driver_of(connection), chosen[::-1] if query.descending else chosen)
    rows = await _rows(connection, statement, ids)
    return query.paged(
        rows,
        [(row["created_at"], row["id"]) for row in rows],
        total=total,
        skip=skip,
        has_previous=skip > 0 and total > 0,
        has_next=skip + size < total,
    )


async def _walked(connection: AsyncConnection, matches: Matches, query: ListQuery, statement: Select[Any]) -> Page:
    """By a value that the bits are not ordered by."""
    driver = await driver_of(connection)
    total, start = len(matches), query.start
    ahead = total
    if start is not None and start.ahead is not None:  # as it was when the cursor was written
        ahead = min(total, start.ahead if query.backward else max(0, total - start.ahead))
    skip = query.skipped(total, ahead)
    passed = 0 if start is not None or query.backward else skip
    found = await _walk(driver, matches, query, passed + query.size + 1)
    if found is None:
        gathered = statement.where(_among(await _ids(driver, matches.between(0, total))))
        return await fetch_page(connection, gathered, query)
    chosen = found[passed : passed + query.size]
    more = len(found) > passed + query.size
    if query.backward:
        chosen.reverse()
    rows = await _rows(connection, statement, [item_id for item_id, _ in chosen])
    return query.paged(
        rows,
        [(value, item_id) for item_id, value in chosen],
        total=total,
        skip=skip,
        has_previous=more if query.backward else start is not None or (total > 0 and skip > 0),
        has_next=(start is not None or total > ahead) if query.backward else more,
        counted=False,
    )


async def _walk(
    driver: asyncpg.Connection, matches: Matches, query: ListQuery, wanted: int
) -> list[tuple[int, Any]] | None:
    """Ids and sort values of the first `wanted` that are found in walking order. None when it takes too long."""
    falling = query.descending is not query.backward
    order, compare = ("DESC", "<") if falling else ("ASC", ">")
    found: list[tuple[int, Any]] = []
    table, key = ("item_popularity", "item_id") if query.sort == "popularity" else (items.name, "id")
    place = None if query.start is None else (query.start.value, query.start.key)
    walked, chunk = 0, 256
    while walked < WALKED + 2 * wanted:
        beyond = "" if place is None else f"WHERE ({query.sort}, {key}) {compare} ($2, $3)"
        statement = _WALK.format(table=table, key=key, column=query.sort, order=order, beyond=beyond)
        rows = await driver.fetch(statement, chunk, *(place or ()))
        for item_id, value, block, position in rows:
            if matches.has(item_id, None if block is None else Place(block, position)):
                found.append((item_id, value))
                if len(found) == wanted:
                    return found
        if len(rows) < chunk:
            return found
        walked, place, chunk = walked + chunk, (rows[-1]["value"], rows[-1]["id"]), min(chunk * 2, 8192)
    return None


async def _ids(driver: asyncpg.Connection, chosen: Sequence[Place | Loose]) -> list[int]:
    """The ids of the items at these places, in their order."""
    places = [each for each in chosen if isinstance(each, Place)]
    stored = await driver.fetch(_ITEMS, [place.block for place in places], [place.position for place in places])
    at = {(block, position): item_id for block, position, item_id in stored}
    return [each.item_id if isinstance(each, Loose) else at[each.block, each.position] for each in chosen]


async def _rows(connection: AsyncConnection, statement: Select[Any], ids: Sequence[int]) -> list[dict[str, Any]]:
    rows = {row["id"]: dict(row) for row in (await connection.execute(statement.where(_among(ids)))).mappings()}
    return [rows[item_id] for item_id in ids]


def _among(ids: Sequence[int]) -> ColumnElement[bool]:
    return items.c.id == any_(literal(list(ids), ARRAY(BigInteger)))


def _scanned(statement: Select[Any], search: _Search) -> Select[Any]:
    arguments: dict[str, list[int]] = {}
    met = condition(search.term, "r.keys", named(arguments))
    found = text(f"{items.name}.id IN (SELECT r.item_id FROM search_rows r WHERE {met})").bindparams(**arguments)
    statement = statement.where(found, *search.conditions)
    return statement.where(items.c.created_at >= search.since) if search.since else statement


_KEYS = text("""
SELECT k.id, k.key,
       (SELECT coalesce(sum(s.cardinality), 0)::bigint
        FROM tag_cardinality_stats s WHERE s.tag_id = k.id) AS cardinality,
       (SELECT coalesce(sum(b.next_position), 0) FROM search_blocks b) AS total
FROM search_keys k WHERE k.id = ANY(CAST(:ids AS uuid[]))
""")

_ITEMS = """
SELECT p.block, p.position, p.item_id
FROM unnest($1::int[], $2::int[]) AS w (block, position)
JOIN search_positions p ON p.block = w.block AND p.position = w.position
"""

_WALK = """
SELECT i.id, i.{column} AS value, p.block, p.position
FROM (SELECT {key} AS id, {column} FROM {table} {beyond} ORDER BY {column} {order}, {key} {order} LIMIT $1) i
LEFT JOIN search_positions p ON p.item_id = i.id
ORDER BY i.{column} {order}, i.id {order}
"""
