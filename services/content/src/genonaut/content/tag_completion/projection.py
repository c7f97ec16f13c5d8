"""Counts the changes to the words of each shard.

The count is committed with the change, so that who reads both in one snapshot never takes old words for current ones,
whichever process wrote.
"""

from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.tag_completion.domain import shard_of
from genonaut.content.tag_completion.tables import tag_word_revisions
from genonaut.contracts import Envelope
from genonaut.contracts.content import TagAliasAdded, TagAliasRemoved, TagCreated, TagPublished
from genonaut.platform.projections import Projection

tag_completion_projection = Projection("tag-completion", tag_word_revisions)


@tag_completion_projection.on(TagCreated)
async def _created(connection: AsyncConnection, event: TagCreated, _: Envelope) -> None:
    if not event.is_private:
        await _changed(connection, event.tag_id)


@tag_completion_projection.on(TagPublished)
async def _published(connection: AsyncConnection, event: TagPublished, _: Envelope) -> None:
    await _changed(connection, event.tag_id)


@tag_completion_projection.on(TagAliasAdded)
async def _alias_added(connection: AsyncConnection, event: TagAliasAdded, _: Envelope) -> None:
    await _changed(connection, event.tag_id)


@tag_completion_projection.on(TagAliasRemoved)
async def _alias_removed(connection: AsyncConnection, event: TagAliasRemoved, _: Envelope) -> None:
    await _changed(connection, event.tag_id)


async def _changed(connection: AsyncConnection, tag_id: UUID) -> None:
    await connection.execute(_COUNT, {"shard": shard_of(tag_id)})


_COUNT = text("""
INSERT INTO tag_word_revisions AS known (shard, revision) VALUES (:shard, 1)
ON CONFLICT (shard) DO UPDATE SET revision = known.revision + 1
""")
