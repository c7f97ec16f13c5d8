"""What words and ids stand for in keys. A process remembers it for as long as it is so."""

import time
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from uuid import UUID
from weakref import WeakKeyDictionary

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from genonaut.content.search.domain import Named, Wanted
from genonaut.content.tags.queries import FoundTag, meant

KEPT_KEYS = 200_000
"""The keys of as many tags and users are remembered."""
KEPT_WORDS = 20_000
KEPT_SECONDS = 60.0
"""Words may be remembered for so long: how many items a tag has changes, which matters for how one searches alone."""


async def resolved(connection: AsyncConnection, wanted: Wanted, revision: int) -> Named:
    """What the names in `wanted` stand for. `revision` is that of the words in the snapshot that `connection` reads."""
    meanings = await _meant(connection, [*wanted.tags, *wanted.unwanted_tags], revision)
    ids = {id_ for id_ in (wanted.viewer, wanted.creator_id) if id_}
    keys = await keys_of(connection, ids) if ids else {}

    def with_keys(groups: Sequence[Mapping[UUID, FoundTag]]) -> list[list[int]]:
        return [[tag.key for tag in group.values() if tag.key is not None] for group in groups]

    return Named(
        viewer=keys.get(wanted.viewer) if wanted.viewer else None,
        creator=keys.get(wanted.creator_id) if wanted.creator_id else None,
        tags=with_keys(meanings[: len(wanted.tags)]),
        unwanted_tags=with_keys(meanings[len(wanted.tags) :]),
        counts={tag.key: tag.cardinality for group in meanings for tag in group.values() if tag.key is not None},
    )


async def keys_of(connection: AsyncConnection, ids: AbstractSet[UUID]) -> Mapping[UUID, int]:
    """The keys of those of the tags and users that have one, among others."""
    known = _keys.setdefault(connection.engine, {})
    if missing := [id_ for id_ in ids if id_ not in known]:
        if len(known) > KEPT_KEYS:
            known, missing = {}, list(ids)  # a new one: whoever has the old one goes on with it
            _keys[connection.engine] = known
        known.update((row.id, row.key) for row in await connection.execute(_KEYS, {"ids": missing}))
    return known


async def _meant(connection: AsyncConnection, words: Sequence[str], revision: int) -> list[dict[UUID, FoundTag]]:
    """As `meant`. A word that means nothing, or nothing that can be found yet, is asked for again each time."""
    if not words:
        return []
    memory = _memories.get(connection.engine)
    if memory is None or not memory.is_of(revision):
        memory = _memories[connection.engine] = _Memory(revision)
    found = {word: memory.found[word] for word in words if word in memory.found}
    if missing := [word for word in dict.fromkeys(words) if word not in found]:
        found.update(zip(missing, await meant(connection, missing), strict=True))
        memory.found.update(
            (word, found[word])
            for word in missing
            if found[word] and all(tag.key is not None for tag in found[word].values())
        )
    return [found[word] for word in words]


@dataclass(frozen=True)
class _Memory:
    revision: int
    found: dict[str, dict[UUID, FoundTag]] = field(default_factory=dict)
    ends: float = field(default_factory=lambda: time.monotonic() + KEPT_SECONDS)

    def is_of(self, revision: int) -> bool:
        return self.revision == revision and time.monotonic() < self.ends and len(self.found) < KEPT_WORDS


_memories: WeakKeyDictionary[AsyncEngine, _Memory] = WeakKeyDictionary()

_keys: WeakKeyDictionary[AsyncEngine, dict[UUID, int]] = WeakKeyDictionary()
"""Tags and users keep their keys for ever."""

_KEYS = text("SELECT id, key FROM search_keys WHERE id = ANY(CAST(:ids AS uuid[]))")
