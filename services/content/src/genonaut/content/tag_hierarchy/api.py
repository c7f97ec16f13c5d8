"""The hierarchy: all of it, what is around one tag, and changes to it."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import Query
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.tag_hierarchy import queries
from genonaut.content.tag_hierarchy.queries import Direction
from genonaut.content.tag_hierarchy.schemas import Hierarchy, NewParents, Statistics
from genonaut.content.tags.api import UNKNOWN, TagId, circle, require_shown
from genonaut.content.tags.commands import UnknownTagError, add_parents, remove_parent
from genonaut.content.tags.domain import TagCycleError, TagReference
from genonaut.content.tags.schemas import DistantTag, TagLink
from genonaut.platform.http.actions import Done
from genonaut.platform.http.errors import InvalidError, NotFoundError
from genonaut.platform.http.routing import Router
from genonaut.platform.service import Runtime, RuntimeDep

router = Router(prefix="/api/v1/tags", tags=["tags"])

MAX_DEPTH = 2**31 - 1
"""What the column holds."""

MaxDepth = Annotated[int | None, Query(ge=1, le=MAX_DEPTH, description="Steps of the shortest way.")]


@router.get("/hierarchy", response_model_exclude_unset=True)
async def get_hierarchy(runtime: RuntimeDep, *, include_ratings: bool = False) -> Hierarchy:
    """Every tag with its parents, flat."""
    async with runtime.database.reading() as connection:
        return Hierarchy.of(*await queries.hierarchy(connection), rated=include_ratings)


@router.post("/hierarchy/refresh")
async def refresh_hierarchy(runtime: RuntimeDep) -> Done:
    """Nothing has to be refreshed: every change of the hierarchy is in all answers at once."""
    async with runtime.database.reading() as connection:
        found = await queries.statistics(connection)
    return Done(message=f"The hierarchy is up to date: {found['total_nodes']} tags")


@router.get("/statistics")
async def get_statistics(runtime: RuntimeDep) -> Statistics:
    """How large the hierarchy is."""
    async with runtime.database.reading() as connection:
        return Statistics(**await queries.statistics(connection))


@router.get("/roots")
async def get_roots(runtime: RuntimeDep) -> list[TagLink]:
    """The tags that have no parents, by name."""
    async with runtime.database.reading() as connection:
        return [TagLink.model_validate(row) for row in await queries.roots(connection)]


@router.get("/{tag_id}/parents", responses=UNKNOWN)
async def get_parents(tag_id: TagId, runtime: RuntimeDep) -> list[TagLink]:
    """What is directly above the tag, by name."""
    return [TagLink.model_validate(row) for row in await _related(runtime, tag_id, "above", 1)]


@router.get("/{tag_id}/children", responses=UNKNOWN)
async def get_children(tag_id: TagId, runtime: RuntimeDep) -> list[TagLink]:
    """What is directly below the tag, by name."""
    return [TagLink.model_validate(row) for row in await _related(runtime, tag_id, "below", 1)]


@router.get("/{tag_id}/ancestors", responses=UNKNOWN)
async def get_ancestors(tag_id: TagId, runtime: RuntimeDep, max_depth: MaxDepth = None) -> list[DistantTag]:
    """All that is above the tag, nearest first. What several ways lead to has the depth of the shortest."""
    return [DistantTag.model_validate(row) for row in await _related(runtime, tag_id, "above", max_depth)]


@router.get("/{tag_id}/descendants", responses=UNKNOWN)
async def get_descendants(tag_id: TagId, runtime: RuntimeDep, max_depth: MaxDepth = None) -> list[DistantTag]:
    """All that is below the tag, nearest first. What several ways lead to has the depth of the shortest."""
    return [DistantTag.model_validate(row) for row in await _related(runtime, tag_id, "below", max_depth)]


@router.post(
    "/{tag_id}/parents",
    responses={**UNKNOWN, 409: {"description": "A parent is the tag itself or below it"}},
)
async def add_more_parents(tag_id: TagId, body: NewParents, runtime: RuntimeDep) -> list[TagLink]:
    """Put the tag below more parents; all that it has then, by name."""
    references = [TagReference.of(word) for word in body.parents]

    async def work(connection: AsyncConnection) -> None:
        await require_shown(connection, tag_id)
        await add_parents(runtime.store, connection, tag_id, references)

    try:
        await runtime.database.transact(work)
    except UnknownTagError as error:
        raise InvalidError(str(error), loc=("body", "parents")) from None
    except TagCycleError:
        raise circle() from None
    return await get_parents(tag_id, runtime)


@router.delete("/{tag_id}/parents/{parent_id}", responses={404: {"description": "No such tag, or no parent of it"}})
async def remove_a_parent(tag_id: TagId, parent_id: UUID, runtime: RuntimeDep) -> Done:
    """Take the tag out from below a parent. Its other parents stay."""

    async def work(connection: AsyncConnection) -> bool:
        await require_shown(connection, tag_id)
        return await remove_parent(runtime.store, connection, tag_id, parent_id)

    if not await runtime.database.transact(work):
        raise NotFoundError(f"{parent_id} is no parent of this tag")
    return Done(message="The tag is not below this parent any more")


async def _related(
    runtime: Runtime[Any], tag_id: UUID, direction: Direction, max_depth: int | None
) -> list[dict[str, Any]]:
    async with runtime.database.reading() as connection:
        await require_shown(connection, tag_id)
        return await queries.related(connection, tag_id, direction, max_depth=max_depth)
