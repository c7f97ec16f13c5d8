"""Items: create, look up, change, and what became of them. The same routes serve both sources."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Path, Query
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.images.addresses import Addresses, AddressesDep, addresses_of
from genonaut.content.images.queries import hold, seen_by
from genonaut.content.interactions.queries import content_numbers
from genonaut.content.interactions.schemas import ContentAnalytics, Days
from genonaut.content.items import commands, queries
from genonaut.content.items.domain import (
    ITEM,
    ChangeQuality,
    Delete,
    Draft,
    Edit,
    InactiveCreatorError,
    NotTheirsError,
    UnknownItemError,
)
from genonaut.content.items.schemas import HistoryEntry, Item, ItemChanges, NewItem, NewQuality, OldVersion
from genonaut.content.search.schemas import Viewer
from genonaut.content.tags.commands import UnknownTagError
from genonaut.content.tags.domain import TagReference
from genonaut.contracts.content import SourceType
from genonaut.platform.events import LOG, to_recorded
from genonaut.platform.http.actions import Done
from genonaut.platform.http.errors import ForbiddenError, InvalidError, NotFoundError
from genonaut.platform.http.lists import MAX_BIGINT, ListBody, ListQuery, fetch_page, list_query
from genonaut.platform.http.routing import Router
from genonaut.platform.service import Runtime, RuntimeDep

Id = Annotated[int, Path(alias="id", ge=1, le=MAX_BIGINT)]
Actor = Annotated[UUID | None, Query(alias="user_id", description="Who does it. Only its creator changes an item.")]
Versions = Annotated[ListQuery, Depends(list_query({"version": LOG.c.version}, key=LOG.c.version))]

CREATED: dict[int | str, dict[str, Any]] = {
    422: {"description": "Something is wrong; also an unknown or inactive creator, image or tag id"}
}
FOUND: dict[int | str, dict[str, Any]] = {404: {"description": "No such item, or not for this viewer"}}
CHANGED: dict[int | str, dict[str, Any]] = {**FOUND, 403: {"description": "It is somebody else's"}}


def items_router(prefix: str, source_type: SourceType, *, looks_up: SourceType | None) -> Router:  # noqa: C901 - routes
    """The routes of one source; `looks_up` limits those with an id to one, None finds items of all."""
    router = Router(prefix=prefix, tags=[prefix.rpartition("/")[2]])

    async def changed(runtime: Runtime[Any], item_id: int, actor: UUID | None, change: Any) -> Item:
        """The item after `change(connection)`, which is done in one transaction."""

        async def work(connection: AsyncConnection) -> dict[str, Any]:
            await _require(connection, item_id, viewer=actor, source_type=looks_up)
            await change(connection)
            return await queries.one(connection, item_id)

        with _refusals(item_id):
            return Item.of(await runtime.database.transact(work), addresses_of(runtime))

    @router.post("", status_code=201, responses=CREATED)
    async def create_item(body: NewItem, runtime: RuntimeDep, addresses: AddressesDep) -> Item:
        """Create an item.

        Its prompt never changes. Tags that do not exist yet are created with it.
        """
        return await _created(runtime, addresses, body, source_type)

    @router.get("/{id}", responses=FOUND)
    async def get_item(item_id: Id, runtime: RuntimeDep, addresses: AddressesDep, viewer: Viewer = None) -> Item:
        """One item."""
        async with runtime.database.reading() as connection:
            row = await queries.by_id(connection, item_id, viewer=viewer, source_type=looks_up)
        if row is None:
            raise _unknown(item_id)
        return Item.of(row, addresses)

    @router.put("/{id}", responses=CHANGED)
    async def edit_item(item_id: Id, body: ItemChanges, runtime: RuntimeDep, actor: Actor = None) -> Item:
        """Change an item: what is not given stays. Its prompt never changes."""
        references = None if body.tags is None else [TagReference.of(word) for word in body.tags]
        edit = Edit(changes=body.changes, is_private=body.private, actor=actor)
        return await changed(
            runtime,
            item_id,
            actor,
            lambda connection: commands.edit(runtime.store, connection, item_id, edit, references),
        )

    @router.delete("/{id}", responses=CHANGED)
    async def delete_item(item_id: Id, runtime: RuntimeDep, actor: Actor = None) -> Done:
        """Delete an item. What refers to it stays, and shows that it is gone."""

        async def work(connection: AsyncConnection) -> None:
            await _require(connection, item_id, viewer=actor, source_type=looks_up)
            await runtime.store.execute_in(connection, ITEM, item_id, Delete(actor))

        with _refusals(item_id):
            await runtime.database.transact(work)
        return Done(message=f"Content item {item_id} is deleted")

    @router.put("/{id}/quality", responses=FOUND)
    async def change_quality(item_id: Id, body: NewQuality, runtime: RuntimeDep, actor: Viewer = None) -> Item:
        """Judge an item. Whoever sees it may."""
        judge = ChangeQuality(body.quality_score, actor)
        return await changed(
            runtime, item_id, actor, lambda connection: runtime.store.execute_in(connection, ITEM, item_id, judge)
        )

    @router.get("/{id}/history", responses=FOUND)
    async def get_history(
        item_id: Id, query: Versions, runtime: RuntimeDep, viewer: Viewer = None
    ) -> ListBody[HistoryEntry]:
        """What became of an item, the latest first. Others than its creator see nothing from when it was private."""
        async with runtime.database.reading() as connection:
            row = await queries.by_id(connection, item_id, viewer=viewer, source_type=looks_up)
            if row is None:
                raise _unknown(item_id)
            own = viewer == row["creator_id"]
            page = await fetch_page(connection, await queries.history(connection, item_id, whole=own), query)
            recorded = [to_recorded(row, runtime.service.source) for row in page.rows]
            slugs = await queries.tag_slugs(connection, [each.event for each in recorded])
        return ListBody[HistoryEntry].of(page, [HistoryEntry.of(each, slugs) for each in recorded])

    @router.get("/{id}/analytics", responses=FOUND)
    async def get_analytics(
        item_id: Id, runtime: RuntimeDep, addresses: AddressesDep, days: Days = 30, viewer: Viewer = None
    ) -> ContentAnalytics:
        """What was done with an item, by how many people, and when."""
        since = (runtime.clock() - timedelta(days=days - 1)).date()
        async with runtime.database.reading() as connection:
            row = await queries.by_id(connection, item_id, viewer=viewer, source_type=looks_up)
            numbers = await content_numbers(connection, item_id, viewer, since=since) if row else None
        if numbers is None:
            raise _unknown(item_id)
        return ContentAnalytics.of(numbers, addresses)

    @router.post("/{id}/revert", responses=CHANGED)
    async def revert_item(item_id: Id, body: OldVersion, runtime: RuntimeDep, actor: Actor = None) -> Item:
        """Give an item the title, content, metadata and tags of an earlier version. That is a new version."""
        return await changed(
            runtime,
            item_id,
            actor,
            lambda connection: commands.revert(runtime.store, connection, item_id, body.version, actor=actor),
        )

    return router


regular_router = items_router("/api/v1/content", "items", looks_up=None)
auto_router = items_router("/api/v1/content-auto", "auto", looks_up="auto")


async def _created(runtime: Runtime[Any], addresses: Addresses, body: NewItem, source_type: SourceType) -> Item:
    references = [TagReference.of(word) for word in body.tags]

    async def work(connection: AsyncConnection) -> dict[str, Any]:
        draft = await _draft(connection, body, source_type)
        return await queries.one(connection, await commands.create(runtime.store, connection, draft, references))

    with _refusals(None):
        return Item.of(await runtime.database.transact(work), addresses)


@contextmanager
def _refusals(item_id: int | None) -> Iterator[None]:
    """What commands raise, as answers."""
    try:
        yield
    except commands.UnknownCreatorError:
        raise InvalidError("There is no such user", loc=("body", "creator_id")) from None
    except InactiveCreatorError:
        raise InvalidError("This user is not active", loc=("body", "creator_id")) from None
    except UnknownTagError as error:
        raise InvalidError(str(error), loc=("body", "tags")) from None
    except commands.UnknownVersionError:
        raise InvalidError("The item has no such version", loc=("body", "version")) from None
    except UnknownItemError:
        raise _unknown(item_id) from None
    except NotTheirsError:
        raise ForbiddenError("Only its creator changes an item", error_code="NOT_THE_CREATOR") from None


async def _require(
    connection: AsyncConnection, item_id: int, *, viewer: UUID | None, source_type: SourceType | None
) -> None:
    if await queries.by_id(connection, item_id, viewer=viewer, source_type=source_type) is None:
        raise UnknownItemError


def _unknown(item_id: int | None) -> NotFoundError:
    return NotFoundError(f"There is no content item {item_id}")


async def _draft(connection: AsyncConnection, body: NewItem, source_type: SourceType) -> Draft:
    image = None
    if body.image:
        # Otherwise a hash that leaked would be enough to make somebody's private image public.
        await hold(connection, body.image)  # so that it is still there when the item is
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
