"""What a list depends on, so that an answer can be kept until that changes: guards, as `platform/cache.py` has them.

Whatever happens to an item drops the guards of all its keys, those it had and those it gets. So a list depends on any
keys of which every item that comes, goes or changes in it has one: on one of the tags that all have to be there, on
each of those of which one has to.
"""

from collections.abc import Collection, Iterable

from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.search.domain import Named, Wanted
from genonaut.content.search.keys import class_key
from genonaut.platform.guards import touch

NAMES = "names"
"""Of what words mean, and of how users are called."""
MOST = 64
"""Lists that depend on more keys are not kept."""


def guard(key: int) -> str:
    return f"key-{key}"


def touch_items(connection: AsyncConnection, *keys: Iterable[int]) -> None:
    """Something happens to items that have these keys, or had them."""
    touch(connection, {guard(key) for each in keys for key in each})


def touch_names(connection: AsyncConnection) -> None:
    touch(connection, [NAMES])


def guards_of(wanted: Wanted, named: Named) -> Collection[str] | None:
    """What the list depends on; None when it is not to be kept. `named` are its names, right now.

    Nothing is kept for words and users that do not exist yet: nobody can say what they will stand for.
    """
    words = [*named.tags, *named.unwanted_tags]
    unknown_user = (wanted.viewer and named.viewer is None) or (wanted.creator_id and named.creator is None)
    if unknown_user or not all(words):
        return None
    keys = _keys(wanted, named)
    return None if len(keys) > MOST else [NAMES, *map(guard, sorted(keys))]


def _keys(wanted: Wanted, named: Named) -> Collection[int]:
    if named.creator is not None:
        return {named.creator}
    if wanted.tags and wanted.every_tag:
        return set(min(named.tags, key=lambda group: sum(named.counts.get(key, 0) for key in group)))
    if wanted.tags:
        return {key for group in named.tags for key in group}
    of_everybody = {class_key(scope.source_type, is_private=False) for scope in wanted.scopes}
    if named.viewer is None:
        return of_everybody
    only_own = all(scope.owner == "user" for scope in wanted.scopes)
    return {named.viewer} if only_own else {named.viewer, *of_everybody}
