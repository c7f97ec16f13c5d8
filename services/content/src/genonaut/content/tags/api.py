"""Tags: declare, list, search, look up."""

from dataclasses import replace
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Depends, Path, Query, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.tag_hierarchy.queries import related
from genonaut.content.tag_meanings.queries import aliases, implications
from genonaut.content.tag_opinions.queries import opinion
from genonaut.content.tags import commands, queries
from genonaut.content.tags.domain import TagCycleError, TagReference
from genonaut.content.tags.queries import SORTS
from genonaut.content.tags.schemas import CountedTag, NewTag, Tag, TagDetail, TagWithParents
from genonaut.content.tags.tables import tags
from genonaut.contracts.content import SourceType
from genonaut.platform.http.errors import ConflictError, InvalidError, NotFoundError
from genonaut.platform.http.lists import MAX_BIGINT, ListBody, ListQuery, fetch_list, list_query
from genonaut.platform.http.routing import Router
from genonaut.platform.service import RuntimeDep

router = Router(prefix="/api/v1/tags", tags=["tags"])
"""What is not below an id. It comes first of all routers of tags: its words are no ids."""

tag_router = Router(prefix="/api/v1/tags", tags=["tags"])
"""One tag by its id. It comes last: the other routers of tags have words in that place."""

TagId = Annotated[UUID, Path()]
Viewer = Annotated[UUID | None, Query(alias="user_id", description="Whose rating and favorite are shown.")]
Searched = Annotated[str | None, Query(max_length=100, description="Part of the slug, the name or an alias.")]
Count = Annotated[int | None, Query(ge=0, le=MAX_BIGINT)]
SortWord = Literal[
    "name-asc",
    "name-desc",
    "created-asc",
    "created-desc",
    "updated-asc",
    "updated-desc",
    "rating-asc",
    "rating-desc",
    "popularity-asc",
    "popularity-desc",
]

UNKNOWN: dict[int | str, dict[str, Any]] = {404: {"description": "No such tag"}}
_SOURCES: dict[str, SourceType] = {"items": "items", "regular": "items", "auto": "auto"}


# A coroutine, because FastAPI sends plain functions to a thread.
async def _listed(
    query: Annotated[ListQuery, Depends(list_query(SORTS, key=tags.c.id, default_order="asc"))],
    sort: Annotated[SortWord | None, Query(description="Field and order in one word; wins over the two.")] = None,
) -> ListQuery:
    if sort is None:
        return query
    field, _, order = sort.partition("-")
    column = SORTS[field] if field in SORTS else SORTS[f"{field}_at"]
    # Cursors stay bound to the sort: they are to every parameter that is not about paging, as this one.
    return replace(query, column=column, descending=order == "desc")


Listed = Annotated[ListQuery, Depends(_listed)]


@router.post(
    "",
    status_code=201,
    responses={
        200: {"model": TagWithParents, "description": "The tag was there; it is below these parents now, too"},
        409: {"description": "A parent is the tag itself or below it"},
    },
)
async def declare_tag(body: NewTag, runtime: RuntimeDep, response: Response) -> TagWithParents:
    """Create a tag below its parents, or put one that exists below more of them.

    Its id is made from the slug. A name is given once: it stays as it was for a tag that exists. An alias is the tag
    that it means.
    """
    tag, parents = body.reference, [TagReference.of(word) for word in body.parents]

    async def work(connection: AsyncConnection) -> commands.Declared:
        return await commands.declare(runtime.store, connection, tag, parents)

    try:
        declared = await runtime.database.transact(work)
    except commands.UnknownTagError as error:
        raise InvalidError(str(error), loc=("body", "parents")) from None
    except TagCycleError:
        raise circle() from None
    if not declared.is_new:
        response.status_code = 200
    async with runtime.database.reading() as connection:
        row = await _shown(connection, declared.tag_id)
        above = await related(connection, declared.tag_id, "above", max_depth=1)
    return TagWithParents.of(row, parents=above)


@router.get("")
async def list_tags(
    *,
    query: Listed,
    runtime: RuntimeDep,
    search: Searched = None,
    min_ratings: Count = None,
    min_count: Count = None,
    max_count: Count = None,
) -> ListBody[Tag]:
    """All tags, by name. Those without a rating come last when sorted by it.

    `min_ratings` is how many people have rated a tag, the counts are of public items that have it.
    """
    statement = queries.listed(search, min_ratings=min_ratings, min_count=min_count, max_count=max_count)
    async with runtime.database.reading() as connection:
        return await fetch_list(connection, statement, query, Tag.of)


@router.get("/search")
async def search_tags(
    *,
    query: Listed,
    runtime: RuntimeDep,
    q: Searched = None,
    search: Searched = None,
    min_ratings: Count = None,
    min_count: Count = None,
    max_count: Count = None,
) -> ListBody[Tag]:
    """The list of tags by another name; `q` is `search`."""
    return await list_tags(
        query=query,
        runtime=runtime,
        search=q or search,
        min_ratings=min_ratings,
        min_count=min_count,
        max_count=max_count,
    )


@router.get("/popular")
async def popular_tags(
    runtime: RuntimeDep,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    content_source: Annotated[
        Literal["items", "regular", "auto"] | None, Query(description="`regular` is another word for `items`.")
    ] = None,
    min_cardinality: Annotated[int, Query(ge=1, le=MAX_BIGINT)] = 1,
) -> list[CountedTag]:
    """The tags that most public items have, of one source or of both together."""
    source = _SOURCES[content_source] if content_source else None
    async with runtime.database.reading() as connection:
        rows = await queries.popular(connection, limit=limit, source=source, at_least=min_cardinality)
    return [CountedTag.model_validate(row) for row in rows]


@router.get("/by-name/{tag_name}", responses=UNKNOWN)
async def get_tag_by_name(tag_name: str, runtime: RuntimeDep, viewer: Viewer = None) -> TagDetail:
    """A tag by its slug or an alias, otherwise by its name in any case: the oldest, when several have it."""
    async with runtime.database.reading() as connection:
        tag_id = await queries.named(connection, tag_name)
        if tag_id is None:
            raise NotFoundError("There is no tag of this name")
        return await _detail(connection, tag_id, viewer)


@tag_router.get("/{tag_id}", responses=UNKNOWN)
async def get_tag(tag_id: TagId, runtime: RuntimeDep, viewer: Viewer = None) -> TagDetail:
    """A tag with all that is around it."""
    async with runtime.database.reading() as connection:
        return await _detail(connection, tag_id, viewer)


async def _detail(connection: AsyncConnection, tag_id: UUID, viewer: UUID | None) -> TagDetail:
    tag = Tag.of(await _shown(connection, tag_id))
    above, below = [await related(connection, tag_id, direction) for direction in ("above", "below")]
    own = await opinion(connection, viewer, tag_id) if viewer else None
    around = {
        "parents": [each for each in above if each["depth"] == 1],
        "children": [each for each in below if each["depth"] == 1],
        "ancestors": above,
        "descendants": below,
        "aliases": await aliases(connection, tag_id),
        "implies": await implications(connection, tag_id),
    }
    opinions = {
        "average_rating": tag.average_rating,
        "rating_count": tag.rating_count,
        "user_rating": own.half_stars / 2 if own and own.half_stars else None,
        "is_favorite": own.is_favorite if own else None,
    }
    return TagDetail.model_validate({"tag": tag, **around, **opinions})


async def _shown(connection: AsyncConnection, tag_id: UUID) -> dict[str, Any]:
    row = await queries.by_id(connection, tag_id)
    if row is None:
        raise unknown(tag_id)
    return row


async def require_shown(connection: AsyncConnection, tag_id: UUID) -> None:
    """Raises NotFoundError for a tag that not everybody sees, as for one that is not there."""
    if not await queries.is_shown(connection, tag_id):
        raise unknown(tag_id)


def unknown(tag_id: UUID) -> NotFoundError:
    return NotFoundError(f"There is no tag {tag_id}")


def circle() -> ConflictError:
    return ConflictError("A parent is the tag itself or below it", error_code="TAG_CYCLE")
