"""Aliases and implications into their tables."""

from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.tag_meanings.tables import tag_aliases, tag_implications
from genonaut.content.tags.domain import id_of
from genonaut.contracts import Envelope
from genonaut.contracts.content import (
    TagAliasAdded,
    TagAliasRemoved,
    TagImplicationAdded,
    TagImplicationRemoved,
)
from genonaut.platform.projections import Projection

tag_meanings_projection = Projection("tag-meanings", tag_aliases, tag_implications)


@tag_meanings_projection.on(TagAliasAdded)
async def _alias_added(connection: AsyncConnection, event: TagAliasAdded, _: Envelope) -> None:
    row = {"alias_id": id_of(event.alias), "alias": event.alias, "tag_id": event.tag_id}
    await connection.execute(tag_aliases.insert().values(row))


@tag_meanings_projection.on(TagAliasRemoved)
async def _alias_removed(connection: AsyncConnection, event: TagAliasRemoved, _: Envelope) -> None:
    await connection.execute(tag_aliases.delete().where(tag_aliases.c.alias_id == id_of(event.alias)))


@tag_meanings_projection.on(TagImplicationAdded)
async def _implication_added(connection: AsyncConnection, event: TagImplicationAdded, _: Envelope) -> None:
    await connection.execute(tag_implications.insert().values(tag_id=event.tag_id, implied_id=event.implied_id))


@tag_meanings_projection.on(TagImplicationRemoved)
async def _implication_removed(connection: AsyncConnection, event: TagImplicationRemoved, _: Envelope) -> None:
    this = (tag_implications.c.tag_id == event.tag_id) & (tag_implications.c.implied_id == event.implied_id)
    await connection.execute(tag_implications.delete().where(this))
