"""Tags: declare, list, and the whole hierarchy."""

from typing import Annotated

from fastapi import Depends, Query, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.tags import commands, queries
from genonaut.content.tags.domain import TagCycleError, TagReference
from genonaut.content.tags.schemas import Hierarchy, NewTag, Tag, TagWithParents
from genonaut.content.tags.tables import tags
from genonaut.platform.http.errors import ConflictError, InvalidError
from genonaut.platform.http.lists import ListBody, ListQuery, fetch_list, list_query
from genonaut.platform.http.routing import Router
from genonaut.platform.service import RuntimeDep

router = Router(prefix="/api/v1/tags", tags=["tags"])

Listed = Annotated[
    ListQuery,
    Depends(
        list_query(
            {"name": tags.c.name, "created_at": tags.c.created_at, "updated_at": tags.c.updated_at},
            key=tags.c.id,
            default_order="asc",
        )
    ),
]


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

    Its id is made from the slug. A name is given once: it stays as it was for a tag that exists.
    """
    tag, parents = body.reference, [TagReference.of(word) for word in body.parents]

    async def work(connection: AsyncConnection) -> bool:
        return await commands.declare(runtime.store, connection, tag, parents)

    try:
        new = await runtime.database.transact(work)
    except commands.UnknownTagError as error:
        raise InvalidError(str(error), loc=("body", "parents")) from None
    except TagCycleError:
        raise ConflictError(
            f"A parent of {tag.slug} is {tag.slug} itself or below it", error_code="TAG_CYCLE"
        ) from None
    if not new:
        response.status_code = 200
    async with runtime.database.reading() as connection:
        return TagWithParents.model_validate(await queries.by_id(connection, tag.tag_id))


@router.get("")
async def list_tags(
    query: Listed,
    runtime: RuntimeDep,
    search: Annotated[str | None, Query(max_length=100, description="Part of the slug or the name.")] = None,
) -> ListBody[Tag]:
    """All tags, by name."""
    async with runtime.database.reading() as connection:
        return await fetch_list(connection, queries.listed(search), query, Tag.model_validate)


@router.get("/hierarchy")
async def get_hierarchy(runtime: RuntimeDep) -> Hierarchy:
    """Every tag with its parents, flat."""
    async with runtime.database.reading() as connection:
        return Hierarchy.of(*await queries.hierarchy(connection))
