"""Every list: the parameters, the body, and one page of it out of a SELECT.

    Query = Annotated[ListQuery, Depends(list_query({"created_at": items.c.created_at}, key=items.c.id))]

    @router.get("")
    async def items(query: Query, runtime: RuntimeDep) -> ListBody[Item]:
        async with runtime.database.reading() as connection:
            return await fetch_list(connection, select(items), query, Item.model_validate)

Pages by `page` and `page_size` or `skip` and `limit` use OFFSET; pages by `cursor` start at a row and cost the same at
any depth. Rows without a sort value come last in both orders, and a plain index on the sort column and the key serves
both. `total` is exact.
"""

import hashlib
import operator
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Literal, Self, TypeVar
from urllib.parse import urlencode

from fastapi import FastAPI, Query, Request
from pydantic import BaseModel
from sqlalchemy import (
    Column,
    ColumnElement,
    Select,
    and_,
    func,
    literal,
    or_,
    select,
    true,
    tuple_,
    type_coerce,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.platform.http.cursors import Cursors, InvalidCursorError, Position
from genonaut.platform.http.problems import BadRequestError, InvalidError, NotFoundError

MAX_PAGE_SIZE = 1000
MAX_BIGINT = 2**63 - 1

SortOrder = Literal["asc", "desc"]
T = TypeVar("T")

Spelling = Callable[[Iterable[tuple[str, str]]], Iterable[tuple[str, str]]]

_PAGING = {"page", "page_size", "skip", "limit", "sort_field", "sort_order", "cursor", "backward", "cache_bypass"}
_SORT_VALUE, _KEY = "_list_sort_value", "_list_key"


class Pagination(BaseModel):
    page: int
    page_size: int
    total_count: int
    total_pages: int
    has_next: bool
    has_previous: bool
    next_cursor: str | None
    prev_cursor: str | None


class ListBody(BaseModel, Generic[T]):
    """The body of every list: both shapes that clients of the old API know."""

    items: list[T]
    pagination: Pagination
    total: int
    skip: int
    limit: int
    has_more: bool

    @classmethod
    def of(cls, page: "Page", items: Sequence[T], **more: Any) -> Self:
        """The body of `page` with its rows as `items`; a subclass takes `more`, e.g. its statistics."""
        return cls(
            items=list(items),
            pagination=page.pagination,
            total=page.pagination.total_count,
            skip=page.skip,
            limit=page.pagination.page_size,
            has_more=page.pagination.has_next,
            **more,
        )


@dataclass(frozen=True)
class ListQuery:
    """Which page of a list is wanted. Made by the dependency of `list_query`."""

    sort: str
    """The name of `column` among the sorts."""
    column: ColumnElement[Any]
    key: ColumnElement[Any]
    descending: bool
    page: int | None
    """None when `skip` or a cursor says where to start."""
    skip: int
    size: int
    position: Position | None
    backward: bool
    cursors: Cursors
    asked: str
    """Path, filters and sort: what a cursor is bound to."""

    @property
    def start(self) -> Position | None:
        """The row that the page begins behind, or ends before; None when it is at an end of the list or so far in."""
        return self.position if self.position is not None and self.position.key is not None else None

    def skipped(self, total: int, ahead: int) -> int:
        """How many of `total` rows come before the page, of which `ahead` lie ahead of where it starts.

        Raises NotFoundError (PAGE_OUT_OF_RANGE) for a page after the last one; page 1 of an empty list is fine.
        """
        if self.page is not None:
            if self.page > 1 and (self.page - 1) * self.size >= total:
                raise NotFoundError("Page number out of range", error_code="PAGE_OUT_OF_RANGE")
            return (self.page - 1) * self.size
        if self.backward:
            return max(0, ahead - self.size)
        return self.skip if self.start is None else total - ahead

    def paged(
        self,
        rows: list[dict[str, Any]],
        places: Sequence[tuple[Any, Any]],
        *,
        total: int,
        skip: int,
        has_next: bool,
        has_previous: bool,
        counted: bool = True,
    ) -> "Page":
        """The page of these rows, whose sort values and keys are `places`.

        Without `counted` a count of rows ahead is too dear: then cursors remember how many there were.
        """

        def cursor(row: int, ahead: int, *, backward: bool) -> str:
            # Without a row to start from, the walk starts at the end of the list that the cursor points away from.
            value, key = places[row] if places else (None, None)
            position = Position(value, key, backward, None if counted else ahead)
            return self.cursors.write(position, asked=self.asked)

        pagination = Pagination(
            page=skip // self.size + 1,
            page_size=self.size,
            total_count=total,
            total_pages=-(-total // self.size),
            has_next=has_next,
            has_previous=has_previous,
            next_cursor=cursor(-1, skip + len(rows), backward=False) if has_next else None,
            prev_cursor=cursor(0, skip, backward=True) if has_previous else None,
        )
        return Page(rows, skip, pagination)


@dataclass(frozen=True)
class Page:
    """One page of rows, as mappings of their columns."""

    rows: list[dict[str, Any]]
    skip: int
    """How many rows come before."""
    pagination: Pagination


def install_lists(app: FastAPI, *, secret: str) -> None:
    """Gives the lists of `app` what their cursors are signed with."""
    app.state.cursors = Cursors(secret)


def list_query(
    sorts: Mapping[str, ColumnElement[Any]],
    *,
    key: ColumnElement[Any],
    default_order: SortOrder = "desc",
    page_size: int = 50,
    with_body: bool = False,
    in_one_spelling: Spelling = lambda filters: filters,
) -> Callable[..., Awaitable[ListQuery]]:
    """The dependency that reads the parameters of a list. `with_body` binds cursors to the body of the request, too.

    `in_one_spelling` makes the same of filters, as names and values, that ask for the same.

    `sorts` are the columns that `sort_field` may name, the first is the default; `key` is unique and breaks ties. Of a
    table that is outer-joined, name the columns `nullable(...)`.
    """
    first = next(iter(sorts))
    field_schema = {"enum": list(sorts), "default": first}

    # A coroutine, because FastAPI sends plain functions to a thread.
    async def read(
        request: Request,
        *,
        page: Annotated[int | None, Query(ge=1, description="From 1.")] = None,
        page_size: Annotated[int, Query(json_schema_extra={"minimum": 1, "maximum": MAX_PAGE_SIZE})] = page_size,
        skip: Annotated[int | None, Query(ge=0, le=MAX_BIGINT, description="Instead of page.")] = None,
        limit: Annotated[int | None, Query(description="Another word for page_size.")] = None,
        sort_field: Annotated[str, Query(json_schema_extra=field_schema)] = first,
        sort_order: SortOrder = default_order,
        cursor: Annotated[str | None, Query(description="From next_cursor or prev_cursor.")] = None,
        backward: Annotated[bool, Query(description="The page before the cursor, or the last one.")] = False,
    ) -> ListQuery:
        size = page_size if limit is None else limit
        if size > MAX_PAGE_SIZE or size < 1:
            raise InvalidError(
                f"Page size cannot exceed {MAX_PAGE_SIZE}" if size > 1 else "Page size must be at least 1",
                loc=("query", "page_size" if limit is None else "limit"),
                error_code="INVALID_PAGE_SIZE",
            )
        if sort_field not in sorts:
            raise InvalidError(f"sort_field is one of: {', '.join(sorts)}", loc=("query", "sort_field"))
        if page is not None and skip is not None:
            raise InvalidError("page and skip exclude each other", loc=("query", "skip"))
        asked = _asked(request, sort_field, sort_order, in_one_spelling)
        if with_body:
            asked += hashlib.sha256(await request.body()).hexdigest()
        cursors: Cursors = request.app.state.cursors
        position = None
        if cursor is not None:
            try:
                position = cursors.read(cursor, asked=asked)
            except InvalidCursorError as error:
                raise BadRequestError("Invalid cursor format", error_code="INVALID_CURSOR") from error
        by_row = position is not None or backward
        return ListQuery(
            sort=sort_field,
            column=sorts[sort_field],
            key=key,
            descending=sort_order == "desc",
            page=None if by_row or skip is not None else page or 1,
            skip=skip or 0,
            size=size,
            position=position,
            backward=backward or (position is not None and position.backward),
            cursors=cursors,
            asked=asked,
        )

    return read


async def fetch_list(
    connection: AsyncConnection,
    statement: Select[Any] | Sequence[Select[Any]],
    query: ListQuery,
    to_model: Callable[[dict[str, Any]], T],
    *,
    total: int | None = None,
) -> ListBody[T]:
    """The wanted page of `statement`, each row (a dict of its columns) through `to_model`, e.g. `Item.model_validate`.

    The guarantees are those of `fetch_page`.
    """
    page = await fetch_page(connection, statement, query, total=total)
    return ListBody[T].of(page, [to_model(row) for row in page.rows])


async def fetch_page(
    connection: AsyncConnection,
    statement: Select[Any] | Sequence[Select[Any]],
    query: ListQuery,
    *,
    total: int | None = None,
) -> Page:
    """The wanted page of `statement`, which has its filters, and neither ORDER BY, GROUP BY, DISTINCT nor LIMIT.

    Raises NotFoundError (PAGE_OUT_OF_RANGE) for a page after the last one; page 1 of an empty list is fine. Exact under
    concurrent writes when the connection reads one snapshot.

    Several statements, of the same columns and without a row in common, are one list. Each is walked by an index of its
    own, where one with OR would find none that has the order.

    `total` spares counting when the caller keeps the number of rows. The page number that a cursor leads to is then the
    one it had when the cursor was made.
    """
    statements = [statement] if isinstance(statement, Select) else statement
    start, counted = query.start, total is None
    if total is None:
        total, ahead = await _count(connection, statements, query, start)
    else:
        ahead = _remembered(query, start, total)
    skip = query.skipped(total, ahead)
    rows = await _rows(connection, statements, query, start, skip)
    more, rows = len(rows) > query.size, rows[: query.size]
    if query.backward:
        rows.reverse()
        has_previous, has_next = more, total > ahead
    else:
        has_previous, has_next = total > 0 and skip > 0, more
    places = [(row.pop(_SORT_VALUE), row.pop(_KEY)) for row in rows]
    return query.paged(
        rows, places, total=total, skip=skip, has_next=has_next, has_previous=has_previous, counted=counted
    )


async def _count(
    connection: AsyncConnection, statements: Sequence[Select[Any]], query: ListQuery, start: Position | None
) -> tuple[int, int]:
    """How many rows there are, and how many of them lie ahead of where the walk starts."""
    counts: list[ColumnElement[int]] = [func.count()]
    if start is not None:
        counts.append(func.count().filter(or_(*_ahead(query, start))))
    total = ahead = 0
    for statement in statements:
        row = (await connection.execute(statement.with_only_columns(*counts, maintain_column_froms=True))).one()
        total, ahead = total + row[0], ahead + row[-1]
    return total, ahead


def _remembered(query: ListQuery, start: Position | None, total: int) -> int:
    """How many of `total` rows lie ahead of where the walk starts, by what its cursor says."""
    if start is None:
        return total
    passed = min(start.ahead or 0, total)
    if not query.backward:
        return total - passed
    return passed if start.backward else max(0, passed - 1)  # a cursor that leads on has passed its own row


async def _rows(
    connection: AsyncConnection,
    statements: Sequence[Select[Any]],
    query: ListQuery,
    start: Position | None,
    skip: int,
) -> list[dict[str, Any]]:
    """The rows of the page in walking order, and one more when there is one."""
    stretches = _whole(query) if start is None else _ahead(query, start)
    offset = skip if start is None and not query.backward else 0
    rows: list[dict[str, Any]] = []
    for number, stretch in enumerate(stretches, start=1):
        if len(rows) > query.size:
            break
        wanted = _walk([each.where(stretch) for each in statements], query, offset, query.size + 1 - len(rows))
        found = [dict(row) for row in (await connection.execute(wanted)).mappings()]
        rows += found
        if found:
            offset = 0
        elif offset and number < len(stretches):
            offset -= (await _count(connection, [each.where(stretch) for each in statements], query, None))[0]
    return rows


def _walk(statements: Sequence[Select[Any]], query: ListQuery, offset: int, count: int) -> Select[Any]:
    """So many rows in walking order, after the first `offset`."""
    sort = query.column.label(_SORT_VALUE), query.key.label(_KEY)
    walks = [each.add_columns(*sort).order_by(*_order(query, query.column, query.key)) for each in statements]
    if len(walks) > 1:
        merged = union_all(*(walk.limit(offset + count) for walk in walks)).subquery()
        walks = [select(merged).order_by(*_order(query, merged.c[_SORT_VALUE], merged.c[_KEY]))]
    return walks[0].limit(count).offset(offset)


def nullable(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """The column as one that may be NULL although its table says otherwise, because the table is outer-joined."""
    return type_coerce(column, column.type)


def _may_be_null(column: ColumnElement[Any]) -> bool:
    return not isinstance(column, Column) or bool(column.nullable)


def _order(query: ListQuery, *columns: ColumnElement[Any]) -> list[ColumnElement[Any]]:
    # Without a word of NULLs, which a plain index has in one place only: they are a stretch of their own.
    falling = query.descending != query.backward
    return [column.desc() if falling else column.asc() for column in columns]


def _whole(query: ListQuery) -> list[ColumnElement[bool]]:
    """All rows in walking order, as stretches."""
    if not _may_be_null(query.column):
        return [true()]
    there, missing = query.column.is_not(None), query.column.is_(None)
    return [missing, there] if query.backward else [there, missing]


def _ahead(query: ListQuery, start: Position) -> list[ColumnElement[bool]]:
    """The rows after `start` in walking order, as stretches of an index on (column, key), one after the other.

    Rows without a value are last in the list, and a stretch of their own.
    """
    compare = operator.lt if query.descending != query.backward else operator.gt
    key = literal(start.key, query.key.type)
    if start.value is None:
        beside = and_(query.column.is_(None), compare(query.key, key))
        return [beside, query.column.is_not(None)] if query.backward else [beside]
    beyond = compare(tuple_(query.column, query.key), tuple_(literal(start.value, query.column.type), key))
    if query.backward or not _may_be_null(query.column):
        return [beyond]
    return [beyond, query.column.is_(None)]


def _asked(request: Request, sort_field: str, sort_order: str, in_one_spelling: Spelling) -> str:
    filters = sorted(in_one_spelling([item for item in request.query_params.multi_items() if item[0] not in _PAGING]))
    return urlencode([("path", request.scope["path"]), ("sort", f"{sort_field} {sort_order}"), *filters])
