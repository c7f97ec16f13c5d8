"""Interactions: record them, look them up, list them, and what they add up to."""

from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Any, cast
from uuid import UUID

from fastapi import Depends, Header, Path, Query, Response
from sqlalchemy import ColumnElement
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.images.addresses import addresses_of
from genonaut.content.interactions import commands, queries
from genonaut.content.interactions.commands import OTHER_BODY, Kept, Refused, RefusedError
from genonaut.content.interactions.domain import (
    INTERACTION,
    Change,
    Delete,
    Draft,
    RatingNeededError,
    UnknownInteractionError,
)
from genonaut.content.interactions.queries import SORTS
from genonaut.content.interactions.schemas import (
    Bulk,
    BulkAnswer,
    BulkResult,
    ClientId,
    ContentAnalytics,
    Days,
    GlobalAnalytics,
    Interaction,
    InteractionChanges,
    Misshapen,
    NewInteraction,
    UserBehavior,
)
from genonaut.content.interactions.tables import interactions
from genonaut.contracts.content import InteractionType
from genonaut.platform.http.actions import Done
from genonaut.platform.http.errors import ConflictError, FieldError, InvalidError, NotFoundError
from genonaut.platform.http.lists import MAX_BIGINT, ListBody, ListQuery, fetch_list, list_query
from genonaut.platform.http.routing import Router
from genonaut.platform.service import Runtime, RuntimeDep

PREFIX = "/api/v1/interactions"

router = Router(prefix=PREFIX, tags=["interactions"])
users_router = Router(prefix="/api/v1/users", tags=["users"])

Id = Annotated[int, Path(alias="id", ge=1, le=MAX_BIGINT)]
ItemId = Annotated[int, Path(alias="content_id", ge=1, le=MAX_BIGINT)]
Viewer = Annotated[
    UUID | None, Query(alias="user_id", description="Who looks: theirs is what they did, and their private items.")
]
Actor = Annotated[UUID | None, Query(alias="user_id", description="Who wants it: what somebody else did is 404.")]
Key = Annotated[ClientId | None, Header(alias="Idempotency-Key", description="A client id for what has none.")]


def _listed(*fields: str) -> Any:
    return Depends(list_query({field: SORTS[field] for field in fields}, key=interactions.c.id))


Listed = Annotated[ListQuery, _listed("created_at", "rating", "duration")]
# One order each: of everybody's interactions, others would need two more indexes that every write pays for, and each
# list is named for its order. `by-type/rate` has them.
NewestFirst = Annotated[ListQuery, _listed("created_at")]
BestFirst = Annotated[ListQuery, _listed("rating")]

FOUND: dict[int | str, dict[str, Any]] = {404: {"description": "No such interaction, or not for this person"}}
REPEATED: dict[int | str, dict[str, Any]] = {
    409: {"description": "The client id stands for an interaction that was recorded otherwise"},
    422: {"description": "Something is wrong; also an unknown or inactive user, or an item that is not there for them"},
}


@router.post(
    "",
    status_code=201,
    responses={
        200: {"model": Interaction, "description": "It was recorded before; this is the first answer"},
        **REPEATED,
    },
)
async def record_interaction(
    body: NewInteraction, runtime: RuntimeDep, response: Response, key: Key = None
) -> Interaction:
    """Record what somebody did with an item.

    With a client id, in the body or as the Idempotency-Key, it is recorded once, however often it is sent.
    """
    try:
        (outcome,) = await _recorded(runtime, [body.draft(key)], partial=False)
    except RefusedError as error:
        raise _refusal(error.refusals[0]) from None
    kept = cast("Kept", outcome)  # what is refused is raised
    if not kept.is_new:
        response.status_code = 200
    response.headers["Location"] = f"{PREFIX}/{kept.event.interaction_id}"
    async with runtime.database.reading() as connection:
        content = await queries.content(connection, kept.event.content_item_id, body.user_id)
    return Interaction.as_recorded(kept, content, addresses_of(runtime))


@router.post(
    "/bulk",
    status_code=201,
    responses={200: {"model": BulkAnswer, "description": "Nothing new was recorded"}, **REPEATED},
)
async def record_interactions(
    body: Bulk,
    runtime: RuntimeDep,
    response: Response,
    partial: Annotated[bool, Query(description="Record what can be, and say of each what became of it.")] = False,
    key: Key = None,
) -> BulkAnswer:
    """Record up to 1000 interactions: all of them or, unless `partial`, none.

    With an Idempotency-Key each that has no client id is called `<key>/<index>`.
    """
    misshapen = {place: each for place, each in enumerate(body) if isinstance(each, Misshapen)}
    if misshapen and not partial:
        errors = [_in_list(place, error) for place, each in misshapen.items() for error in each.errors]
        raise InvalidError(f"{len(misshapen)} of {len(body)} are no interactions", errors=errors)
    drafts = {
        place: each.draft(f"{key}/{place}" if key else None)
        for place, each in enumerate(body)
        if not isinstance(each, Misshapen)
    }
    try:
        outcomes = dict(zip(drafts, await _recorded(runtime, list(drafts.values()), partial=partial), strict=True))
    except RefusedError as error:
        raise _refusals(error.refusals, len(body)) from None
    results = [
        BulkResult.misshapen(place, misshapen[place]) if place in misshapen else _result(place, outcomes[place])
        for place in range(len(body))
    ]
    answer = BulkAnswer.of(results)
    if not answer.recorded:
        response.status_code = 200
    return answer


@router.get("/recent")
async def recent(query: NewestFirst, runtime: RuntimeDep, viewer: Viewer = None) -> ListBody[Interaction]:
    """What was done last, with items that this viewer may see."""
    return await _of_all(runtime, query, viewer, "type")


@router.get("/top-rated")
async def top_rated(query: BestFirst, runtime: RuntimeDep, viewer: Viewer = None) -> ListBody[Interaction]:
    """What has a rating, the best first."""
    return await _of_all(runtime, query, viewer, "rating", None, queries.RATED)


@router.get("/by-type/{interaction_type}")
async def by_type(
    interaction_type: InteractionType, query: Listed, runtime: RuntimeDep, viewer: Viewer = None
) -> ListBody[Interaction]:
    """What was done in this way, with items that this viewer may see."""
    of_type = interactions.c.interaction_type == interaction_type
    return await _of_all(runtime, query, viewer, "type", interaction_type, of_type)


@router.get("/by-user/{user_id}", responses={404: {"description": "No such user"}})
async def by_user(user_id: UUID, query: Listed, runtime: RuntimeDep, viewer: Viewer = None) -> ListBody[Interaction]:
    """What the user did: all of it for themselves, for others what they did with public items."""
    async with runtime.database.reading() as connection:
        await _require_user(connection, user_id)
        total = await queries.total_of_user(connection, user_id, viewer)
        return await fetch_list(connection, queries.of_user(user_id, viewer), query, _shown(runtime), total=total)


@users_router.get("/{id}/interactions", responses={404: {"description": "No such user"}})
async def interactions_of_user(
    user_id: Annotated[UUID, Path(alias="id")], query: Listed, runtime: RuntimeDep, viewer: Viewer = None
) -> ListBody[Interaction]:
    """What the user did: all of it for themselves, for others what they did with public items."""
    return await by_user(user_id, query, runtime, viewer)


@router.get("/by-content/{content_id}", responses={404: {"description": "No such item, or not for this viewer"}})
async def by_content(
    item_id: ItemId, query: Listed, runtime: RuntimeDep, viewer: Viewer = None
) -> ListBody[Interaction]:
    """What was done with the item, of either source, also when it is deleted."""
    async with runtime.database.reading() as connection:
        if not await queries.is_there(connection, item_id, viewer):
            raise _no_item(item_id)
        total = await queries.total_of_item(connection, item_id)
        return await fetch_list(connection, queries.of_item(item_id, viewer), query, _shown(runtime), total=total)


@router.get("/analytics/user-behavior/{user_id}", responses={404: {"description": "No such user"}})
async def user_behavior(user_id: UUID, runtime: RuntimeDep, viewer: Viewer = None) -> UserBehavior:
    """What the user does, when, and with what: all of it for themselves, for others what is public."""
    async with runtime.database.reading() as connection:
        await _require_user(connection, user_id)
        return UserBehavior.of(await queries.behavior(connection, user_id, viewer), addresses_of(runtime))


@router.get("/analytics/content/{content_id}", responses={404: {"description": "No such item, or not for this viewer"}})
async def content_analytics(
    item_id: ItemId, runtime: RuntimeDep, days: Days = 30, viewer: Viewer = None
) -> ContentAnalytics:
    """What was done with the item, by whom in number, and when."""
    since = (runtime.clock() - timedelta(days=days - 1)).date()
    async with runtime.database.reading() as connection:
        numbers = await queries.content_numbers(connection, item_id, viewer, since=since)
    if numbers is None:
        raise _no_item(item_id)
    return ContentAnalytics.of(numbers, addresses_of(runtime))


@router.get("/analytics/global")
async def global_analytics(runtime: RuntimeDep, days: Days = 30) -> GlobalAnalytics:
    """What is done with public items, all in all and by day."""
    since = (runtime.clock() - timedelta(days=days - 1)).date()
    async with runtime.database.reading() as connection:
        return GlobalAnalytics.of(
            await queries.overall(connection), await queries.overall_days(connection, since=since)
        )


@router.get("/{id}", responses=FOUND)
async def get_interaction(interaction_id: Id, runtime: RuntimeDep, viewer: Viewer = None) -> Interaction:
    """One interaction."""
    async with runtime.database.reading() as connection:
        row = await queries.by_id(connection, interaction_id, viewer)
    if row is None:
        raise _no_interaction(interaction_id)
    return Interaction.of(row, addresses_of(runtime))


@router.put("/{id}", responses=FOUND)
async def change_interaction(
    interaction_id: Id, body: InteractionChanges, runtime: RuntimeDep, actor: Actor = None
) -> Interaction:
    """Change what is named; the rest stays. What is the same leaves no trace."""
    await get_interaction(interaction_id, runtime, actor)
    try:
        await runtime.store.execute(INTERACTION, interaction_id, Change(actor, body.named))
    except UnknownInteractionError:
        raise _no_interaction(interaction_id) from None
    except RatingNeededError as error:
        raise InvalidError(str(error), loc=("body", "rating")) from None
    return await get_interaction(interaction_id, runtime, actor)


@router.delete("/{id}", responses=FOUND)
async def delete_interaction(interaction_id: Id, runtime: RuntimeDep, actor: Actor = None) -> Done:
    """Take it back: it is gone from every list and counter."""
    await get_interaction(interaction_id, runtime, actor)
    try:
        await runtime.store.execute(INTERACTION, interaction_id, Delete(actor))
    except UnknownInteractionError:
        raise _no_interaction(interaction_id) from None
    return Done(message=f"Interaction {interaction_id} is deleted")


async def _recorded(runtime: Runtime[Any], drafts: list[Draft], *, partial: bool) -> list[Kept | Refused]:
    return await runtime.database.transact(
        lambda connection: commands.record(runtime.store, connection, drafts, partial=partial)
    )


async def _of_all(
    runtime: Runtime[Any],
    query: ListQuery,
    viewer: UUID | None,
    facet: str,
    value: str | None = None,
    *conditions: ColumnElement[bool],
) -> ListBody[Interaction]:
    """Of the interactions with these conditions, which are as many as the totals of the facet say."""
    async with runtime.database.reading() as connection:
        total = await queries.total_of_all(connection, viewer, facet, value)
        return await fetch_list(connection, queries.of_all(viewer, *conditions), query, _shown(runtime), total=total)


async def _require_user(connection: AsyncConnection, user_id: UUID) -> None:
    if not await queries.activity(connection, [user_id]):
        raise NotFoundError(f"There is no user {user_id}")


def _no_interaction(interaction_id: int) -> NotFoundError:
    return NotFoundError(f"There is no interaction {interaction_id}")


def _no_item(item_id: int) -> NotFoundError:
    return NotFoundError(f"There is no content item {item_id}")


def _refusal(refused: Refused) -> InvalidError | ConflictError:
    if refused == OTHER_BODY:
        return ConflictError(refused.reason, error_code="CLIENT_ID_TAKEN")
    return InvalidError(refused.reason, loc=("body", refused.field))


def _refusals(refusals: dict[int, Refused], count: int) -> InvalidError | ConflictError:
    """Of a list of which nothing is recorded: a conflict when it is nothing else."""
    errors = [
        FieldError(loc=["body", place, each.field], msg=each.reason, type="value_error")
        for place, each in refusals.items()
    ]
    said = f"{len(refusals)} of {count} interactions cannot be recorded, so none is"
    if all(each == OTHER_BODY for each in refusals.values()):
        return ConflictError(said, error_code="CLIENT_ID_TAKEN", errors=errors)
    return InvalidError(said, errors=errors)


def _in_list(place: int, error: FieldError) -> FieldError:
    return error.model_copy(update={"loc": ["body", place, *error.loc]})


def _result(place: int, outcome: Kept | Refused) -> BulkResult:
    if isinstance(outcome, Kept):
        return BulkResult(index=place, status=201 if outcome.is_new else 200, id=outcome.event.interaction_id)
    return BulkResult(index=place, status=409 if outcome == OTHER_BODY else 422, error=outcome.reason)


def _shown(runtime: Runtime[Any]) -> Callable[[dict[str, Any]], Interaction]:
    """A row as it is shown."""
    addresses = addresses_of(runtime)
    return lambda row: Interaction.of(row, addresses)
