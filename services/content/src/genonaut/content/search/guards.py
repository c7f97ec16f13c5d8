"""What a list depends on, so that an answer can be kept until that changes: guards, as `platform/cache.py` has them.

Whatever happens to an item drops the guards of all its keys, those it had and those it gets. So a list depends on any
keys of which every item that comes, goes or changes in it has one: on one of the tags that all have to be there, on
each of those of which one has to.

While an item is private, they are guards of its creator's own: otherwise others would see, by what of theirs is not
kept any more, that something happens in private, and with which tags.
"""

from collections.abc import Collection, Iterable, Iterator

from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.search.domain import Named, Wanted
from genonaut.content.search.keys import Kind, class_key, is_private, kind_of, others_among
from genonaut.platform.guards import touch

NAMES = "names"
"""Of what words mean, and of how users are called."""
MOST = 64
"""Lists that depend on more keys are not kept."""


def guard(key: int, *, owner: int | None = None) -> str:
    """Of public items with the key or, with the key of an owner, of their private ones."""
    return f"key-{key}" if owner is None else f"key-{key}-of-{owner}"


def dropped(keys: Iterable[Collection[int]]) -> Iterator[str]:
    """The guards of items with these keys, each as an item has them or had them."""
    by_owner: dict[int | None, set[int]] = {}
    for each in keys:
        by_owner.setdefault(_owner(each), set()).update(each)
    for owner, touched in by_owner.items():
        yield from (guard(key, owner=owner) for key in touched)


def touch_items(connection: AsyncConnection, *keys: Collection[int]) -> None:
    """Something happens to items that have these keys, or had them."""
    touch(connection, dropped(keys))


def _owner(keys: Iterable[int]) -> int | None:
    """To whom an item with these keys is private."""
    by_kind = {kind_of(key): key for key in others_among(keys)}
    hidden = Kind.CLASS in by_kind and is_private(by_kind[Kind.CLASS])
    return by_kind[Kind.CREATOR] if hidden else None


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
    of_public, of_own = _keys(wanted, named)
    if max(len(of_public), len(of_own)) > MOST:
        return None
    return [NAMES, *map(guard, sorted(of_public)), *(guard(key, owner=named.viewer) for key in sorted(of_own))]


def _keys(wanted: Wanted, named: Named) -> tuple[Collection[int], Collection[int]]:
    """Of which every public item in the list has one, and every private one of who looks."""
    chosen = _chosen(wanted, named)
    if chosen is not None:
        of_public = of_own = chosen
    else:
        of_own = {named.viewer} if named.viewer is not None else set()
        only_own = named.viewer is not None and all(scope.owner == "user" for scope in wanted.scopes)
        everybodys = {class_key(scope.source_type, is_private=False) for scope in wanted.scopes}
        of_public = of_own if only_own else everybodys
    return of_public, set() if named.viewer is None or wanted.public_only else of_own


def _chosen(wanted: Wanted, named: Named) -> set[int] | None:
    """The same of all items in the list, whoever sees them."""
    if named.creator is not None:
        return {named.creator}
    if wanted.tags and wanted.every_tag:
        return set(min(named.tags, key=lambda group: sum(named.counts.get(key, 0) for key in group)))
    if wanted.tags:
        return {key for group in named.tags for key in group}
    return None
