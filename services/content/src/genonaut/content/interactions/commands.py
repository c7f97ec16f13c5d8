"""Recording interactions, one or many: all of them are judged, then those that can be recorded are, at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, cast
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.interactions import queries
from genonaut.content.interactions.domain import INTERACTION, Draft, Record
from genonaut.content.interactions.tables import CLIENT_IDS_KEY
from genonaut.contracts.content import InteractionRecorded
from genonaut.platform.events import Addition, EventStore
from genonaut.platform.trouble import ConcurrencyConflictError

_Name = tuple[UUID, str]
"""A user and what they call an interaction."""

_NOBODY = UUID(int=0)


@dataclass(frozen=True)
class Kept:
    """It is recorded, now (`is_new`) or when the same was said before: then this is what was recorded first."""

    event: InteractionRecorded
    recorded_at: datetime
    is_new: bool


@dataclass(frozen=True)
class Refused:
    """Why it cannot be recorded, and which field of it is to blame: the client id, when it is that of another one."""

    field: Literal["user_id", "content_item_id", "client_id"]
    reason: str


class RefusedError(Exception):
    """Nothing is recorded. `refusals` says of which drafts, by their place, and why."""

    def __init__(self, refusals: dict[int, Refused]) -> None:
        super().__init__(f"{len(refusals)} drafts are refused")
        self.refusals = refusals


# Others must not learn of an item that is private, so there is one answer for it and for one that does not exist.
NO_USER = Refused("user_id", "There is no such user, or they are not active")
NO_ITEM = Refused("content_item_id", "There is no such content item")
OTHER_BODY = Refused("client_id", "This client id stands for an interaction that was recorded otherwise")


async def record(
    store: EventStore, connection: AsyncConnection, drafts: Sequence[Draft], *, partial: bool = False
) -> list[Kept | Refused]:
    """What became of each draft, in their order. Raises RefusedError unless `partial`."""
    known = await _known(store, connection, drafts)
    times = {event.interaction_id: time for event, time in known.values()}
    judged = await _judged(connection, drafts, {name: event for name, (event, _) in known.items()})
    refusals = {place: each for place, each in enumerate(judged) if isinstance(each, Refused)}
    if refusals and not partial:
        raise RefusedError(refusals)
    new = [each for each in judged if isinstance(each, InteractionRecorded) and each.interaction_id not in times]
    fresh = {event.interaction_id: event for event in new}
    if fresh:
        times |= dict.fromkeys(fresh, await _append(store, connection, list(fresh.values())))
    kept: list[Kept | Refused] = []
    for each in judged:
        if isinstance(each, Refused):
            kept.append(each)
        else:  # the second of the same client id in one request is a repeat
            is_new = fresh.pop(each.interaction_id, None) is not None
            kept.append(Kept(each, times[each.interaction_id], is_new))
    return kept


async def _append(store: EventStore, connection: AsyncConnection, events: Sequence[InteractionRecorded]) -> datetime:
    """When they were recorded."""
    additions = [Addition(str(event.interaction_id), 0, [event]) for event in events]
    try:
        recorded = await store.append_all(connection, INTERACTION.name, additions)
    except IntegrityError as error:
        if CLIENT_IDS_KEY in str(error.orig):  # the other try finds what somebody else has recorded meanwhile
            raise ConcurrencyConflictError("a client id was taken a moment ago") from error
        raise
    return recorded[0].envelope.time


async def _known(
    store: EventStore, connection: AsyncConnection, drafts: Sequence[Draft]
) -> dict[_Name, tuple[InteractionRecorded, datetime]]:
    """What was recorded before under the client ids of the drafts, and when."""
    named = await queries.named(connection, {name for draft in drafts if (name := _name(draft))})
    if not named:
        return {}
    histories = await store.load_all(connection, INTERACTION.name, [str(each) for each in named.values()])
    firsts = {name: histories[str(interaction_id)][0] for name, interaction_id in named.items()}
    return {name: (cast("InteractionRecorded", first.event), first.envelope.time) for name, first in firsts.items()}


async def _judged(
    connection: AsyncConnection, drafts: Sequence[Draft], known: Mapping[_Name, InteractionRecorded]
) -> list[InteractionRecorded | Refused]:
    """For each draft what is recorded of it, or was under its client id."""
    active = await queries.activity(connection, {draft.user_id for draft in drafts})
    private_to = await queries.private_to(connection, {draft.content_item_id for draft in drafts})
    ids = iter(await queries.next_ids(connection, len(drafts)))
    recorded = dict(known)
    judged: list[InteractionRecorded | Refused] = []
    for draft in drafts:
        name = _name(draft)
        if name and (event := recorded.get(name)):
            judged.append(event if draft.is_repeated_by(event) else OTHER_BODY)
        elif not active.get(draft.user_id):
            judged.append(NO_USER)
        elif private_to.get(draft.content_item_id, _NOBODY) not in {None, draft.user_id}:
            judged.append(NO_ITEM)
        else:
            event = _recorded(next(ids), draft)
            judged.append(event)
            if name:
                recorded[name] = event
    return judged


def _recorded(interaction_id: int, draft: Draft) -> InteractionRecorded:
    (event,) = INTERACTION.decide(Record(interaction_id, draft), None)
    return cast("InteractionRecorded", event)


def _name(draft: Draft) -> _Name | None:
    return None if draft.client_id is None else (draft.user_id, draft.client_id)
