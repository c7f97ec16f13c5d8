"""Pages and cursors against a plain Python model, on a real Postgres, with duplicates and NULLs in the sort column."""

import math
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any

import httpx
import pytest
import pytest_asyncio
from fastapi import Depends, FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from sqlalchemy import (
    BigInteger,
    Column,
    Date,
    DateTime,
    Double,
    Integer,
    MetaData,
    Numeric,
    Table,
    Text,
    Uuid,
    event,
    func,
    select,
    text,
)

from genonaut.platform.database import Database
from genonaut.platform.http.errors import install_errors
from genonaut.platform.http.lists import (
    ListBody,
    ListQuery,
    fetch_list,
    install_lists,
    list_query,
    nullable,
)
from genonaut.platform.http.middleware import install_middleware
from genonaut.platform.http.routing import Router
from genonaut.stack.servers import Postgres
from genonaut.testkit.servers import fresh_database

metadata = MetaData()
things = Table(
    "things",
    metadata,
    Column("id", BigInteger, primary_key=True),
    Column("rank", Integer, nullable=False),
    Column("score", Double),
    Column("price", Numeric),
    Column("at", DateTime(timezone=True)),
    Column("day", Date),
    Column("name", Text),
    Column("uid", Uuid),
)
notes = Table("notes", metadata, Column("thing_id", BigInteger, primary_key=True), Column("n", Integer, nullable=False))

LONG_AGO = datetime(2024, 1, 1, tzinfo=UTC)

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "rank": st.integers(-2, 2),
    "score": st.sampled_from([0.1, 0.1 + 2**-54, 0.30000000000000004, -1e300, math.inf, math.nan, 5e-324]),
    "price": st.sampled_from([Decimal("0.10"), Decimal("0.1000000000000000000001"), Decimal(3)]),
    "at": st.integers(0, 3).map(lambda n: LONG_AGO + timedelta(microseconds=n)),
    "day": st.integers(0, 2).map(lambda n: date(2024, 1, 1) + timedelta(days=n)),
    "name": st.text("ab", max_size=2),
    "uid": st.uuids(),
}
ROWS = st.lists(
    st.fixed_dictionaries({name: value if name == "rank" else st.none() | value for name, value in VALUES.items()}),
    max_size=25,
)


class Thing(BaseModel):
    id: int


class World:
    """The list under test, over HTTP, and the table behind it."""

    def __init__(self, database: Database, http: httpx.AsyncClient) -> None:
        self.database = database
        self.http = http

    async def hold(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        rows = [{"id": number, **row} for number, row in enumerate(rows, start=1)]
        async with self.database.transaction() as connection:
            await connection.execute(text("TRUNCATE things, notes"))
            if rows:
                await connection.execute(things.insert(), rows)
        return rows

    async def body(self, path: str = "/things", **parameters: Any) -> dict[str, Any]:
        response = await self.http.get(path, params=parameters)
        assert response.status_code == 200, response.text
        body: dict[str, Any] = response.json()
        return body

    async def problem(self, path: str = "/things", **parameters: Any) -> tuple[int, str, str]:
        response = await self.http.get(path, params=parameters)
        return response.status_code, response.json()["error_code"], response.json()["detail"]


def application(database: Database) -> FastAPI:
    sorts = {name: things.c[name] for name in VALUES}
    listed = Annotated[ListQuery, Depends(list_query(sorts, key=things.c.id, page_size=10))]
    joined = Annotated[
        ListQuery,
        Depends(
            list_query({"n": nullable(notes.c.n), "half": things.c.rank / 2, "rank": things.c.rank}, key=things.c.id)
        ),
    ]
    router = Router(prefix="/things")

    @router.get("")
    async def all_things(query: listed, at_least: int | None = None) -> ListBody[Thing]:
        statement = select(things)
        if at_least is not None:
            statement = statement.where(things.c.rank >= at_least)
        async with database.reading() as connection:
            return await fetch_list(connection, statement, query, Thing.model_validate)

    @router.get("/noted")
    async def noted(query: joined) -> ListBody[Thing]:
        statement = select(things.c.id).select_from(things.outerjoin(notes, notes.c.thing_id == things.c.id))
        async with database.reading() as connection:
            return await fetch_list(connection, statement, query, Thing.model_validate)

    @router.get("/counted")
    async def counted(query: listed) -> ListBody[Thing]:
        """All things, in two halves, by somebody who knows how many there are."""
        halves = [select(things).where(things.c.rank < 0), select(things).where(things.c.rank >= 0)]
        async with database.reading() as connection:
            total = await connection.scalar(select(func.count()).select_from(things))
            return await fetch_list(connection, halves, query, Thing.model_validate, total=total)

    @router.get("/halves")
    async def in_halves(query: listed) -> ListBody[Thing]:
        halves = [select(things).where(things.c.rank < 0), select(things).where(things.c.rank >= 0)]
        async with database.reading() as connection:
            return await fetch_list(connection, halves, query, Thing.model_validate)

    app = FastAPI(redirect_slashes=False)
    app.include_router(router)
    install_errors(app, clock=lambda: LONG_AGO, statement_timeout_ms=15_000)
    install_middleware(app)
    install_lists(app, secret="a secret for tests only")
    return app


@asynccontextmanager
async def world_on(url: str) -> AsyncIterator[World]:
    database = Database(url, name="test-lists")
    async with database.engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    transport = httpx.ASGITransport(application(database))
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://lists") as http:
            yield World(database, http)
    finally:
        await database.close()


@pytest_asyncio.fixture(scope="module")
async def world(postgres: Postgres) -> AsyncIterator[World]:
    async with world_on(fresh_database(postgres)) as world:
        yield world


def in_order(rows: list[dict[str, Any]], sort_field: str, sort_order: str) -> list[int]:
    """The ids as Postgres has to give them: rows without a value last, NaN above all numbers, ties by id."""

    def rank(row: dict[str, Any]) -> tuple[Any, ...]:
        value = row[sort_field]
        is_nan = isinstance(value, float) and math.isnan(value)
        return is_nan, 0 if is_nan else value, row["id"]

    with_value = sorted((row for row in rows if row[sort_field] is not None), key=rank)
    without = sorted((row for row in rows if row[sort_field] is None), key=lambda row: row["id"])
    if sort_order == "desc":
        with_value.reverse()
        without.reverse()
    return [row["id"] for row in with_value + without]


def ids(body: dict[str, Any]) -> list[int]:
    return [item["id"] for item in body["items"]]


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=ROWS,
    sort_field=st.sampled_from(sorted(VALUES)),
    sort_order=st.sampled_from(["asc", "desc"]),
    size=st.integers(1, 9),
    path=st.sampled_from(["/things", "/things/halves", "/things/counted"]),
)
async def test_walking_forwards_and_then_backwards_gives_exactly_the_list(
    world: World, rows: list[dict[str, Any]], sort_field: str, sort_order: str, size: int, path: str
) -> None:
    rows = await world.hold(rows)
    expected = in_order(rows, sort_field, sort_order)
    asked = {"sort_field": sort_field, "sort_order": sort_order, "page_size": size}

    forwards = [await world.body(path, **asked)]
    while cursor := forwards[-1]["pagination"]["next_cursor"]:
        forwards.append(await world.body(path, **asked, cursor=cursor))
    backwards = [forwards[-1]]
    while cursor := backwards[-1]["pagination"]["prev_cursor"]:
        backwards.append(await world.body(path, **asked, cursor=cursor))

    assert [one for body in forwards for one in ids(body)] == expected
    assert [one for body in reversed(backwards) for one in ids(body)] == expected
    for body in backwards[1:]:
        assert body["skip"] == expected.index(ids(body)[0])
        assert body["total"] == len(rows)
        assert body["pagination"]["has_next"]
    for number, body in enumerate(forwards, start=1):
        pages = math.ceil(len(rows) / size)
        assert body["total"] == body["pagination"]["total_count"] == len(rows)
        assert body["pagination"]["total_pages"] == pages
        assert body["pagination"]["page"] == number
        assert body["skip"] == (number - 1) * size
        assert body["limit"] == body["pagination"]["page_size"] == size
        assert body["has_more"] == body["pagination"]["has_next"] == (number < pages)
        assert body["pagination"]["has_previous"] == (number > 1)
        assert (body["pagination"]["prev_cursor"] is None) == (number == 1)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=ROWS,
    sort_field=st.sampled_from(sorted(VALUES)),
    size=st.integers(1, 9),
    skip=st.integers(0, 30),
    path=st.sampled_from(["/things", "/things/halves", "/things/counted"]),
)
async def test_pages_by_number_and_by_skip_are_slices_of_the_list(
    world: World, rows: list[dict[str, Any]], sort_field: str, size: int, skip: int, path: str
) -> None:
    rows = await world.hold(rows)
    expected = in_order(rows, sort_field, "desc")

    by_skip = await world.body(path, sort_field=sort_field, skip=skip, limit=size)
    page = skip // size + 1
    response = await world.http.get(path, params={"sort_field": sort_field, "page": page, "page_size": size})

    assert ids(by_skip) == expected[skip : skip + size]
    assert by_skip["has_more"] == (skip + size < len(rows))
    if page == 1 or (page - 1) * size < len(rows):
        assert ids(response.json()) == expected[(page - 1) * size : page * size]
    else:
        assert response.status_code == 404


@pytest.mark.parametrize("path", ["/things", "/things/counted"])
async def test_backward_alone_is_the_last_page_and_with_a_next_cursor_pages_back(world: World, path: str) -> None:
    await world.hold([{"rank": n} for n in range(10)])
    asked = {"sort_field": "rank", "sort_order": "asc", "page_size": 3}

    last = await world.body(path, **asked, backward=True)
    second = await world.body(path, **asked, page=2)
    back = await world.body(path, **asked, cursor=second["pagination"]["next_cursor"], backward=True)

    assert ids(last) == [8, 9, 10]
    assert not last["pagination"]["has_next"]
    assert ids(second) == [4, 5, 6]
    assert ids(back) == [3, 4, 5]
    assert (last["skip"], second["skip"], back["skip"]) == (7, 3, 2)


async def test_a_cursor_keeps_its_place_while_rows_come_and_go(world: World) -> None:
    await world.hold([{"rank": n} for n in range(6)])
    asked = {"sort_field": "rank", "sort_order": "desc", "page_size": 2}
    first = await world.body(**asked)

    async with world.database.transaction() as connection:
        await connection.execute(things.insert(), [{"id": 100, "rank": 50}])
        await connection.execute(things.delete().where(things.c.id == 5))  # the row that the cursor stands on
    second = await world.body(**asked, cursor=first["pagination"]["next_cursor"])

    assert ids(first) == [6, 5]
    assert ids(second) == [4, 3]
    assert second["pagination"]["total_count"] == 6


async def test_where_the_rows_are_counted_elsewhere_a_page_has_the_number_it_had_when_its_cursor_was_made(
    world: World,
) -> None:
    await world.hold([{"rank": n} for n in range(6)])
    asked = {"sort_field": "rank", "sort_order": "asc", "page_size": 2}
    third = await world.body("/things/counted", **asked, page=3)

    async with world.database.transaction() as connection:
        await connection.execute(things.delete().where(things.c.id < 4))
    second = await world.body("/things/counted", **asked, cursor=third["pagination"]["prev_cursor"])

    assert ids(second) == [4]
    assert (second["total"], second["skip"], second["pagination"]["has_next"]) == (3, 1, False)


async def test_from_a_page_that_was_emptied_both_directions_lead_on(world: World) -> None:
    await world.hold([{"rank": n} for n in range(4)])
    asked = {"sort_field": "rank", "sort_order": "asc", "page_size": 2}
    first = await world.body(**asked)
    second = await world.body(**asked, page=2)
    async with world.database.transaction() as connection:
        await connection.execute(things.delete().where(things.c.id > 2))

    emptied = await world.body(**asked, cursor=first["pagination"]["next_cursor"])
    back = await world.body(**asked, cursor=emptied["pagination"]["prev_cursor"])
    async with world.database.transaction() as connection:
        await connection.execute(things.delete())
        await connection.execute(things.insert(), [{"id": 9, "rank": 9}])
    before_all = await world.body(**asked, cursor=second["pagination"]["prev_cursor"])
    on = await world.body(**asked, cursor=before_all["pagination"]["next_cursor"])

    assert (ids(emptied), emptied["pagination"]["has_next"]) == ([], False)
    assert ids(back) == [1, 2]
    assert (ids(before_all), before_all["pagination"]["has_previous"]) == ([], False)
    assert ids(on) == [9]


async def test_columns_of_an_outer_joined_table_and_expressions_sort_too(world: World) -> None:
    await world.hold([{"rank": n} for n in range(5)])
    async with world.database.transaction() as connection:
        await connection.execute(notes.insert(), [{"thing_id": 2, "n": 1}, {"thing_id": 4, "n": 3}])

    seen = []
    cursor = None
    while cursor is not None or not seen:
        parameters = {"cursor": cursor} if cursor else {}
        body = await world.body("/things/noted", page_size=1, **parameters)
        seen += ids(body)
        cursor = body["pagination"]["next_cursor"]
    by_half = await world.body("/things/noted", sort_field="half", page_size=2)
    rest = await world.body("/things/noted", sort_field="half", cursor=by_half["pagination"]["next_cursor"])

    assert seen == [4, 2, 5, 3, 1]
    assert ids(by_half) + ids(rest) == [5, 4, 3, 2, 1]


async def test_a_cursor_of_another_list_is_refused(world: World) -> None:
    await world.hold([{"rank": n} for n in range(4)])
    first = await world.body(sort_field="rank", page_size=2, at_least=0)
    cursor = first["pagination"]["next_cursor"]
    refused = (400, "INVALID_CURSOR", "Invalid cursor format")

    assert await world.problem(sort_field="rank", at_least=1, cursor=cursor) == refused
    assert await world.problem(sort_field="rank", cursor=cursor) == refused
    assert await world.problem(sort_field="rank", sort_order="asc", at_least=0, cursor=cursor) == refused
    assert await world.problem(sort_field="score", at_least=0, cursor=cursor) == refused
    assert await world.problem("/things/noted", sort_field="rank", at_least=0, cursor=cursor) == refused
    assert ids(await world.body(sort_field="rank", page_size=1, at_least=0, cursor=cursor)) == [2]
    assert ids(await world.body("/things/", sort_field="rank", page_size=1, at_least=0, cursor=cursor)) == [2]


async def test_what_cannot_be_asked_is_said_in_the_agreed_words(world: World) -> None:
    await world.hold([{"rank": 1}])

    assert await world.problem(page_size=1001) == (422, "INVALID_PAGE_SIZE", "Page size cannot exceed 1000")
    assert await world.problem(limit=1001) == (422, "INVALID_PAGE_SIZE", "Page size cannot exceed 1000")
    assert await world.problem(page_size=0) == (422, "INVALID_PAGE_SIZE", "Page size must be at least 1")
    assert await world.problem(page=2) == (404, "PAGE_OUT_OF_RANGE", "Page number out of range")
    assert await world.problem(page=10**30) == (404, "PAGE_OUT_OF_RANGE", "Page number out of range")
    assert await world.problem(cursor="x" * 9000) == (400, "INVALID_CURSOR", "Invalid cursor format")
    assert await world.problem(cursor="") == (400, "INVALID_CURSOR", "Invalid cursor format")
    assert (await world.problem(page=0))[:2] == (422, "VALIDATION_ERROR")
    assert (await world.problem(skip=2**63))[:2] == (422, "VALIDATION_ERROR")
    assert (await world.problem(page=1, skip=0))[:2] == (422, "VALIDATION_ERROR")
    assert (await world.problem(sort_field="id; DROP TABLE things"))[:2] == (422, "VALIDATION_ERROR")
    assert (await world.problem(sort_order="up"))[:2] == (422, "VALIDATION_ERROR")


async def test_page_one_of_an_empty_list_is_an_empty_page(world: World) -> None:
    await world.hold([])

    assert await world.body(page=1) == {
        "items": [],
        "pagination": {
            "page": 1,
            "page_size": 10,
            "total_count": 0,
            "total_pages": 0,
            "has_next": False,
            "has_previous": False,
            "next_cursor": None,
            "prev_cursor": None,
        },
        "total": 0,
        "skip": 0,
        "limit": 10,
        "has_more": False,
    }
    assert (await world.body(backward=True))["items"] == []
    assert (await world.problem(page=2))[1] == "PAGE_OUT_OF_RANGE"


@pytest.mark.parametrize(
    ("sort_field", "index", "scan"),
    [("rank", "rank, id", "Index Scan Backward"), ("score", "score, id", "Index Scan Backward")],
)
async def test_a_page_by_cursor_reads_only_its_own_rows_of_the_index(
    world: World, sort_field: str, index: str, scan: str
) -> None:
    rows = "SELECT n, n % 7, CASE WHEN n % 10 > 0 THEN n % 100 END FROM generate_series(1, 5000) n"
    async with world.database.transaction() as connection:
        await connection.execute(text("TRUNCATE things"))
        await connection.execute(text(f"INSERT INTO things (id, rank, score) {rows}"))
        await connection.execute(text(f"CREATE INDEX things_sorted ON things ({index})"))
        await connection.execute(text("ANALYZE things"))
    deep = await world.body(sort_field=sort_field, page_size=20, skip=2500)

    plan = await executed_plan(world, sort_field=sort_field, cursor=deep["pagination"]["next_cursor"], page_size=20)
    async with world.database.transaction() as connection:
        await connection.execute(text("DROP INDEX things_sorted"))

    assert f"Index Cond: (ROW({sort_field}, id) < ROW(" in plan
    assert re.search(rf"{scan} using things_sorted on things \(actual rows=21(\.00)? loops=1\)", plan)


async def executed_plan(world: World, **asked: Any) -> str:
    """How Postgres finds the rows of the page, counted while it does so."""
    statements: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, sql: str, parameters: Any, *_: Any) -> None:
        statements.append((sql, parameters))

    engine = world.database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        await world.body(**asked)
    finally:
        event.remove(engine, "before_cursor_execute", note)
    [(sql, parameters)] = [one for one in statements if "LIMIT" in one[0]]
    explain = f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF) {sql}"
    async with world.database.engine.connect() as connection:
        return "\n".join(line for (line,) in await connection.exec_driver_sql(explain, parameters))
