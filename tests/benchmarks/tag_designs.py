"""Ways to answer a question: the seed's SQL, an array with a GIN index, ours, and bitmaps in memory as the limit.

Every design gives the total and the rows of the page, and all give the same.
"""

from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, ClassVar, Protocol, cast

import asyncpg
import numpy as np
import orjson
from numpy.typing import NDArray
from pydantic import SecretStr
from pyroaring import BitMap
from tag_questions import Question
from tagged_gallery import Gallery, creator_id, made_at, slug, title

from genonaut.content.items.queries import SORTS, with_tags
from genonaut.content.items.tables import items
from genonaut.content.search import queries as search
from genonaut.content.search import segments
from genonaut.content.search.arrays import condition, numbered
from genonaut.content.search.domain import Named, Scope, Wanted, term_of
from genonaut.content.search.keys import creator_key, tag_key
from genonaut.content.search.planner import Knobs, Telemetry
from genonaut.content.tags.domain import id_of
from genonaut.content.unified import pages
from genonaut.content.unified import queries as unified
from genonaut.content.unified.pages import Asked
from genonaut.platform.clock import utc_now
from genonaut.platform.database import Database
from genonaut.platform.http.cursors import Cursors, Position
from genonaut.platform.http.lists import ListQuery


@dataclass(frozen=True)
class Answer:
    total: int
    ids: list[int]


class Design(Protocol):
    name: ClassVar[str]

    async def answer(self, question: Question) -> Answer: ...


def wanted(question: Question) -> Wanted:
    return Wanted(
        viewer=question.viewer and creator_id(question.viewer),
        scopes=question.scopes,
        tags=[slug(tag) for tag in question.tags],
        every_tag=question.every,
        unwanted_tags=[slug(tag) for tag in question.unwanted],
    )


class Segments:
    """Ours, as the unified endpoint asks it: page, total, rows and the slugs of their tags, in one snapshot."""

    name: ClassVar[str] = "ours"

    def __init__(self, database: Database) -> None:
        self._database = database

    async def answer(self, question: Question) -> Answer:
        async with self._database.reading() as connection:
            page = await search.page(connection, wanted(question), _query(question), unified.UNIFIED, knobs=_KNOBS)
            rows = await with_tags(connection, page.rows)
        return Answer(page.pagination.total_count, [row["id"] for row in rows])


class ColdSegments(Segments):
    """Ours, in a process that has read no segment before."""

    name = "ours, cold"

    async def answer(self, question: Question) -> Answer:
        warm, segments.cache = segments.cache, segments.SegmentCache(segments.CACHE_BYTES)
        try:
            return await super().answer(question)
        finally:
            segments.cache = warm


class Endpoint(Segments):
    """Ours, the whole body of the endpoint: statistics and JSON are made, too."""

    name = "ours, endpoint"

    async def answer(self, question: Question) -> Answer:
        settings = SimpleNamespace(knobs=_KNOBS, api_secret_key=SecretStr("a benchmark's secret"))
        runtime = cast("Any", SimpleNamespace(database=self._database, settings=settings, clock=utc_now, cache=None))
        asked = Asked(replace(wanted(question), scopes=frozenset(question.scopes)), _query(question))
        response = await pages.body(runtime, asked)
        body = orjson.loads(response.json)
        return Answer(body["total"], [item["id"] for item in body["items"]])


class Arrays:
    """An array of keys for each item with a GIN index: two statements of SQL."""

    name: ClassVar[str] = "array + GIN"

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def answer(self, question: Question) -> Answer:
        arguments: list[Any] = []
        met = condition(_term(question), "r.keys", numbered(arguments))
        total = await self._connection.fetchval(f"SELECT count(*) FROM search_rows r WHERE {met}", *arguments)
        columns = "r.created_at, r.item_id" if question.sort == "created_at" else f"i.{question.sort}, i.id"
        beyond = ""
        if question.start is not None:
            arguments += question.start
            beyond = f"AND ({columns}) < (${len(arguments) - 1}, ${len(arguments)})"
        offset = 0 if beyond else question.skip
        falling = columns.replace(",", " DESC,") + " DESC"
        rows = await self._connection.fetch(
            f"SELECT {_SHOWN}, r.keys FROM search_rows r JOIN content_items_all i ON i.id = r.item_id "
            f"WHERE {met} {beyond} ORDER BY {falling} LIMIT {question.size} OFFSET {offset}",
            *arguments,
        )
        return Answer(total, [row["id"] for row in rows])


class Junction:
    """The seed's baseline: a junction of items and tags with UUIDs, EXISTS for each tag, OFFSET. Two statements."""

    name: ClassVar[str] = "seed baseline"

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def answer(self, question: Question) -> Answer:
        arguments: list[Any] = []
        met = " AND ".join(self._conditions(question, arguments))
        total = await self._connection.fetchval(f"SELECT count(*) FROM content_items_all i WHERE {met}", *arguments)
        rows = await self._connection.fetch(
            f"SELECT {_SHOWN} FROM content_items_all i WHERE {met} "
            f"ORDER BY i.{question.sort} DESC, i.id DESC LIMIT {question.size} OFFSET {question.skip}",
            *arguments,
        )
        return Answer(total, [row["id"] for row in rows])

    def _conditions(self, question: Question, arguments: list[Any]) -> list[str]:
        def argument(value: Any) -> str:
            arguments.append(value)
            return f"${len(arguments)}"

        viewer = argument(creator_id(question.viewer)) if question.viewer else ""
        conditions = [f"({' OR '.join(_visible(scope, viewer) for scope in question.scopes)})"]
        if question.every:
            conditions += [_EXISTS.format(f"= {argument(id_of(slug(tag)))}") for tag in question.tags]
        else:
            conditions.append(_EXISTS.format(f"= ANY({argument([id_of(slug(tag)) for tag in question.tags])})"))
        if question.unwanted:
            unwanted = argument([id_of(slug(tag)) for tag in question.unwanted])
            conditions.append("NOT " + _EXISTS.format(f"= ANY({unwanted})"))
        return conditions


class Bitmaps:
    """The limit: bitmaps over all items and their orders in the memory of this process. No statement at all."""

    name: ClassVar[str] = "limit, no rows"

    def __init__(self, gallery: Gallery) -> None:
        self._tags: dict[int, BitMap] = {}
        self._classes = {(source, private): BitMap() for source in ("items", "auto") for private in (False, True)}
        creators: dict[int, BitMap] = {}
        qualities, titles = [np.zeros(1)], [""]
        for chunk in gallery.chunks():
            first = chunk.ids.start
            for tag, ids in chunk.of_tags():
                self._tags.setdefault(tag, BitMap()).update(BitMap(ids))
            for (source, private), bits in self._classes.items():
                of_class = (chunk.is_auto == (source == "auto")) & (chunk.is_private == private)
                bits.update(BitMap((np.flatnonzero(of_class) + first).astype(np.uint32)))
            for item_id, creator in zip(chunk.ids, chunk.creators.tolist(), strict=True):
                creators.setdefault(creator, BitMap()).add(item_id)
            qualities.append(chunk.qualities)
            titles += map(title, chunk.words.tolist())
        self._creators = creators
        for bits in (*self._tags.values(), *self._classes.values(), *creators.values()):
            bits.run_optimize()
        self._values = {"quality_score": np.concatenate(qualities).tolist(), "title": titles}
        self._orders = {name: _falling(values) for name, values in self._values.items()}

    async def answer(self, question: Question) -> Answer:
        found = self.found(question)
        return Answer(len(found), self._page(found, question))

    @property
    def items(self) -> int:
        return len(self._values["title"]) - 1

    def bytes(self) -> int:
        every = (*self._tags.values(), *self._classes.values(), *self._creators.values())
        return sum(len(bits.serialize()) for bits in every)

    def found(self, question: Question) -> BitMap:
        own = self._creators.get(question.viewer or 0, BitMap())
        visible = BitMap.union(*(self._scope(scope, own) for scope in question.scopes))
        tags = [self._tags.get(tag, BitMap()) for tag in question.tags]
        if question.tags:
            tagged = BitMap.intersection(*sorted(tags, key=len)) if question.every else BitMap.union(*tags)
            visible = tagged & visible
        for tag in question.unwanted:
            visible = visible - self._tags.get(tag, BitMap())
        return visible

    def before(self, question: Question) -> tuple[Any, int]:
        """Sort value and id of the row that comes right before the page."""
        found = self.found(question)
        (item_id,) = self._page(found, replace(question, skip=question.skip - 1, size=1))
        value = made_at(item_id) if question.sort == "created_at" else self._values[question.sort][item_id]
        return value, item_id

    def _scope(self, scope: Scope, own: BitMap) -> BitMap:
        public, private = self._classes[scope.source_type, False], self._classes[scope.source_type, True] & own
        if scope.owner == "all":
            return public | private
        return public - own if scope.owner == "community" else (public & own) | private

    def _page(self, found: BitMap, question: Question) -> list[int]:
        skip, end = question.skip, question.skip + question.size
        if question.sort == "created_at":
            return list(found[max(0, len(found) - end) : max(0, len(found) - skip)])[::-1]
        page: list[int] = []
        passed, place, chunk = 0, 0, 256
        order = self._orders[question.sort]
        while passed < end and place < len(order):
            walked = order[place : place + chunk]
            here = BitMap(walked) & found
            if passed + len(here) > skip:
                hits = [item_id for item_id in walked.tolist() if item_id in here]
                page += hits[max(0, skip - passed) : end - passed]
            passed, place, chunk = passed + len(here), place + chunk, min(chunk * 2, 16_384)
        return page


class BitmapsAndRows:
    """The limit with what every design has to fetch: one statement for the rows of the page."""

    name: ClassVar[str] = "limit, rows"

    def __init__(self, bitmaps: Bitmaps, connection: asyncpg.Connection) -> None:
        self._bitmaps = bitmaps
        self._connection = connection

    async def answer(self, question: Question) -> Answer:
        answer = await self._bitmaps.answer(question)
        rows = {row["id"]: row for row in await self._connection.fetch(_ROWS, answer.ids)}
        return Answer(answer.total, [rows[item_id]["id"] for item_id in answer.ids])


def _falling(values: list[Any]) -> NDArray[np.uint32]:
    """The ids in the order of their values, and of themselves."""
    return np.array(sorted(range(1, len(values)), key=lambda id_: (values[id_], id_), reverse=True), np.uint32)


def _query(question: Question) -> ListQuery:
    position = Position(*question.start, ahead=question.skip) if question.start else None
    return ListQuery(
        sort=question.sort,
        column=SORTS[question.sort],
        key=items.c.id,
        descending=True,
        page=None,
        skip=0 if position else question.skip,
        size=question.size,
        position=position,
        backward=False,
        cursors=_CURSORS,
        asked="a benchmark",
    )


_CURSORS = Cursors("a benchmark's secret")
_KNOBS = Knobs(telemetry=Telemetry(log_strategy_choice=False))


def _term(question: Question) -> Any:
    named = Named(
        viewer=question.viewer and creator_key(question.viewer),
        creator=None,
        tags=[[tag_key(tag)] for tag in question.tags],
        unwanted_tags=[[tag_key(tag)] for tag in question.unwanted],
    )
    return term_of(wanted(question), named)


def _visible(scope: Scope, viewer: str) -> str:
    own = f"i.creator_id = {viewer}" if viewer else "false"
    who = {"all": f"(NOT i.is_private OR {own})", "user": own, "community": f"NOT i.is_private AND NOT {own}"}
    return f"i.source_type = '{scope.source_type}' AND {who[scope.owner]}"


_EXISTS = (
    "EXISTS (SELECT 1 FROM seed.content_tags t WHERE t.content_id = i.id AND t.content_source = i.source_type "
    "AND t.tag_id {})"
)
_SHOWN = (
    "i.id, i.title, i.content_type, i.source_type, i.creator_id, i.quality_score, i.created_at, i.updated_at, "
    "i.path_thumb, i.prompt, i.is_private"
)
_ROWS = f"""
SELECT {_SHOWN}, u.username, r.keys FROM content_items_all i
LEFT JOIN users u ON u.id = i.creator_id LEFT JOIN search_rows r ON r.item_id = i.id WHERE i.id = ANY($1::bigint[])
"""
