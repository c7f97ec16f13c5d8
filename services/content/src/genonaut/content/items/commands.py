"""Making an item, whoever asks for it."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.items import queries
from genonaut.content.items.domain import ITEM, Create, Draft
from genonaut.content.tags.commands import ensure
from genonaut.content.tags.domain import TagReference
from genonaut.content.users.queries import is_active
from genonaut.platform.events import EventStore


class UnknownCreatorError(Exception):
    """The creator is no user."""


async def create(store: EventStore, connection: AsyncConnection, draft: Draft, tags: Sequence[TagReference]) -> int:
    """The id of the new item. Tags that did not exist now do.

    Raises UnknownCreatorError, InactiveCreatorError and UnknownTagError.
    """
    active = await is_active(connection, draft.creator_id)
    if active is None:
        raise UnknownCreatorError
    tag_ids = await ensure(store, connection, tags, is_private=draft.is_private)
    item_id = await queries.next_id(connection)
    create = Create(item_id, draft, tag_ids, active)
    await store.execute_in(connection, ITEM, item_id, create, history=())  # the id is new
    return item_id
