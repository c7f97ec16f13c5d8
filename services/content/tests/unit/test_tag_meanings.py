"""Aliases and implications: what is decided about them."""

import pytest

from genonaut.content.tag_meanings.domain import (
    ALIAS,
    IMPLICATIONS,
    AddAlias,
    AddImplication,
    Alias,
    AliasChainError,
    AliasTakenError,
    ImplicationCycleError,
    Implications,
    RemoveAlias,
    RemoveImplication,
)
from genonaut.content.tags.domain import id_of
from genonaut.contracts import Event
from genonaut.contracts.content import TagAliasAdded, TagAliasRemoved, TagImplicationAdded, TagImplicationRemoved

CAT, KITTY, ANIMAL = id_of("cat"), id_of("kitty"), id_of("animal")
ADDED, REMOVED = TagAliasAdded(tag_id=CAT, alias="kitty"), TagAliasRemoved(tag_id=CAT, alias="kitty")
IMPLIED = TagImplicationAdded(tag_id=CAT, implied_id=ANIMAL)
NO_MORE = TagImplicationRemoved(tag_id=CAT, implied_id=ANIMAL)


def alias(*events: Event) -> Alias:
    state = ALIAS.initial
    for event in events:
        state = ALIAS.evolve(state, event)
    return state


def implications(*events: Event) -> Implications:
    state = IMPLICATIONS.initial
    for event in events:
        state = IMPLICATIONS.evolve(state, event)
    return state


def test_an_alias_is_added_and_removed_once() -> None:
    add, remove = AddAlias("kitty", CAT, chained=False), RemoveAlias("kitty", CAT)

    assert ALIAS.decide(add, alias()) == [ADDED]
    assert ALIAS.decide(add, alias(ADDED)) == []
    assert ALIAS.decide(remove, alias(ADDED)) == [REMOVED]
    assert ALIAS.decide(remove, alias()) == ALIAS.decide(remove, alias(ADDED, REMOVED)) == []
    assert ALIAS.decide(add, alias(ADDED, REMOVED)) == [ADDED]


def test_an_alias_means_one_tag_only() -> None:
    with pytest.raises(AliasTakenError):
        ALIAS.decide(AddAlias("kitty", ANIMAL, chained=False), alias(ADDED))
    assert ALIAS.decide(RemoveAlias("kitty", ANIMAL), alias(ADDED)) == []
    free = AddAlias("kitty", ANIMAL, chained=False)
    assert ALIAS.decide(free, alias(ADDED, REMOVED)) == [TagAliasAdded(tag_id=ANIMAL, alias="kitty")]


@pytest.mark.parametrize("wrong", [AddAlias("kitty", CAT, chained=True), AddAlias("cat", CAT, chained=False)])
def test_there_are_no_chains_of_aliases(wrong: AddAlias) -> None:
    with pytest.raises(AliasChainError):
        ALIAS.decide(wrong, alias())


def test_an_implication_is_added_and_removed_once() -> None:
    add, remove = AddImplication(CAT, ANIMAL, frozenset()), RemoveImplication(CAT, ANIMAL)

    assert IMPLICATIONS.decide(add, implications()) == [IMPLIED]
    assert IMPLICATIONS.decide(add, implications(IMPLIED)) == []
    assert IMPLICATIONS.decide(remove, implications(IMPLIED)) == [NO_MORE]
    assert IMPLICATIONS.decide(remove, implications()) == []
    assert IMPLICATIONS.decide(add, implications(IMPLIED, NO_MORE)) == [IMPLIED]


@pytest.mark.parametrize(
    "wrong", [AddImplication(CAT, CAT, frozenset()), AddImplication(CAT, ANIMAL, frozenset({KITTY, CAT}))]
)
def test_nothing_implies_itself(wrong: AddImplication) -> None:
    with pytest.raises(ImplicationCycleError):
        IMPLICATIONS.decide(wrong, implications())
