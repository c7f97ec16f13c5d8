"""Aliases and implications.

An alias is a slug that means a tag with another one. It means one tag only, and never one that is itself called by an
alias: there are neither chains nor circles. What a tag implies may imply more, but never, over any steps, the tag.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from uuid import UUID

from genonaut.content.tags.domain import id_of
from genonaut.contracts import Event
from genonaut.contracts.content import (
    TagAliasAdded,
    TagAliasRemoved,
    TagImplicationAdded,
    TagImplicationRemoved,
)
from genonaut.platform.aggregate import Aggregate


class AliasTakenError(Exception):
    """The slug is an alias of another tag."""


class AliasChainError(Exception):
    """The tag is called by this slug itself, or one of the two has to do with an alias already."""


class ImplicationCycleError(Exception):
    """The implied tag is the tag itself, or implies it."""


@dataclass(frozen=True)
class Alias:
    tag_id: UUID | None = None
    """What it means; None when it means nothing."""


@dataclass(frozen=True)
class AddAlias:
    alias: str
    tag_id: UUID
    chained: bool
    """The tag's own slug is an alias, or the tag with the slug `alias` has one, as long as nobody else adds any."""


@dataclass(frozen=True)
class RemoveAlias:
    alias: str
    tag_id: UUID


def decide_alias(command: AddAlias | RemoveAlias, alias: Alias) -> Sequence[Event]:
    """What is so already is not stated again. Raises AliasTakenError and AliasChainError."""
    if isinstance(command, RemoveAlias):
        if alias.tag_id != command.tag_id:
            return []
        return [TagAliasRemoved(tag_id=command.tag_id, alias=command.alias)]
    if alias.tag_id == command.tag_id:
        return []
    if alias.tag_id:
        raise AliasTakenError
    if command.chained or id_of(command.alias) == command.tag_id:
        raise AliasChainError
    return [TagAliasAdded(tag_id=command.tag_id, alias=command.alias)]


def evolve_alias(alias: Alias, event: Event) -> Alias:
    if isinstance(event, TagAliasAdded):
        return Alias(event.tag_id)
    if isinstance(event, TagAliasRemoved):
        return Alias()
    return alias


@dataclass(frozen=True)
class Implications:
    """What one tag implies directly."""

    implied: AbstractSet[UUID] = field(default_factory=frozenset)


@dataclass(frozen=True)
class AddImplication:
    tag_id: UUID
    implied_id: UUID
    implied_further: AbstractSet[UUID]
    """All that the implied tag implies over any steps, as long as nobody else adds implications."""


@dataclass(frozen=True)
class RemoveImplication:
    tag_id: UUID
    implied_id: UUID


def decide_implication(command: AddImplication | RemoveImplication, tag: Implications) -> Sequence[Event]:
    """What is so already is not stated again. Raises ImplicationCycleError."""
    is_so = command.implied_id in tag.implied
    if isinstance(command, RemoveImplication):
        return [TagImplicationRemoved(tag_id=command.tag_id, implied_id=command.implied_id)] if is_so else []
    if command.tag_id in {command.implied_id, *command.implied_further}:
        raise ImplicationCycleError
    return [] if is_so else [TagImplicationAdded(tag_id=command.tag_id, implied_id=command.implied_id)]


def evolve_implication(tag: Implications, event: Event) -> Implications:
    if isinstance(event, TagImplicationAdded):
        return replace(tag, implied=tag.implied | {event.implied_id})
    if isinstance(event, TagImplicationRemoved):
        return replace(tag, implied=tag.implied - {event.implied_id})
    return tag


ALIAS: Aggregate[Alias, AddAlias | RemoveAlias] = Aggregate("alias", Alias(), decide_alias, evolve_alias)
"""One for each slug, with the id that a tag of this slug has."""

IMPLICATIONS: Aggregate[Implications, AddImplication | RemoveImplication] = Aggregate(
    "implications", Implications(), decide_implication, evolve_implication
)
"""One for each tag that implies others."""
