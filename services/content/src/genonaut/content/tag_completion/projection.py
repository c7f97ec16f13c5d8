"""Counts the changes to the words of each shard.

The count is committed with the change, so that who reads both in one snapshot never takes old words for current ones,
whichever process wrote.
"""

from collections import Counter
from collections.abc import Sequence
from typing import cast
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.tag_completion.domain import shard_of
from genonaut.content.tag_completion.tables import tag_word_revisions
from genonaut.contracts import Envelope
from genonaut.contracts.content import TagAliasAdded, TagAliasRemoved, TagCreated, TagPublished
from genonaut.platform.projections import Projection, Recorded

tag_completion_projection = Projection("tag-completion", tag_word_revisions)


@tag_completion_projection.on_many(TagCreated)
async def _created(connection: AsyncConnection, recorded: Sequence[Recorded]) -> None:
    events = [cast("TagCreated", each.event) for each in recorded]
    await _changed(connection, *(event.tag_id for event in events if not event.is_private))


@tag_completion_projection.on(TagPublished)
async def _published(connection: AsyncConnection, event: TagPublished, _: Envelope) -> None:
    await _changed(connection, event.tag_id)


@tag_completion_projection.on(TagAliasAdded)
async def _alias_added(connection: AsyncConnection, event: TagAliasAdded, _: Envelope) -> None:
    await _changed(connection, event.tag_id)


@tag_completion_projection.on(TagAliasRemoved)
async def _alias_removed(connection: AsyncConnection, event: TagAliasRemoved, _: Envelope) -> None:
    await _changed(connection, event.tag_id)


async def _changed(connection: AsyncConnection, *tag_ids: UUID) -> None:
    changes = Counter(map(shard_of, tag_ids))
    if changes:
        await connection.execute(_COUNT, {"shards": list(changes), "changes": list(changes.values())})


# In one order everywhere, so that two who count the same shards wait for each other, and never both.
_COUNT = text("""
INSERT INTO tag_word_revisions AS known (shard, revision)
SELECT * FROM unnest(CAST(:shards AS smallint[]), CAST(:changes AS bigint[])) ORDER BY 1
ON CONFLICT (shard) DO UPDATE SET revision = known.revision + excluded.revision
""")
