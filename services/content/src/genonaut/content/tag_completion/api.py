"""Completion of what somebody types."""

import asyncio
from dataclasses import dataclass, field
from time import monotonic
from typing import Annotated
from weakref import WeakKeyDictionary

from fastapi import Query
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.tag_completion import queries
from genonaut.content.tag_completion.domain import Vocabulary, spelled
from genonaut.content.tag_completion.schemas import Completion
from genonaut.platform.database import Database
from genonaut.platform.http.routing import Router
from genonaut.platform.service import RuntimeDep

router = Router(prefix="/api/v1/tags", tags=["tags"])


@dataclass
class _Memory:
    vocabulary: Vocabulary = field(default_factory=Vocabulary)
    learning: asyncio.Lock = field(default_factory=asyncio.Lock)


_memories: WeakKeyDictionary[Database, _Memory] = WeakKeyDictionary()
"""One for the database of a process; tests have several processes in one."""


@router.get("/autocomplete")
async def complete_tags(
    runtime: RuntimeDep,
    q: Annotated[str, Query(min_length=1, max_length=100, description="What was typed so far.")],
    limit: Annotated[int, Query(ge=1, le=50)] = 10,
) -> list[Completion]:
    """Tags for what somebody has typed so far.

    First those of which the slug, the name or an alias starts with it, the most popular first; then those that are much
    like it.
    """
    typed = spelled(q)
    if not typed:
        return []
    memory = _memories.setdefault(runtime.database, _Memory())
    async with runtime.database.reading() as connection:
        await _learn(connection, memory)
        matches = memory.vocabulary.matching(typed, limit)
        rows = await queries.best(connection, matches.values(), limit=limit)
    return [Completion(**row, alias=matches[row["id"]].alias) for row in rows]


async def _learn(connection: AsyncConnection, memory: _Memory) -> None:
    """The vocabulary is as this snapshot of the database, or newer."""
    vocabulary, now = memory.vocabulary, monotonic()
    if vocabulary.is_current(await queries.revision(connection), now):
        return
    async with memory.learning:  # of many who find it outdated, one reads
        current = await queries.revisions(connection)
        if outdated := vocabulary.outdated(current, now):
            for shard, tags in (await queries.known(connection, outdated)).items():
                vocabulary.learn(shard, current[shard], tags, now)
