"""Recommendations: generate them or make them by hand, list them, mark them as served, and say what came of them."""

from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Path, Query, Response
from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.images.addresses import addresses_of
from genonaut.content.interactions.commands import NO_USER, Refused, RefusedError
from genonaut.content.interactions.queries import activity
from genonaut.content.interactions.schemas import BulkResult, Misshapen
from genonaut.content.recommendations import commands, queries
from genonaut.content.recommendations.domain import (
    RECOMMENDATION,
    Change,
    Command,
    Delete,
    Draft,
    Judge,
    UnknownRecommendationError,
)
from genonaut.content.recommendations.queries import SORTS
from genonaut.content.recommendations.schemas import (
    Bulk,
    BulkAnswer,
    GeneratedList,
    GlobalNumbers,
    Judgement,
    NewRecommendation,
    Recommendation,
    RecommendationChanges,
    ServedAnswer,
    ServedIds,
    UserNumbers,
    Wish,
    cited,
)
from genonaut.content.recommendations.tables import recommendations
from genonaut.content.recommenders.algorithms import ALGORITHMS, BEST, called, named
from genonaut.platform.http.actions import Done
from genonaut.platform.http.errors import FieldError, InvalidError, NotFoundError
from genonaut.platform.http.lists import MAX_BIGINT, ListBody, ListQuery, fetch_page, list_query
from genonaut.platform.http.routing import Router
from genonaut.platform.service import Runtime, RuntimeDep

PREFIX = "/api/v1/recommendations"

router = Router(prefix=PREFIX, tags=["recommendations"])
users_router = Router(prefix="/api/v1/users", tags=["users"])

Id = Annotated[int, Path(alias="id", ge=1, le=MAX_BIGINT)]
Viewer = Annotated[
    UUID | None, Query(alias="user_id", description="Who looks: theirs is what they are recommended, all of it.")
]
Actor = Annotated[UUID | None, Query(alias="user_id", description="Who wants it: what is for somebody else is 404.")]


def _listed(first: str) -> Any:
    sorts = {first: SORTS[first], **SORTS}
    return Depends(list_query(sorts, key=recommendations.c.id))


NewestFirst = Annotated[ListQuery, _listed("created_at")]
BestFirst = Annotated[ListQuery, _listed("recommendation_score")]

FOUND: dict[int | str, dict[str, Any]] = {404: {"description": "No such recommendation, or not for this person"}}
USER: dict[int | str, dict[str, Any]] = {404: {"description": "No such user"}}


@router.post("", status_code=201)
async def make_recommendation(body: NewRecommendation, runtime: RuntimeDep, response: Response) -> Recommendation:
    """Recommend an item to a user who may see it, by whatever decided that."""
    try:
        (made,) = await _make(runtime, [body.draft], partial=False)
    except RefusedError as error:
        raise _refusal(error.refusals[0]) from None
    response.headers["Location"] = f"{PREFIX}/{made}"
    (shown,) = await _by_ids(runtime, [made], body.user_id)  # type: ignore[list-item]  # what is refused is raised
    return shown


@router.post("/generate", status_code=201)
async def generate_recommendations(body: Wish, runtime: RuntimeDep) -> GeneratedList:
    """Find what the user may like, the best first, and keep it as not served yet.

    What the user was generated before, and has neither been shown nor judged, is replaced. Nothing is among it that the
    user made, did something with or does not want, nor anything private.
    """
    algorithm = BEST if body.algorithm_version is None else named(body.algorithm_version)
    if algorithm is None:
        known = ", ".join(ALGORITHMS)
        raise InvalidError(f"algorithm_version is one of: {known}", loc=("body", "algorithm_version"))
    try:
        generated = await commands.generate(runtime.store, body.user_id, algorithm, body.limit)
    except commands.UnknownUserError:
        raise _refusal(NO_USER) from None
    items = await _by_ids(runtime, generated.ids, body.user_id)
    return GeneratedList(
        items=items,
        total=len(items),
        algorithm_version=called(algorithm),
        computation_time_ms=generated.computation_time_ms,
    )


@router.post("/bulk", status_code=201, responses={200: {"model": BulkAnswer, "description": "Nothing was made"}})
async def make_recommendations(
    body: Bulk,
    runtime: RuntimeDep,
    response: Response,
    partial: Annotated[bool, Query(description="Make what can be, and say of each what became of it.")] = False,
) -> BulkAnswer:
    """Make up to 1000 recommendations: all of them or, unless `partial`, none."""
    misshapen = {place: each for place, each in enumerate(body) if isinstance(each, Misshapen)}
    if misshapen and not partial:
        errors = [
            error.model_copy(update={"loc": ["body", place, *error.loc]})
            for place, each in misshapen.items()
            for error in each.errors
        ]
        raise InvalidError(f"{len(misshapen)} of {len(body)} are no recommendations", errors=errors)
    drafts = {place: each.draft for place, each in enumerate(body) if not isinstance(each, Misshapen)}
    try:
        outcomes = dict(zip(drafts, await _make(runtime, list(drafts.values()), partial=partial), strict=True))
    except RefusedError as error:
        raise _refusals(error.refusals, len(body)) from None
    results = [_result(place, misshapen.get(place) or outcomes[place]) for place in range(len(body))]
    made = [result.id for result in results if result.id is not None]
    if not made:
        response.status_code = 200
    return BulkAnswer(
        success=len(made) == len(body),
        created=len(made),
        refused=len(body) - len(made),
        results=results,
        items=await _of_those(runtime, made, {draft.user_id for draft in drafts.values()}),
    )


@router.post("/served")
async def mark_served(body: ServedIds, runtime: RuntimeDep, actor: Actor = None) -> ServedAnswer:
    """Say that these were shown to their users. Saying it again changes nothing."""
    served = await runtime.database.transact(
        lambda connection: commands.serve(runtime.store, connection, body.recommendation_ids, actor)
    )
    return ServedAnswer.of(served)


@router.get("/unserved/{user_id}", responses=USER)
async def unserved(
    user_id: UUID, query: BestFirst, runtime: RuntimeDep, viewer: Viewer = None
) -> ListBody[Recommendation]:
    """What the user was not shown yet and may see now, the best first."""
    async with runtime.database.reading() as connection:
        await _require_user(connection, user_id)
        return await _list(connection, runtime, queries.unserved(user_id, viewer), query, viewer)


@users_router.get("/{user_id}/recommendations/unserved", responses=USER)
async def unserved_of_user(
    user_id: UUID, query: BestFirst, runtime: RuntimeDep, viewer: Viewer = None
) -> ListBody[Recommendation]:
    """What the user was not shown yet and may see now, the best first."""
    return await unserved(user_id, query, runtime, viewer)


@users_router.get("/{id}/recommendations", responses=USER)
async def recommendations_of_user(
    user_id: Annotated[UUID, Path(alias="id")], query: NewestFirst, runtime: RuntimeDep, viewer: Viewer = None
) -> ListBody[Recommendation]:
    """What the user is or was recommended: all of it for themselves, of public items for others."""
    async with runtime.database.reading() as connection:
        await _require_user(connection, user_id)
        counts = await queries.user_totals(connection, user_id, viewer)
        total = counts.get("all", {}).get("", 0)
        return await _list(connection, runtime, queries.of_user(user_id, viewer), query, viewer, total=total)


@router.get("/by-algorithm/{algorithm}")
async def by_algorithm(
    algorithm: Annotated[str, Path(max_length=100, description="`name@version`, or a name for all its versions.")],
    query: NewestFirst,
    runtime: RuntimeDep,
    viewer: Viewer = None,
) -> ListBody[Recommendation]:
    """What an algorithm recommends, of items that this viewer may see."""
    async with runtime.database.reading() as connection:
        total = await queries.total_of_all(connection, viewer, algorithm)
        chosen = queries.of_all(viewer, queries.by_algorithm(algorithm))
        return await _list(connection, runtime, chosen, query, viewer, total=total)


@router.get("/top-scoring")
async def top_scoring(query: BestFirst, runtime: RuntimeDep, viewer: Viewer = None) -> ListBody[Recommendation]:
    """What is recommended, the best first, of items that this viewer may see."""
    return await recent(query, runtime, viewer)


@router.get("/recent")
async def recent(query: NewestFirst, runtime: RuntimeDep, viewer: Viewer = None) -> ListBody[Recommendation]:
    """What was recommended last, of items that this viewer may see."""
    async with runtime.database.reading() as connection:
        total = await queries.total_of_all(connection, viewer)
        return await _list(connection, runtime, queries.of_all(viewer), query, viewer, total=total)


@router.get("/analytics/user/{user_id}", responses=USER)
async def user_analytics(user_id: UUID, runtime: RuntimeDep, viewer: Viewer = None) -> UserNumbers:
    """What came of the user's recommendations: of all for themselves, of those of public items for others."""
    async with runtime.database.reading() as connection:
        await _require_user(connection, user_id)
        return UserNumbers.of(user_id, await queries.user_totals(connection, user_id, viewer))


@router.get("/analytics/global")
async def global_analytics(runtime: RuntimeDep) -> GlobalNumbers:
    """What came of all recommendations of public items, by algorithm."""
    async with runtime.database.reading() as connection:
        return GlobalNumbers.of(await queries.overall(connection))


@router.get("/{id}", responses=FOUND)
async def get_recommendation(recommendation_id: Id, runtime: RuntimeDep, viewer: Viewer = None) -> Recommendation:
    """One recommendation."""
    async with runtime.database.reading() as connection:
        row = await queries.by_id(connection, recommendation_id, viewer)
        if row is None:
            raise _no_recommendation(recommendation_id)
        (shown,) = await _shown(connection, runtime, [row], viewer)
    return shown


@router.put("/{id}", responses=FOUND)
async def change_recommendation(
    recommendation_id: Id, body: RecommendationChanges, runtime: RuntimeDep, actor: Actor = None
) -> Recommendation:
    """Change what is named; the rest stays. What is the same leaves no trace."""
    await _act(runtime, recommendation_id, Change(actor, body.named), actor)
    return await get_recommendation(recommendation_id, runtime, actor)


@router.put("/{id}/feedback", responses=FOUND)
async def give_feedback(
    recommendation_id: Id, body: Judgement, runtime: RuntimeDep, actor: Actor = None
) -> Recommendation:
    """Say what its user makes of it. The last word counts."""
    await _act(runtime, recommendation_id, Judge(actor, body.feedback, body.comment), actor)
    return await get_recommendation(recommendation_id, runtime, actor)


@router.delete("/{id}", responses=FOUND)
async def delete_recommendation(recommendation_id: Id, runtime: RuntimeDep, actor: Actor = None) -> Done:
    """Take it back: it is gone from every list and counter, and so is what its user made of it."""
    await _act(runtime, recommendation_id, Delete(actor), actor)
    return Done(message=f"Recommendation {recommendation_id} is deleted")


async def _act(runtime: Runtime[Any], recommendation_id: int, command: Command, actor: UUID | None) -> None:
    """Raises NotFoundError for what this person does not see, or is not theirs."""
    await get_recommendation(recommendation_id, runtime, actor)
    try:
        await runtime.store.execute(RECOMMENDATION, recommendation_id, command)
    except UnknownRecommendationError:
        raise _no_recommendation(recommendation_id) from None


async def _make(runtime: Runtime[Any], drafts: list[Draft], *, partial: bool) -> list[int | Refused]:
    return await runtime.database.transact(
        lambda connection: commands.make(runtime.store, connection, drafts, partial=partial)
    )


async def _by_ids(runtime: Runtime[Any], ids: Sequence[int], viewer: UUID | None) -> list[Recommendation]:
    async with runtime.database.reading() as connection:
        return await _shown(connection, runtime, await queries.by_ids(connection, ids, viewer), viewer)


async def _of_those(runtime: Runtime[Any], ids: Sequence[int], users: set[UUID]) -> list[Recommendation]:
    """As their user sees them when they are all for one, otherwise as everybody does."""
    return await _by_ids(runtime, ids, next(iter(users)) if len(users) == 1 else None)


async def _list(
    connection: AsyncConnection,
    runtime: Runtime[Any],
    chosen: Select[Any] | Sequence[Select[Any]],
    query: ListQuery,
    viewer: UUID | None,
    *,
    total: int | None = None,
) -> ListBody[Recommendation]:
    page = await fetch_page(connection, chosen, query, total=total)
    return ListBody[Recommendation].of(page, await _shown(connection, runtime, page.rows, viewer))


async def _shown(
    connection: AsyncConnection, runtime: Runtime[Any], rows: Sequence[dict[str, Any]], viewer: UUID | None
) -> list[Recommendation]:
    """The rows as this viewer sees them."""
    named_items = cited(rows)
    visible = await queries.visible(connection, named_items, viewer) if named_items else set()
    addresses = addresses_of(runtime)
    return [Recommendation.of(row, visible, addresses) for row in rows]


async def _require_user(connection: AsyncConnection, user_id: UUID) -> None:
    if not await activity(connection, [user_id]):
        raise NotFoundError(f"There is no user {user_id}")


def _no_recommendation(recommendation_id: int) -> NotFoundError:
    return NotFoundError(f"There is no recommendation {recommendation_id}")


def _refusal(refused: Refused) -> InvalidError:
    return InvalidError(refused.reason, loc=("body", refused.field))


def _refusals(refusals: dict[int, Refused], count: int) -> InvalidError:
    errors = [
        FieldError(loc=["body", place, each.field], msg=each.reason, type="value_error")
        for place, each in refusals.items()
    ]
    return InvalidError(f"{len(refusals)} of {count} recommendations cannot be made, so none is", errors=errors)


def _result(place: int, outcome: int | Refused | Misshapen) -> BulkResult:
    if isinstance(outcome, int):
        return BulkResult(index=place, status=201, id=outcome)
    if isinstance(outcome, Refused):
        return BulkResult(index=place, status=422, error=outcome.reason)
    return BulkResult.misshapen(place, outcome)
