"""Aliases and implications of one tag."""

from uuid import UUID

from fastapi import Response
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.tag_meanings import commands, queries
from genonaut.content.tag_meanings.domain import AliasChainError, AliasTakenError, ImplicationCycleError
from genonaut.content.tag_meanings.schemas import NewAlias, NewImplication
from genonaut.content.tags.api import UNKNOWN, TagId, require_shown
from genonaut.content.tags.commands import UnknownTagError
from genonaut.content.tags.domain import BadSlugError, TagReference, slug_of
from genonaut.content.tags.schemas import TagLink
from genonaut.platform.http.actions import Done
from genonaut.platform.http.errors import ConflictError, InvalidError, NotFoundError
from genonaut.platform.http.routing import Router
from genonaut.platform.service import RuntimeDep

router = Router(prefix="/api/v1/tags/{tag_id}", tags=["tags"])


@router.get("/aliases", responses=UNKNOWN)
async def get_aliases(tag_id: TagId, runtime: RuntimeDep) -> list[str]:
    """The other slugs that mean this tag, in their order."""
    async with runtime.database.reading() as connection:
        await require_shown(connection, tag_id)
        return await queries.aliases(connection, tag_id)


@router.post(
    "/aliases",
    status_code=201,
    responses={
        **UNKNOWN,
        200: {"model": list[str], "description": "It was an alias of this tag already"},
        409: {"description": "It means another tag, or is called by an alias itself"},
    },
)
async def add_alias(tag_id: TagId, body: NewAlias, runtime: RuntimeDep, response: Response) -> list[str]:
    """Have a slug mean this tag wherever a slug is taken; all that do then.

    A tag that has this slug stays as it is. Who uses the slug uses this tag from now on, and who searches for one of
    the two finds the items of both.
    """

    async def work(connection: AsyncConnection) -> bool:
        await require_shown(connection, tag_id)
        return await commands.add_alias(runtime.store, connection, tag_id, body.alias)

    try:
        new = await runtime.database.transact(work)
    except AliasTakenError:
        raise ConflictError(f"{body.alias} is an alias of another tag", error_code="ALIAS_TAKEN") from None
    except AliasChainError:
        detail = f"{body.alias} is this tag itself, or one of the two is called by an alias"
        raise ConflictError(detail, error_code="ALIAS_CHAIN") from None
    response.status_code = 201 if new else 200
    return await get_aliases(tag_id, runtime)


@router.delete("/aliases/{alias}", responses={404: {"description": "No such tag, or no alias of it"}})
async def remove_alias(tag_id: TagId, alias: str, runtime: RuntimeDep) -> Done:
    """Have a slug mean itself again. Items that were tagged meanwhile keep this tag."""

    async def work(connection: AsyncConnection) -> bool:
        await require_shown(connection, tag_id)
        return await commands.remove_alias(runtime.store, connection, tag_id, slug_of(alias))

    try:
        removed = await runtime.database.transact(work)
    except BadSlugError:
        removed = False
    if not removed:
        raise NotFoundError("This is no alias of the tag")
    return Done(message="This alias means the tag no longer")


@router.get("/implications", responses=UNKNOWN)
async def get_implications(tag_id: TagId, runtime: RuntimeDep) -> list[TagLink]:
    """The tags that this one brings with it directly, by name."""
    async with runtime.database.reading() as connection:
        await require_shown(connection, tag_id)
        return [TagLink.model_validate(row) for row in await queries.implications(connection, tag_id)]


@router.post(
    "/implications",
    status_code=201,
    responses={
        **UNKNOWN,
        200: {"model": list[TagLink], "description": "It was implied already"},
        409: {"description": "The implied tag is this one, or implies it"},
    },
)
async def add_implication(
    tag_id: TagId, body: NewImplication, runtime: RuntimeDep, response: Response
) -> list[TagLink]:
    """Have this tag imply another one: items that are given this tag get that one, too. All that it implies then."""
    implied = TagReference.of(body.implied)

    async def work(connection: AsyncConnection) -> bool:
        await require_shown(connection, tag_id)
        return await commands.add_implication(runtime.store, connection, tag_id, implied)

    try:
        new = await runtime.database.transact(work)
    except UnknownTagError as error:
        raise InvalidError(str(error), loc=("body", "implied")) from None
    except ImplicationCycleError:
        detail = "The implied tag is this one, or implies it"
        raise ConflictError(detail, error_code="IMPLICATION_CYCLE") from None
    response.status_code = 201 if new else 200
    return await get_implications(tag_id, runtime)


@router.delete(
    "/implications/{implied_id}", responses={404: {"description": "No such tag, or it does not imply the other"}}
)
async def remove_implication(tag_id: TagId, implied_id: UUID, runtime: RuntimeDep) -> Done:
    """Have this tag imply another one no longer. Items keep what they were given."""

    async def work(connection: AsyncConnection) -> bool:
        await require_shown(connection, tag_id)
        return await commands.remove_implication(runtime.store, connection, tag_id, implied_id)

    if not await runtime.database.transact(work):
        raise NotFoundError(f"This tag does not imply {implied_id}")
    return Done(message="This tag implies the other no longer")
