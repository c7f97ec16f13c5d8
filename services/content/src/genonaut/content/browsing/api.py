"""Lists of items. The same routes serve the regular source and the automatic one."""

from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Query

from genonaut.content.browsing.schemas import Overview, SearchBody
from genonaut.content.items.queries import SORTS, whole, with_tags
from genonaut.content.items.schemas import Item
from genonaut.content.items.tables import items
from genonaut.content.search import queries as search
from genonaut.content.search.domain import Scope, Wanted
from genonaut.content.search.keys import TYPES
from genonaut.content.search.schemas import Viewer, filters
from genonaut.contracts.content import ContentType, SourceType
from genonaut.platform.http.lists import ListBody, ListQuery, list_query
from genonaut.platform.http.routing import Router
from genonaut.platform.service import Runtime, RuntimeDep

Listed = Annotated[ListQuery, Depends(list_query(SORTS, key=items.c.id))]
Searched = Annotated[ListQuery, Depends(list_query(SORTS, key=items.c.id, with_body=True))]
BestFirst = Annotated[
    ListQuery, Depends(list_query({"quality_score": SORTS["quality_score"], **SORTS}, key=items.c.id))
]
Filters = Annotated[Wanted, Depends(filters)]


def browsing_router(prefix: str, source_type: SourceType) -> Router:  # noqa: C901 - routes
    """The lists of one source. To be registered before its items: the words here are no ids."""
    router = Router(prefix=prefix, tags=[prefix.rpartition("/")[2]])
    scopes = (Scope(source_type),)

    async def listed(runtime: Runtime[Any], wanted: Wanted, query: ListQuery) -> ListBody[Item]:
        async with runtime.database.reading() as connection:
            page = await search.page(connection, replace(wanted, scopes=scopes), query, whole())
            rows = await with_tags(connection, page.rows)
        return ListBody[Item].of(page, [Item.of(row) for row in rows])

    @router.get("")
    async def list_items(query: Listed, runtime: RuntimeDep, wanted: Filters) -> ListBody[Item]:
        """The items of this source, newest first."""
        return await listed(runtime, wanted, query)

    @router.get("/enhanced")
    async def list_enhanced(query: Listed, runtime: RuntimeDep, wanted: Filters) -> ListBody[Item]:
        """The same list under its older name. Pages by cursor cost the same at any depth."""
        return await listed(runtime, wanted, query)

    @router.post("/search")
    async def search_items(
        body: SearchBody, query: Searched, runtime: RuntimeDep, viewer: Viewer = None
    ) -> ListBody[Item]:
        """Items by everything at once: words, tags, metadata. Cursors hold for the same body."""
        return await listed(runtime, body.wanted(viewer), query)

    @router.get("/by-creator/{creator_id}")
    async def list_by_creator(
        creator_id: UUID, query: Listed, runtime: RuntimeDep, viewer: Viewer = None
    ) -> ListBody[Item]:
        """The items of one creator. There are none of a creator who does not exist."""
        return await listed(runtime, Wanted(viewer=viewer, creator_id=creator_id), query)

    @router.get("/by-type/{content_type}")
    async def list_by_type(
        content_type: ContentType, query: Listed, runtime: RuntimeDep, viewer: Viewer = None
    ) -> ListBody[Item]:
        """The items of one type."""
        return await listed(runtime, Wanted(viewer=viewer, content_type=content_type), query)

    @router.get("/top-rated")
    async def list_top_rated(query: BestFirst, runtime: RuntimeDep, viewer: Viewer = None) -> ListBody[Item]:
        """Items with a quality above 0, the best first."""
        return await listed(runtime, Wanted(viewer=viewer, rated_only=True), query)

    @router.get("/recent")
    async def list_recent(
        query: Listed,
        runtime: RuntimeDep,
        days: Annotated[int, Query(ge=1, le=3650, description="How far back.")] = 7,
        viewer: Viewer = None,
    ) -> ListBody[Item]:
        """Items of the last days."""
        return await listed(runtime, Wanted(viewer=viewer, since=runtime.clock() - timedelta(days=days)), query)

    @router.get("/public")
    async def list_public(query: Listed, runtime: RuntimeDep) -> ListBody[Item]:
        """Items that everybody sees."""
        return await listed(runtime, Wanted(public_only=True), query)

    @router.get("/stats/overview")
    async def overview(runtime: RuntimeDep, viewer: Viewer = None) -> Overview:
        """How many items there are for this viewer."""
        seen = Wanted(viewer=viewer, scopes=scopes)
        own = replace(seen, scopes=[Scope(source_type, "user")])
        wanted = [
            seen,
            own,
            replace(own, public_only=True),
            *(replace(seen, content_type=content_type) for content_type in TYPES),
        ]
        async with runtime.database.reading() as connection:
            total, all_own, own_public, *by_type = await search.counts(connection, wanted)
        return Overview(
            total=total,
            own=all_own,
            own_private=all_own - own_public,
            by_content_type=dict(zip(TYPES, by_type, strict=True)),
        )

    return router


regular_lists = browsing_router("/api/v1/content", "items")
auto_lists = browsing_router("/api/v1/content-auto", "auto")
