"""The unified list: regular and automatic items together."""

from dataclasses import replace
from typing import Annotated

from fastapi import Depends, Query

from genonaut.content.items.queries import SORTS, with_tags
from genonaut.content.items.tables import items
from genonaut.content.search import queries as search
from genonaut.content.search.domain import Scope, Wanted
from genonaut.content.search.schemas import Viewer, filters
from genonaut.content.unified import queries
from genonaut.content.unified.domain import UnknownWordError, ViewerNeededError, scopes
from genonaut.content.unified.schemas import UnifiedItem, UnifiedList, UnifiedStats
from genonaut.platform.http.errors import BadRequestError
from genonaut.platform.http.lists import ListQuery, list_query
from genonaut.platform.http.routing import Router
from genonaut.platform.service import RuntimeDep

router = Router(prefix="/api/v1/content", tags=["content"])

Listed = Annotated[ListQuery, Depends(list_query(SORTS, key=items.c.id, page_size=10))]


# A coroutine, because FastAPI sends plain functions to a thread.
async def _scopes(
    viewer: Viewer = None,
    content_source_types: Annotated[
        list[str] | None,
        Query(
            max_length=16,
            description="Any of user-regular, user-auto, community-regular, community-auto; they need user_id. "
            "One empty value is no source at all; without the parameter it is all of them.",
            examples=[["user-regular", "community-auto"]],
        ),
    ] = None,
    content_types: Annotated[
        str | None,
        Query(max_length=100, description="The older way: regular, auto or both.", examples=["regular,auto"]),
    ] = None,
    creator_filter: Annotated[
        str, Query(max_length=100, description="The older way: all, user or community.", examples=["all"])
    ] = "all",
) -> frozenset[Scope]:
    try:
        return scopes(
            content_source_types,
            content_types=content_types,
            creator_filter=creator_filter,
            has_viewer=viewer is not None,
        )
    except (UnknownWordError, ViewerNeededError) as error:
        raise BadRequestError(str(error), error_code="INVALID_CONTENT_FILTER") from None


@router.get("/unified", responses={400: {"description": "An unknown filter word, or a cursor of another list"}})
async def unified_content(
    query: Listed,
    scopes: Annotated[frozenset[Scope], Depends(_scopes)],
    wanted: Annotated[Wanted, Depends(filters)],
    runtime: RuntimeDep,
) -> UnifiedList:
    """Regular and automatic items in one list, newest first.

    All sixteen combinations of own or others' and regular or automatic are possible. `stats` counts everything there
    is for this viewer.
    """
    async with runtime.database.reading() as connection:
        page = await search.page(connection, replace(wanted, scopes=scopes), query, queries.unified())
        rows = await with_tags(connection, page.rows)
        stats = await queries.counts(connection, wanted.viewer)
    return UnifiedList.of(page, [UnifiedItem.of(row) for row in rows], stats=UnifiedStats(**stats))


@router.get("/stats/unified")
async def unified_stats(runtime: RuntimeDep, viewer: Viewer = None) -> UnifiedStats:
    """How many items there are by source, of this user and of all others."""
    async with runtime.database.reading() as connection:
        return UnifiedStats(**await queries.counts(connection, viewer))
