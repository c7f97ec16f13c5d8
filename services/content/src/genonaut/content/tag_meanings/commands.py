"""Aliases and implications, given and taken away. Who adds any waits for others who do: each sees what they added."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.tag_meanings import queries
from genonaut.content.tag_meanings.domain import (
    ALIAS,
    IMPLICATIONS,
    AddAlias,
    AddImplication,
    RemoveAlias,
    RemoveImplication,
)
from genonaut.content.tags.commands import ensure
from genonaut.content.tags.domain import TagReference, id_of
from genonaut.content.tags.queries import hold_relations
from genonaut.platform.events import EventStore


async def add_alias(store: EventStore, connection: AsyncConnection, tag_id: UUID, alias: str) -> bool:
    """Whether the slug is new as an alias of the tag, which everybody sees.

    Raises AliasTakenError and AliasChainError.
    """
    await hold_relations(connection)
    chained = await queries.makes_chain(connection, alias, tag_id)
    outcome = await store.execute_in(connection, ALIAS, id_of(alias), AddAlias(alias, tag_id, chained))
    return bool(outcome.appended)


async def remove_alias(store: EventStore, connection: AsyncConnection, tag_id: UUID, alias: str) -> bool:
    """Whether the slug was an alias of the tag until now."""
    outcome = await store.execute_in(connection, ALIAS, id_of(alias), RemoveAlias(alias, tag_id))
    return bool(outcome.appended)


async def add_implication(store: EventStore, connection: AsyncConnection, tag_id: UUID, implied: TagReference) -> bool:
    """Whether it is new that the tag, which everybody sees, implies the other, which exists from now on.

    Raises UnknownTagError and ImplicationCycleError.
    """
    await hold_relations(connection)
    (implied_id,) = await ensure(store, connection, [implied], is_private=False)
    further = await queries.implied_further(connection, implied_id)
    outcome = await store.execute_in(connection, IMPLICATIONS, tag_id, AddImplication(tag_id, implied_id, further))
    return bool(outcome.appended)


async def remove_implication(store: EventStore, connection: AsyncConnection, tag_id: UUID, implied_id: UUID) -> bool:
    """Whether the tag implied the other directly until now."""
    outcome = await store.execute_in(connection, IMPLICATIONS, tag_id, RemoveImplication(tag_id, implied_id))
    return bool(outcome.appended)
