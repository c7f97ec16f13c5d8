"""Making recommendations, by hand and by an algorithm, and marking them as served: many of them at once."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.interactions.commands import NO_ITEM, NO_USER, Refused, RefusedError
from genonaut.content.interactions.queries import activity
from genonaut.content.recommendations import queries
from genonaut.content.recommendations.domain import (
    RECOMMENDATION,
    Delete,
    Draft,
    Facts,
    Make,
    Recommendation,
    Serve,
    UnknownRecommendationError,
)
from genonaut.content.recommenders.algorithms import called
from genonaut.content.recommenders.domain import Algorithm, Pick
from genonaut.content.recommenders.queries import evidence
from genonaut.content.tags import queries as tags
from genonaut.contracts.content import Reason
from genonaut.platform.aggregate import same_json
from genonaut.platform.database import Database
from genonaut.platform.events import Addition, EventStore
from genonaut.platform.projections import Recorded


class UnknownUserError(Exception):
    """There is no such user, or they are not active."""


@dataclass(frozen=True)
class Generated:
    """What the user has now of an algorithm, the best first, and what it took to find it."""

    ids: Sequence[int]
    computation_time_ms: int


@dataclass(frozen=True)
class Served:
    served: Sequence[int]
    """Marked now."""
    before: Sequence[int]
    """Marked already."""
    unknown: Sequence[int]
    """There are none of these, or not for this person."""


async def make(
    store: EventStore, connection: AsyncConnection, drafts: Sequence[Draft], *, partial: bool = False
) -> list[int | Refused]:
    """The id of each, in their order, or why there is none. Raises RefusedError unless `partial`."""
    active = await activity(connection, {draft.user_id for draft in drafts})
    makers = await queries.creators(connection, {draft.content_item_id for draft in drafts})
    refusals = {place: why for place, draft in enumerate(drafts) if (why := _refused(draft, active, makers))}
    if refusals and not partial:
        raise RefusedError(refusals)
    wanted = [draft for place, draft in enumerate(drafts) if place not in refusals]
    ids = await queries.next_ids(connection, len(wanted))
    if wanted:
        await store.append_all(connection, RECOMMENDATION.name, _made(ids, wanted))
    made = iter(ids)
    return [refusals[place] if place in refusals else next(made) for place in range(len(drafts))]


async def generate(store: EventStore, user_id: UUID, algorithm: Algorithm, limit: int) -> Generated:
    """Replaces what the user was generated and has neither been shown nor judged. Raises UnknownUserError."""
    began = time.perf_counter()
    picks, slugs = await _picked(store.database, user_id, algorithm, limit)
    took = round(1000 * (time.perf_counter() - began))
    drafts = [_draft(user_id, algorithm, pick, slugs, took) for pick in picks]
    ids = await store.database.transact(lambda connection: _replace(store, connection, user_id, drafts))
    return Generated(ids, took)


async def serve(store: EventStore, connection: AsyncConnection, ids: Sequence[int], actor: UUID | None) -> Served:
    """Each is marked once, however often it is said."""
    wanted = sorted(set(ids))
    histories = await store.load_all(connection, RECOMMENDATION.name, [str(each) for each in wanted])
    served: list[int] = []
    before: list[int] = []
    unknown: list[int] = []
    additions = []
    for each in wanted:
        history = histories.get(str(each), [])
        try:
            events = RECOMMENDATION.decide(Serve(actor), _state(history))
        except UnknownRecommendationError:
            unknown.append(each)
            continue
        (served if events else before).append(each)
        if events:
            additions.append(Addition(str(each), len(history), events))
    if additions:
        await store.append_all(connection, RECOMMENDATION.name, additions)
    return Served(served, before, unknown)


async def _picked(
    database: Database, user_id: UUID, algorithm: Algorithm, limit: int
) -> tuple[list[Pick], Mapping[int, str]]:
    async with database.reading() as connection:
        if not (await activity(connection, [user_id])).get(user_id):
            raise UnknownUserError
        picks = algorithm.rank(await evidence(connection, user_id), limit)
        return picks, await tags.slugs(connection, {tag for pick in picks for tag in pick.tags})


def _draft(user_id: UUID, algorithm: Algorithm, pick: Pick, slugs: Mapping[int, str], took: int) -> Draft:
    reasons = [
        Reason(kind="did", interaction_type=seed.did, content_item_id=seed.item_id)
        for seed in pick.seeds
        if not seed.features.is_private  # what is private to the user now is nothing to write down for others
    ]
    if pick.tags:
        reasons.append(Reason(kind="tags", tags=[slugs[tag] for tag in pick.tags]))
    if pick.creator:
        reasons.append(Reason(kind="creator"))
    metadata = {
        "algorithm": pick.speaks,
        "confidence": pick.score,
        "fallback_used": pick.speaks == "popularity",
        "computation_time_ms": took,
    }
    facts = Facts(pick.score, called(algorithm), metadata)
    return Draft(user_id, pick.item_id, facts, reasons or [Reason(kind="popular")], generated=True)


async def _replace(
    store: EventStore, connection: AsyncConnection, user_id: UUID, drafts: Sequence[Draft]
) -> Sequence[int]:
    """The ids of the drafts. What says the same already stays, so that generating again leaves few events."""
    old = await queries.replaceable(connection, user_id)
    makers = await queries.creators(connection, [draft.content_item_id for draft in drafts])
    # Since the evidence was read an item may have gone, or become private.
    wanted = [draft for draft in drafts if not makers.get(draft.content_item_id, (user_id, True))[1]]
    kept = {draft.content_item_id: old[draft.content_item_id]["id"] for draft in wanted if _says(old, draft)}
    new = [draft for draft in wanted if draft.content_item_id not in kept]
    made = await queries.next_ids(connection, len(new))
    additions = [
        *await _deleted(store, connection, [row["id"] for item_id, row in old.items() if item_id not in kept]),
        *_made(made, new),
    ]
    if additions:
        await store.append_all(connection, RECOMMENDATION.name, additions)
    ids = kept | {draft.content_item_id: each for draft, each in zip(new, made, strict=True)}
    return [ids[draft.content_item_id] for draft in wanted]


def _says(old: Mapping[int, Mapping[str, Any]], draft: Draft) -> bool:
    """Whether there is a row that says what the draft does."""
    row = old.get(draft.content_item_id)
    return (
        row is not None
        and row["recommendation_score"] == draft.facts.score
        and row["algorithm_version"] == draft.facts.algorithm_version
        and same_json(row["reasons"], [reason.model_dump(mode="json") for reason in draft.reasons])
    )


def _made(ids: Sequence[int], drafts: Sequence[Draft]) -> list[Addition]:
    return [
        Addition(str(each), 0, RECOMMENDATION.decide(Make(each, draft), None))
        for each, draft in zip(ids, drafts, strict=True)
    ]


async def _deleted(store: EventStore, connection: AsyncConnection, ids: Sequence[int]) -> list[Addition]:
    if not ids:
        return []
    histories = await store.load_all(connection, RECOMMENDATION.name, [str(each) for each in ids])
    return [
        Addition(subject, len(history), RECOMMENDATION.decide(Delete(None), _state(history)))
        for subject, history in histories.items()
    ]


def _state(history: Iterable[Recorded]) -> Recommendation | None:
    state = RECOMMENDATION.initial
    for each in history:
        state = RECOMMENDATION.evolve(state, each.event)
    return state


def _refused(draft: Draft, active: Mapping[UUID, bool], makers: Mapping[int, tuple[UUID, bool]]) -> Refused | None:
    if not active.get(draft.user_id):
        return NO_USER
    maker, is_private = makers.get(draft.content_item_id, (None, True))
    return NO_ITEM if is_private and maker != draft.user_id else None
