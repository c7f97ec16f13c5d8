"""What a list of items is narrowed by, and the term that finds it. Pure."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from genonaut.content.items.domain import searchable
from genonaut.content.search.keys import (
    QUALITY_STEPS,
    SOURCES,
    STEPS_IN_RANGE,
    Kind,
    class_key,
    key,
    quality_step,
    type_key,
)
from genonaut.content.search.terms import NOTHING, Except, Has, Term, any_of, every
from genonaut.contracts.content import ContentType, SourceType

Owner = Literal["user", "community", "all"]


@dataclass(frozen=True)
class Scope:
    """The items of one source that are the viewer's, those that are others', or all."""

    source_type: SourceType
    owner: Owner = "all"


EVERYTHING = tuple(Scope(source) for source in SOURCES)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """All of these at once. Tags are words, as clients name them."""

    viewer: UUID | None = None
    """Who sees their private items, too."""
    scopes: Collection[Scope] = EVERYTHING
    """Any of these."""
    tags: Sequence[str] = ()
    every_tag: bool = False
    """Every one of the tags, rather than any."""
    unwanted_tags: Sequence[str] = ()
    content_type: ContentType | None = None
    creator_id: UUID | None = None
    public_only: bool = False
    min_quality: float | None = None
    rated_only: bool = False
    """With a quality above 0."""
    since: datetime | None = None
    phrases: Sequence[str] = ()
    """In the title or the prompt, as `searchable` spells them."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """What the metadata contains."""


@dataclass(frozen=True)
class Named:
    """What the names of a `Wanted` stand for."""

    viewer: int | None
    """The key; None for nobody."""
    creator: int | None
    tags: Sequence[Collection[int]]
    """For each word the keys of the tags that satisfy it."""
    unwanted_tags: Sequence[Collection[int]]
    counts: Mapping[int, int] = field(default_factory=dict)
    """On how many public items each tag is, by its key."""


def term_of(wanted: Wanted, named: Named) -> Term:
    """What finds it, as far as keys tell."""
    own = NOTHING if named.viewer is None else Has(named.viewer)
    parts = [any_of(_scope(scope, own, wanted.public_only) for scope in wanted.scopes)]
    if wanted.tags:
        groups = [any_of(map(Has, keys)) for keys in named.tags]
        parts.append(every(groups) if wanted.every_tag else any_of(map(Has, _flat(named.tags))))
    if wanted.content_type:
        parts.append(Has(type_key(wanted.content_type)))
    if wanted.creator_id:
        parts.append(NOTHING if named.creator is None else Has(named.creator))
    if wanted.min_quality:
        parts.append(quality_from(quality_step(wanted.min_quality)))
    elif wanted.rated_only:
        parts.append(quality_from(1))
    term = every(parts)
    unwanted = _flat(named.unwanted_tags)
    return Except(term, any_of(map(Has, unwanted))) if unwanted else term


def is_whole_step(score: float) -> bool:
    """Whether keys alone tell which items have at least this quality."""
    step = quality_step(score)
    return step / QUALITY_STEPS == score and step != 1


def quality_from(step: int) -> Term:
    """Items in the step and above it."""
    whole = -(-step // STEPS_IN_RANGE)
    steps = [Has(key(Kind.QUALITY, each)) for each in range(step, whole * STEPS_IN_RANGE)]
    ranges = [Has(key(Kind.QUALITY_RANGE, each)) for each in range(whole, QUALITY_STEPS // STEPS_IN_RANGE)]
    return any_of([*steps, *ranges])


def phrases(search_term: str) -> list[str]:
    """The words and "quoted phrases" of a search, as `searchable` spells them. A quote without its pair is a space."""
    found: Iterable[tuple[str, str]] = re.findall(r'"([^"]*)"|([^\s"]+)', search_term)
    spelled = (searchable(phrase or word) for phrase, word in found)
    return list(dict.fromkeys(phrase for phrase in spelled if phrase))


def _scope(scope: Scope, own: Term, public_only: bool) -> Term:
    public = Has(class_key(scope.source_type, is_private=False))
    private = NOTHING if public_only else Has(class_key(scope.source_type, is_private=True))
    if own == NOTHING:
        return NOTHING if scope.owner == "user" else public
    match scope.owner:
        case "user":
            return every([own, any_of([public, private])])
        case "community":
            return Except(public, own)
        case "all":
            return any_of([public, every([private, own])])


def _flat(groups: Iterable[Collection[int]]) -> list[int]:
    return list(dict.fromkeys(key for group in groups for key in group))
