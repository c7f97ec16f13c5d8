"""Items: create, look up and list. The same routes serve the regular source and the automatic one."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Path, Query
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.images.queries import seen_by
from genonaut.content.items import commands, queries
from genonaut.content.items.domain import Draft, InactiveCreatorError
from genonaut.content.items.queries import SORTS
from genonaut.content.items.schemas import Item, NewItem
from genonaut.content.items.tables import items
from genonaut.content.tags.commands import UnknownTagError
from genonaut.content.tags.domain import TagReference, sought
from genonaut.contracts.content import ContentType, SourceType
from genonaut.platform.http.errors import InvalidError, NotFoundError
from genonaut.platform.http.lists import MAX_BIGINT, ListBody, ListQuery, fetch_page, list_query
from genonaut.platform.http.routing import Router
from genonaut.platform.service import Runtime, RuntimeDep

Id = Annotated[int, Path(alias="id", ge=1, le=MAX_BIGINT)]
Viewer = Annotated[UUID | None, Query(alias="user_id", description="Who looks: their private items are there, too.")]
Listed = Annotated[ListQuery, Depends(list_query(SORTS, key=items.c.id))]
TagFilter = Annotated[
    list[str] | None, Query(alias="tag", max_length=100, description="Ids or slugs; items with any of them.")
]

CREATED: dict[int | str, dict[str, Any]] = {
    422: {"description": "Something is wrong; also an unknown or inactive creator, image or tag id"}
}
FOUND: dict[int | str, dict[str, Any]] = {404: {"description": "No such item, or not for this viewer"}}


def items_router(prefix: str, source_type: SourceType, *, looks_up: SourceType | None) -> Router:
    """The routes of one source; `looks_up` limits `GET {prefix}/{id}` to one, None finds items of all."""
    router = Router(prefix=prefix, tags=[prefix.rpartition("/")[2]])

    @router.post("", status_code=201, responses=CREATED)
    async def create_item(body: NewItem, runtime: RuntimeDep) -> Item:
        """Create an item.

        Its prompt never changes. Tags that do not exist yet are created with it.
        """
        return await _created(runtime, body, source_type)

    @router.get("")
    async def list_items(
        *,
        query: Listed,
        runtime: RuntimeDep,
        content_type: ContentType | None = None,
        creator_id: UUID | None = None,
        tag: TagFilter = None,
        viewer: Viewer = None,
    ) -> ListBody[Item]:
        """The items of this source, newest first."""
        statement = queries.whole(viewer).where(items.c.source_type == source_type)
        if content_type:
            statement = statement.where(items.c.content_type == content_type)
        if creator_id:
            statement = statement.where(items.c.creator_id == creator_id)
        if tag:
            statement = statement.where(queries.tagged([sought(word) for word in tag], every=False))
        async with runtime.database.reading() as connection:
            page = await fetch_page(connection, statement, query)
            rows = await queries.with_tags(connection, page.rows)
        return ListBody[Item].of(page, [Item.of(row) for row in rows])

    @router.get("/{id}", responses=FOUND)
    async def get_item(item_id: Id, runtime: RuntimeDep, viewer: Viewer = None) -> Item:
        """One item."""
        async with runtime.database.reading() as connection:
            row = await queries.by_id(connection, item_id, viewer=viewer, source_type=looks_up)
        if row is None:
            raise NotFoundError(f"There is no content item {item_id}")
        return Item.of(row)

    return router


regular_router = items_router("/api/v1/content", "items", looks_up=None)
auto_router = items_router("/api/v1/content-auto", "auto", looks_up="auto")


async def _created(runtime: Runtime[Any], body: NewItem, source_type: SourceType) -> Item:
    references = [TagReference.of(word) for word in body.tags]

    async def work(connection: AsyncConnection) -> dict[str, Any]:
        item_id = await commands.create(
            runtime.store, connection, await _draft(connection, body, source_type), references
        )
        return await queries.one(connection, item_id, viewer=body.creator_id)

    try:
        row = await runtime.database.transact(work)
    except commands.UnknownCreatorError:
        raise InvalidError("There is no such user", loc=("body", "creator_id")) from None
    except InactiveCreatorError:
        raise InvalidError("This user is not active", loc=("body", "creator_id")) from None
    except UnknownTagError as error:
        raise InvalidError(str(error), loc=("body", "tags")) from None
    return Item.of(row)


async def _draft(connection: AsyncConnection, body: NewItem, source_type: SourceType) -> Draft:
    image = None
    if body.image:
        # Otherwise a hash that leaked would be enough to make somebody's private image public.
        seen = await seen_by(connection, body.image, body.creator_id)
        if seen is None:
            raise InvalidError("There is no such image", loc=("body", "image"))
        image = seen.image
    return Draft(
        creator_id=body.creator_id,
        title=body.title,
        prompt=body.prompt,
        content_type=body.content_type,
        source_type=source_type,
        content_data=body.content_data,
        item_metadata=body.item_metadata,
        quality_score=body.quality_score,
        is_private=body.private,
        image=image,
    )
