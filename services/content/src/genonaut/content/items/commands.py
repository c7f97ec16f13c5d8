"""Making items and changing them, whoever asks for it. All in the caller's transaction."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.items import queries
from genonaut.content.items.domain import ITEM, Create, Draft, Edit, Item, Tagging, visible_from
from genonaut.content.tags import commands as tags
from genonaut.content.tags.domain import TagReference
from genonaut.content.users.queries import is_active
from genonaut.platform.events import EventStore
from genonaut.platform.projections import Recorded


class UnknownCreatorError(Exception):
    """The creator is no user."""


class UnknownVersionError(Exception):
    """The item has no such version, or not for who asks."""


async def create(
    store: EventStore, connection: AsyncConnection, draft: Draft, references: Sequence[TagReference]
) -> int:
    """The id of the new item. Tags that did not exist now do.

    Raises UnknownCreatorError, InactiveCreatorError and UnknownTagError.
    """
    active = await is_active(connection, draft.creator_id)
    if active is None:
        raise UnknownCreatorError
    tagging = await _tagging(store, connection, references, is_private=draft.is_private)
    item_id = await queries.next_id(connection)
    create = Create(item_id, draft, tagging, active)
    await store.execute_in(connection, ITEM, item_id, create, history=())  # the id is new
    return item_id


async def edit(
    store: EventStore,
    connection: AsyncConnection,
    item_id: int,
    edit: Edit,
    references: Sequence[TagReference] | None = None,
) -> None:
    """Changes the item, and its tags to these unless they are None.

    Raises UnknownItemError, NotTheirsError and UnknownTagError.
    """
    history = await store.load(connection, ITEM.name, str(item_id))
    item = _state(history)
    is_private = item.is_private if edit.is_private is None else edit.is_private
    if references is not None:
        edit = replace(edit, tagging=await _tagging(store, connection, references, is_private=is_private))
    elif item.is_private and not is_private:
        await tags.publish(store, connection, [*item.tag_ids, *item.implied])
    await store.execute_in(connection, ITEM, item_id, edit, history=history)


async def revert(
    store: EventStore, connection: AsyncConnection, item_id: int, version: int, *, actor: UUID | None
) -> None:
    """Gives the item the title, content, metadata and tags that it had in this version.

    Its privacy and its quality are no matter of versions. Raises UnknownItemError, NotTheirsError and
    UnknownVersionError.
    """
    history = await store.load(connection, ITEM.name, str(item_id))
    now = _state(history)
    first = 1 if actor is not None and actor == now.creator_id else visible_from([each.event for each in history])
    if history and not first <= version <= len(history):
        raise UnknownVersionError
    then = _state(history[:version])
    if not now.is_private:
        await tags.publish(store, connection, then.tag_ids)
    again = Edit(changes=then.content, tagging=Tagging(then.tag_ids), actor=actor)
    await store.execute_in(connection, ITEM, item_id, again, history=history)


async def _tagging(
    store: EventStore,
    connection: AsyncConnection,
    references: Sequence[TagReference],
    *,
    is_private: bool,
) -> Tagging:
    return Tagging(await tags.ensure(store, connection, references, is_private=is_private))


def _state(history: Sequence[Recorded]) -> Item:
    item = ITEM.initial
    for each in history:
        item = ITEM.evolve(item, each.event)
    return item
