"""Pages of items: found by keys, in any order, with an exact total.

By time, which is how the bits are ordered, any page costs the same. By another value there are two ways: to fetch all
that is found and sort it, when it is little, and to walk the index of that value until the page is full, when it is
much. Where a page by quality is, the bits tell, because they know steps of it.
"""

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple, cast
from uuid import UUID

import asyncpg
from sqlalchemy import ARRAY, BigInteger, ColumnElement, Select, any_, literal, text
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.items.queries import with_phrases
from genonaut.content.items.tables import items
from genonaut.content.search import arrays, segments
from genonaut.content.search.arrays import condition, named
from genonaut.content.search.domain import Named, Wanted, is_whole_step, term_of
from genonaut.content.search.guards import guards_of
from genonaut.content.search.matches import Bound, Loose, Matches, Place, SortKey
from genonaut.content.search.planner import Knobs, Plan, Strategy, plan, tell
from genonaut.content.search.quality import near
from genonaut.content.search.segments import Block, all_blocks
from genonaut.content.search.terms import Except, Has, Term
from genonaut.content.search.words import keys_of, resolved
from genonaut.platform.database import driver_of
from genonaut.platform.http.cursors import Position
from genonaut.platform.http.lists import ListQuery, Page, fetch_page

GATHERED = 3_000
"""As many items are fetched and sorted rather than looked for in the order of a value."""
WALKED = 30_000
"""After so many rows without a full page, or as many as are found when that is more, these are fetched and sorted."""
STRIDE = 256
"""As many rows are walked at first, then twice as many each time, up to 32 times."""
LOOKED_AT = 1_000
"""More rows than so many are not looked at one by one, whatever was expected, when there are bits."""
TESTED = 20_000
"""As many items are tested one by one for what no key says."""


class _Snapshot(NamedTuple):
    """What everything is read from."""

    connection: AsyncConnection
    driver: asyncpg.Connection
    words: int
    """The revision of what they mean."""
    blocks: Sequence[Block]

    @classmethod
    async def of(cls, connection: AsyncConnection) -> "_Snapshot":
        words, blocks = await all_blocks(connection)
        return cls(connection, await driver_of(connection), words, blocks)

    async def named(self, wanted: Wanted) -> Named:
        return await resolved(self.connection, wanted, self.words)


@dataclass(frozen=True, kw_only=True)
class _Search:
    term: Term
    plan: Plan
    conditions: Sequence[ColumnElement[bool]] = ()
    """On the table of items, for what no key says."""
    since: datetime | None = None
    counted: Sequence[Term] = ()
    """What else is to be counted."""


class _Found(NamedTuple):
    matches: Matches
    start: Bound | None
    """Where the page starts, of one by time that a cursor asks for."""
    counts: Sequence[int]
    """Of what else was to be counted."""


async def page(
    connection: AsyncConnection, wanted: Wanted, query: ListQuery, statement: Select[Any], *, knobs: Knobs
) -> Page:
    """One page of what is wanted, as `statement` selects it, which has every item and is not ordered.

    The guarantees are those of `fetch_page`. `connection` reads one snapshot.
    """
    page, _ = await page_and_counts(connection, wanted, query, statement, knobs=knobs, counted=())
    return page


async def page_and_counts(
    connection: AsyncConnection,
    wanted: Wanted,
    query: ListQuery,
    statement: Select[Any],
    *,
    knobs: Knobs,
    counted: Sequence[Wanted],
) -> tuple[Page, Sequence[int]]:
    """`page` and `counts` of the same moment."""
    snapshot = await _Snapshot.of(connection)
    search = await _search(snapshot, wanted, knobs, await _terms(snapshot, counted))
    found = await _found(snapshot, search, query, knobs)
    return await _page(snapshot, search, found, query, statement), found.counts


async def counts(connection: AsyncConnection, wanted: Sequence[Wanted]) -> Sequence[int]:
    """How many items there are of each, as far as keys tell. `connection` reads one snapshot."""
    snapshot = await _Snapshot.of(connection)
    return await segments.count(snapshot.driver, snapshot.blocks, await _terms(snapshot, wanted))


async def guards(connection: AsyncConnection, wanted: Sequence[Wanted]) -> Sequence[Collection[str] | None]:
    """What the list of each depends on, as `guards_of` says. `connection` reads one snapshot."""
    snapshot = await _Snapshot.of(connection)
    return [guards_of(each, await snapshot.named(each)) for each in wanted]


async def with_one_tag_and_not_the_other(
    connection: AsyncConnection, tag_id: UUID, other_id: UUID, *, most: int
) -> list[int]:
    """Items with the one and without the other, the latest `most` of them, whoever sees them."""
    keys = await keys_of(connection, {tag_id, other_id})
    return await latest(connection, [Except(Has(keys[tag_id]), Has(keys[other_id]))], most=most)


async def latest(connection: AsyncConnection, terms: Sequence[Term], *, most: int) -> list[int]:
    """The latest `most` items that each of the terms finds, whoever sees them. `connection` reads one snapshot."""
    if not terms:
        return []
    snapshot = await _Snapshot.of(connection)
    found = await segments.find_each(snapshot.driver, snapshot.blocks, terms)
    chosen = {place for each in found for place in each.between(max(0, len(each) - most), len(each))}
    return await _ids(snapshot.driver, list(chosen))


async def _terms(snapshot: _Snapshot, wanted: Sequence[Wanted]) -> Sequence[Term]:
    return [term_of(each, await snapshot.named(each)) for each in wanted]


async def _page(snapshot: _Snapshot, search: _Search, found: _Found, query: ListQuery, statement: Select[Any]) -> Page:
    connection, matches, by_time = snapshot.connection, found.matches, query.sort == "created_at"
    if search.conditions and len(matches) > TESTED:
        return await fetch_page(connection, _scanned(statement, search), query)
    # A cursor that knows of nothing ahead of it was written when all was fetched, and so is this page.
    counted = query.start is not None and query.start.ahead is None
    if search.conditions or (not by_time and (counted or len(matches) <= GATHERED)):
        ids = await _ids(snapshot.driver, matches.between(0, len(matches)))
        return await fetch_page(connection, statement.where(_among(ids), *search.conditions), query)
    if by_time:
        return await _by_time(connection, found, query, statement)
    return await _walked(snapshot, matches, query, statement)


async def _found(snapshot: _Snapshot, search: _Search, query: ListQuery, knobs: Knobs) -> _Found:
    driver, blocks = snapshot.driver, snapshot.blocks
    bounds: list[SortKey] = [(search.since, 0)] if search.since else []
    if query.sort == "created_at" and query.start is not None:
        bounds.append(_beside(query, query.start))
    began, way, looked_at = time.perf_counter(), search.plan, None
    if way.strategy is not Strategy.SEGMENTS:
        indexed = way.strategy is Strategy.ARRAY_GIN
        most = LOOKED_AT if knobs.enable_segments else None
        looked_at = await arrays.find(driver, search.term, bounds, indexed=indexed, most=most)
    if looked_at:
        matches, places = looked_at
        counts = await segments.count(driver, blocks, search.counted)
    else:
        way = replace(way, strategy=Strategy.SEGMENTS)  # whatever was expected: what is private is in no count
        matches, places, counts = await segments.find(driver, blocks, search.term, bounds, search.counted)
    tell(way, found=len(matches), seconds=time.perf_counter() - began, telemetry=knobs.telemetry)
    if search.since:
        matches = matches.from_(places.pop(0))
    return _Found(matches, places[0] if places else None, counts)


async def _search(snapshot: _Snapshot, wanted: Wanted, knobs: Knobs, counted: Sequence[Term]) -> _Search:
    named = await snapshot.named(wanted)
    conditions = list(with_phrases(wanted.phrases))
    if wanted.metadata:
        conditions.append(items.c.item_metadata.contains(wanted.metadata))
    if wanted.min_quality is not None and not is_whole_step(wanted.min_quality):
        conditions.append(items.c.quality_score >= wanted.min_quality)
    total = sum(block.positions for block in snapshot.blocks)
    way = plan(named.tags, named.counts, every=wanted.every_tag, total=total, knobs=knobs)
    return _Search(term=term_of(wanted, named), plan=way, conditions=conditions, since=wanted.since, counted=counted)


def _beside(query: ListQuery, start: Position) -> SortKey:
    """What has smaller sort keys lies on one side of the row that the page starts at, what has not on the other."""
    older = query.descending is not query.backward
    return cast("SortKey", (start.value, start.key if older else start.key + 1))


async def _by_time(connection: AsyncConnection, found: _Found, query: ListQuery, statement: Select[Any]) -> Page:
    matches, total = found.matches, len(found.matches)
    falling = query.descending is not query.backward
    before = matches.before(found.start) if found.start else total if falling else 0
    ahead = before if falling else total - before
    skip = query.skipped(total, ahead)
    size = min(query.size, ahead) if query.backward else min(query.size, max(0, total - skip))
    first = total - skip - size if query.descending else skip
    chosen = matches.between(first, first + size)
    rows = await _rows_at(connection, statement, chosen)
    rows.sort(key=lambda row: (row["created_at"], row["id"]), reverse=query.descending)
    return query.paged(
        rows,
        [(row["created_at"], row["id"]) for row in rows],
        total=total,
        skip=skip,
        has_previous=skip > 0 and total > 0,
        has_next=skip + size < total,
    )


async def _walked(snapshot: _Snapshot, matches: Matches, query: ListQuery, statement: Select[Any]) -> Page:
    """By a value that the bits are not ordered by."""
    total, start = len(matches), query.start
    ahead = total
    if start is not None and start.ahead is not None:  # as it was when the cursor was written
        ahead = min(total, start.ahead if query.backward else max(0, total - start.ahead))
    skip = query.skipped(total, ahead)
    passed = 0 if start is not None or query.backward else skip
    place = None if start is None else (start.value, start.key)
    found = None
    if query.sort == "quality_score" and len(matches.loose) <= GATHERED:
        falling, wanted = query.descending is not query.backward, passed + query.size + 1
        around = await near(
            snapshot.driver, snapshot.blocks, matches, falling=falling, place=place, passed=passed, wanted=wanted
        )
        passed, place = passed - around.skipped, around.place
        if len(around.candidates) <= GATHERED:
            found = await _sorted(snapshot.driver, around.candidates, query, place, passed + query.size + 1)
    if found is None:
        found = await _walk(snapshot.driver, matches, query, place, passed + query.size + 1)
    if found is None:
        found = await _sorted(snapshot.driver, matches, query, place, passed + query.size + 1)
    chosen = found[passed : passed + query.size]
    more = len(found) > passed + query.size
    if query.backward:
        chosen.reverse()
    rows = await _rows(snapshot.connection, statement, [item_id for item_id, _ in chosen])
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
    driver: asyncpg.Connection, matches: Matches, query: ListQuery, place: tuple[Any, int] | None, wanted: int
) -> list[tuple[int, Any]] | None:
    """Ids and sort values of the first `wanted` that are found beyond the place. None when it takes too long."""
    found: list[tuple[int, Any]] = []
    walked, chunk = 0, STRIDE
    while walked < max(WALKED, len(matches)):
        beyond = "" if place is None else "WHERE ({column}, {key}) {compare} ($2, $3)"
        rows = await driver.fetch(_in_order(_WALK, query, beyond), chunk, *(place or ()))
        for item_id, value, block, position in rows:
            if matches.has(item_id, block, position):
                found.append((item_id, value))
                if len(found) == wanted:
                    return found
        if len(rows) < chunk:
            return found
        walked, place, chunk = walked + chunk, (rows[-1]["value"], rows[-1]["id"]), min(chunk * 2, STRIDE * 32)
    return None


async def _sorted(
    driver: asyncpg.Connection, matches: Matches, query: ListQuery, place: tuple[Any, int] | None, wanted: int
) -> list[tuple[int, Any]]:
    """As `_walk`, out of all that is found."""
    beyond = "" if place is None else "AND ({column}, {key}) {compare} ($3, $4)"
    ids = await _ids(driver, matches.between(0, len(matches)))
    rows = await driver.fetch(_in_order(_SORTED, query, beyond), ids, wanted, *(place or ()))
    return [(item_id, value) for item_id, value in rows]


def _in_order(statement: str, query: ListQuery, beyond: str) -> str:
    """The statement for the sort value and the walking order of the query, from what comes `beyond` a place."""
    table, key = ("item_popularity", "item_id") if query.sort == "popularity" else (items.name, "id")
    order, compare = ("DESC", "<") if query.descending is not query.backward else ("ASC", ">")
    beyond = beyond.format(column=query.sort, key=key, compare=compare)
    return statement.format(table=table, key=key, column=query.sort, order=order, beyond=beyond)


async def _ids(driver: asyncpg.Connection, chosen: Sequence[Place | Loose]) -> list[int]:
    """The ids of the items at these places, in their order."""
    places = [each for each in chosen if isinstance(each, Place)]
    stored = await driver.fetch(_ITEMS, [place.block for place in places], [place.position for place in places])
    at = {(block, position): item_id for block, position, item_id in stored}
    return [each.item_id if isinstance(each, Loose) else at[each.block, each.position] for each in chosen]


async def _rows_at(
    connection: AsyncConnection, statement: Select[Any], chosen: Sequence[Place | Loose]
) -> list[dict[str, Any]]:
    """The rows of the items at these places, in any order."""
    places = [each for each in chosen if isinstance(each, Place)]
    at = {
        "blocks": [place.block for place in places],
        "positions": [place.position for place in places],
        "loose": [each.item_id for each in chosen if isinstance(each, Loose)],
    }
    result = await connection.execute(_at(statement), at)
    names = tuple(result.keys())
    return [dict(zip(names, row, strict=True)) for row in result]


@lru_cache(maxsize=16)
def _at(statement: Select[Any]) -> Select[Any]:
    """The same for the same statement, which SQLAlchemy then need not look through each time."""
    return statement.where(_AT)


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


_AT = text(f"""
{items.name}.id = ANY (CAST(:loose AS bigint[]) || ARRAY(
    SELECT p.item_id FROM unnest(CAST(:blocks AS int[]), CAST(:positions AS int[])) AS w (block, position)
    JOIN search_positions p ON p.block = w.block AND p.position = w.position))
""")

_ITEMS = """
SELECT p.block, p.position, p.item_id
FROM unnest($1::int[], $2::int[]) AS w (block, position)
JOIN search_positions p ON p.block = w.block AND p.position = w.position
"""

# OFFSET 0, or all positions may be read for the sake of some thousand.
_WALK = """
SELECT i.id, i.{column} AS value, p.block, p.position
FROM (SELECT {key} AS id, {column} FROM {table} {beyond} ORDER BY {column} {order}, {key} {order} LIMIT $1) i
LEFT JOIN LATERAL (SELECT block, position FROM search_positions WHERE item_id = i.id OFFSET 0) p ON true
ORDER BY i.{column} {order}, i.id {order}
"""

_SORTED = """
SELECT {key}, {column} FROM {table} WHERE {key} = ANY($1::bigint[]) {beyond}
ORDER BY {column} {order}, {key} {order} LIMIT $2
"""
