"""The unified list: regular and automatic items together."""

from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Annotated, Any

from fastapi import Depends, Query, Request, Response
from fastapi.routing import APIRoute

from genonaut.content.items.queries import SORTS
from genonaut.content.items.tables import items
from genonaut.content.search.domain import Scope, Wanted
from genonaut.content.search.schemas import Viewer, filters
from genonaut.content.unified import pages, queries
from genonaut.content.unified.domain import UnknownWordError, ViewerNeededError, in_one_spelling, scopes
from genonaut.content.unified.pages import Asked
from genonaut.content.unified.schemas import UnifiedList, UnifiedStats
from genonaut.platform.http.actions import Done
from genonaut.platform.http.errors import BadRequestError, UnavailableError
from genonaut.platform.http.lists import ListQuery, list_query
from genonaut.platform.http.routing import Router
from genonaut.platform.service import RuntimeDep


class _QuickRoute(APIRoute):
    """Reading the parameters takes longer than a page that is kept: the same query string is read once.

    So what the route depends on may be said by nothing else, and dependencies only read: the next time they do not run.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def quickly(request: Request) -> Response:
            runtime = request.app.state.runtime
            asked = pages.asked_before(runtime, request.scope["query_string"])
            return await handle(request) if asked is None else _answer(await pages.body(runtime, asked))

        return quickly


page_router = Router(prefix="/api/v1/content", tags=["content"], route_class=_QuickRoute)
router = Router(prefix="/api/v1/content", tags=["content"])
cache_router = Router(prefix="/api/v1/admin/cache", tags=["admin"])

Listed = Annotated[ListQuery, Depends(list_query(SORTS, key=items.c.id, page_size=10, in_one_spelling=in_one_spelling))]


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


@page_router.get(
    "/unified",
    response_model=UnifiedList,
    responses={400: {"description": "An unknown filter word, or a cursor of another list"}},
)
async def unified_content(
    request: Request,
    query: Listed,
    scopes: Annotated[frozenset[Scope], Depends(_scopes)],
    wanted: Annotated[Wanted, Depends(filters)],
    runtime: RuntimeDep,
    *,
    cache_bypass: Annotated[bool, Query(description="Read it from the database, whatever is kept.")] = False,
) -> Response:
    """Regular and automatic items in one list, newest first.

    All sixteen combinations of own or others' and regular or automatic are possible. `stats` counts everything there
    is for this viewer. The header X-Cache says whether the page was kept: hit, miss or bypass.
    """
    asked = Asked(replace(wanted, scopes=scopes), query, cache_bypass)
    pages.remember(runtime, request.scope["query_string"], asked)
    return _answer(await pages.body(runtime, asked))


def _answer(body: pages.Body) -> Response:
    return Response(body.json, media_type="application/json", headers={"X-Cache": body.cache})


@router.get("/stats/unified")
async def unified_stats(runtime: RuntimeDep, viewer: Viewer = None) -> UnifiedStats:
    """How many items there are by source, of this user and of all others."""
    async with runtime.database.reading() as connection:
        return UnifiedStats(**await queries.counts(connection, viewer))


@cache_router.post("/clear", responses={503: {"description": "The cache does not answer; it is cleared when it does"}})
async def clear_cache(runtime: RuntimeDep) -> Done:
    """Forgets all pages that are kept."""
    if runtime.cache is None:
        return Done(message="There is no cache: the service has no REDIS_URL")
    try:
        await runtime.cache.clear()
    except ConnectionError as error:
        raise UnavailableError(str(error)) from None
    return Done(message="Nothing is kept any more")
