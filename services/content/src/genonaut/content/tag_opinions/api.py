"""Ratings and favorites of the user who is named."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import Query
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.tag_opinions import queries
from genonaut.content.tag_opinions.domain import (
    TAG_OPINION,
    Command,
    Favor,
    NotRatedError,
    Rate,
    RemoveRating,
    opinion_id,
)
from genonaut.content.tag_opinions.schemas import Rating, Ratings, RatingValue
from genonaut.content.tags.api import UNKNOWN, TagId, require_shown
from genonaut.content.tags.schemas import TagLink
from genonaut.content.users.queries import is_active
from genonaut.platform.http.actions import Done
from genonaut.platform.http.errors import InvalidError, NotFoundError
from genonaut.platform.http.routing import Router
from genonaut.platform.service import Runtime, RuntimeDep

router = Router(prefix="/api/v1/tags", tags=["tags"])

UserId = Annotated[UUID, Query(alias="user_id", description="Whose opinion it is.")]
TagIds = list[UUID] | None

GIVEN: dict[int | str, dict[str, Any]] = {
    **UNKNOWN,
    422: {"description": "Something is wrong; also an unknown or inactive user"},
}


@router.get("/ratings")
async def get_ratings(
    user_id: UserId,
    runtime: RuntimeDep,
    tag_ids: Annotated[TagIds, Query(max_length=1000, description="The tags that are asked for.")] = None,
    tag_ids_too: Annotated[TagIds, Query(alias="tag_ids[]", max_length=1000, description="The same.")] = None,
) -> Ratings:
    """What the user gave those of the tags that they have rated."""
    async with runtime.database.reading() as connection:
        given = await queries.ratings(connection, user_id, [*(tag_ids or ()), *(tag_ids_too or ())])
    return Ratings(ratings={tag_id: half_stars / 2 for tag_id, half_stars in given.items()})


@router.get("/favorites")
async def get_favorites(user_id: UserId, runtime: RuntimeDep) -> list[TagLink]:
    """The user's favorite tags, by name."""
    async with runtime.database.reading() as connection:
        return [TagLink.model_validate(row) for row in await queries.favorites(connection, user_id)]


@router.post("/{tag_id}/rate", responses=GIVEN)
async def rate_tag(
    tag_id: TagId,
    user_id: UserId,
    rating: Annotated[float, Query(ge=1, le=5, multiple_of=0.5, description="From 1 to 5 in half steps.")],
    runtime: RuntimeDep,
) -> Rating:
    """Rate a tag, in the place of what this user gave it before."""
    await _state(runtime, Rate(tag_id, user_id, round(2 * rating)))
    return Rating(tag_id=tag_id, user_id=user_id, rating=rating)


@router.delete("/{tag_id}/rate", responses={404: {"description": "No such tag, or no rating of this user"}})
async def remove_rating(tag_id: TagId, user_id: UserId, runtime: RuntimeDep) -> Done:
    """Take a rating back."""
    try:
        await _state(runtime, RemoveRating(tag_id, user_id))
    except NotRatedError:
        raise NotFoundError("This user has not rated the tag") from None
    return Done(message="The rating is removed")


@router.get("/{tag_id}/rating", responses=UNKNOWN)
async def get_rating(tag_id: TagId, user_id: UserId, runtime: RuntimeDep) -> RatingValue:
    """What the user gave the tag; null when they have not rated it."""
    async with runtime.database.reading() as connection:
        await require_shown(connection, tag_id)
        half_stars = (await queries.opinion(connection, user_id, tag_id)).half_stars
    return RatingValue(rating=half_stars / 2 if half_stars else None)


@router.post("/{tag_id}/favorite", responses=GIVEN)
async def add_favorite(tag_id: TagId, user_id: UserId, runtime: RuntimeDep) -> Done:
    """Make a tag one of the user's favorites, whether or not it is."""
    await _state(runtime, Favor(tag_id, user_id, is_favorite=True))
    return Done(message="The tag is a favorite")


@router.delete("/{tag_id}/favorite", responses=UNKNOWN)
async def remove_favorite(tag_id: TagId, user_id: UserId, runtime: RuntimeDep) -> Done:
    """Make a tag none of the user's favorites, whether or not it was."""
    await _state(runtime, Favor(tag_id, user_id, is_favorite=False))
    return Done(message="The tag is no favorite")


async def _state(runtime: Runtime[Any], command: Command) -> None:
    """Raises NotFoundError for the tag, NotRatedError, and InvalidError for a user who may state nothing."""

    async def work(connection: AsyncConnection) -> None:
        await require_shown(connection, command.tag_id)
        active = await is_active(connection, command.user_id)
        if not active:
            detail = "There is no such user" if active is None else "This user is not active"
            raise InvalidError(detail, loc=("query", "user_id"))
        stream = opinion_id(command.tag_id, command.user_id)
        await runtime.store.execute_in(connection, TAG_OPINION, stream, command)

    await runtime.database.transact(work)
