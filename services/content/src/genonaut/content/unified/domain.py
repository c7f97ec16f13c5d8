"""What a unified list is asked for: which sources, and of whom."""

from collections.abc import Iterable, Sequence

from genonaut.content.search.domain import Owner, Scope
from genonaut.content.tags.domain import DESCENDANTS, BadSlugError, slug_of
from genonaut.contracts.content import SourceType


class UnknownWordError(ValueError):
    """A word that this parameter does not know; the message says which and what it knows."""


class ViewerNeededError(ValueError):
    """What is asked for depends on who asks, and nobody said."""


_FILTERS = {
    *("user_id", "content_source_types", "content_types", "creator_filter", "content_type", "creator_id", "tag"),
    *("tag_match", "exclude_tag", "search_term", "min_quality_score", "public_only"),
}
_USUAL = {
    *(("tag_match", "any"), ("creator_filter", "all"), ("public_only", "false")),
    *(("content_types", "regular,auto"), ("content_types", "auto,regular")),
}
_SOURCES: dict[str, SourceType] = {"regular": "items", "items": "items", "auto": "auto"}


def scopes(
    source_types: Sequence[str] | None, *, content_types: str | None, creator_filter: str, has_viewer: bool
) -> frozenset[Scope]:
    """What the list is the union of; nothing when empty.

    `source_types` (user-regular, user-auto, community-regular, community-auto) wins over the older pair. Its values
    are about the viewer: without one they add nothing. Raises UnknownWordError and ViewerNeededError.
    """
    if source_types is not None:
        asked = frozenset(_combination(word) for word in source_types if word)
        return asked if has_viewer else frozenset()
    if creator_filter not in {"all", "user", "community"}:
        raise UnknownWordError(f"creator_filter is all, user or community, not {creator_filter[:50]}")
    if creator_filter != "all" and not has_viewer:
        raise ViewerNeededError(f"creator_filter={creator_filter} needs user_id")
    words = ["regular", "auto"] if content_types is None else [word.strip() for word in content_types.split(",")]
    owner: Owner = "user" if creator_filter == "user" else "community" if creator_filter == "community" else "all"
    return frozenset(Scope(_source(word), owner) for word in words if word)


def _combination(word: str) -> Scope:
    owner, _, source = word.partition("-")
    if owner not in {"user", "community"} or source not in _SOURCES:
        known = "user-regular, user-auto, community-regular, community-auto"
        raise UnknownWordError(f"content_source_types are {known}, not {word[:50]}")
    return Scope(_SOURCES[source], "user" if owner == "user" else "community")


def _source(word: str) -> SourceType:
    if word not in _SOURCES:
        raise UnknownWordError(f"content_types are regular and auto, not {word[:50]}")
    return _SOURCES[word]


def in_one_spelling(filters: Iterable[tuple[str, str]]) -> Iterable[tuple[str, str]]:
    """The filters of a unified list, each once, without those that change nothing; words and ids spelled one way."""
    spelled = set()
    for said, value in filters:
        name = "tag" if said == "tag_names" else said
        if name in {"tag", "exclude_tag"}:
            word = _word(value)
        elif name in {"user_id", "creator_id"}:
            word = value.lower()
        else:
            word = value
        if name in _FILTERS and (name, word) not in _USUAL and (word or name not in {"tag", "exclude_tag"}):
            spelled.add((name, word))
    return spelled


def _word(text: str) -> str:
    """A tag as its slug or its id, as far as it is one."""
    word = text.strip()
    below = DESCENDANTS if word.endswith(DESCENDANTS) else ""
    try:
        return slug_of(word.removesuffix(DESCENDANTS)) + below
    except BadSlugError:
        return word.lower()
