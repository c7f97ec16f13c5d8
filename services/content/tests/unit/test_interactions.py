"""When an interaction is recorded, changed and taken back, and what counts as the same."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest

from genonaut.content.interactions.counting import (
    EVERYONE,
    POPULARITY,
    STRIPES,
    TYPES,
    Counted,
    Moved,
    stripe_of_item,
    stripe_of_user,
)
from genonaut.content.interactions.domain import (
    INTERACTION,
    Change,
    Delete,
    Draft,
    Facts,
    Interaction,
    RatingNeededError,
    Record,
    UnknownInteractionError,
    decide,
    evolve,
)
from genonaut.contracts.content import InteractionChanged, InteractionDeleted, InteractionRecorded, ItemDeleted

ADA, BOB = UUID(int=1), UUID(int=2)
DRAFT = Draft(ADA, 7, Facts("rate", 4, 10, {"a": [True, 1]}), "x")
RECORDED = InteractionRecorded(
    interaction_id=5,
    user_id=ADA,
    content_item_id=7,
    interaction_type="rate",
    rating=4,
    duration=10,
    metadata={"a": [True, 1]},
    client_id="x",
)
WHO = {"interaction_id": 5, "user_id": ADA, "content_item_id": 7}


def present() -> Interaction | None:
    return evolve(None, RECORDED)


def test_it_is_recorded_once() -> None:
    assert decide(Record(5, DRAFT), None) == [RECORDED]
    assert decide(Record(5, DRAFT), present()) == []


def test_a_rate_has_a_rating_whatever_is_changed() -> None:
    with pytest.raises(RatingNeededError):
        Facts("rate")
    with pytest.raises(RatingNeededError):
        decide(Change(ADA, {"rating": None}), present())
    (changed,) = decide(Change(ADA, {"rating": None, "interaction_type": "like"}), present())
    assert changed == InteractionChanged(
        **WHO, interaction_type="like", rating=None, duration=10, metadata={"a": [True, 1]}
    )


@pytest.mark.parametrize("same", [{}, {"rating": 4}, {"metadata": {"a": [True, 1.0]}}])
def test_what_changes_nothing_is_not_stated(same: dict[str, Any]) -> None:
    assert decide(Change(None, same), present()) == []


@pytest.mark.parametrize("other", [{"a": [1, 1]}, {"a": [True]}, {"b": [True, 1]}, {"a": {}}, {}])
def test_what_looks_alike_is_not_the_same(other: dict[str, Any]) -> None:
    assert len(decide(Change(ADA, {"metadata": other}), present())) == 1
    assert not Draft(ADA, 7, Facts("rate", 4, 10, other)).is_repeated_by(RECORDED)


def test_a_draft_is_repeated_by_the_same_with_the_same_item() -> None:
    assert DRAFT.is_repeated_by(RECORDED)
    assert not Draft(ADA, 8, DRAFT.facts).is_repeated_by(RECORDED)
    assert not Draft(ADA, 7, Facts("rate", 4, 10)).is_repeated_by(RECORDED)


@pytest.mark.parametrize("command", [Change(BOB, {"rating": 1}), Delete(BOB)])
def test_what_somebody_else_did_is_unknown(command: Change | Delete) -> None:
    with pytest.raises(UnknownInteractionError):
        decide(command, present())
    with pytest.raises(UnknownInteractionError):
        decide(command, None)


def test_what_is_deleted_is_gone() -> None:
    (deleted,) = decide(Delete(ADA), present())
    assert deleted == InteractionDeleted(**WHO)
    assert evolve(present(), deleted) is None
    assert decide(Delete(None), present()) == [deleted]


def test_other_events_change_nothing() -> None:
    assert evolve(present(), ItemDeleted(item_id=7, creator_id=ADA)) == present()
    assert INTERACTION.initial is None


def test_every_type_weighs_something() -> None:
    assert set(POPULARITY) == set(TYPES)
    assert min(POPULARITY.values()) > 0


def test_a_change_that_changes_nothing_moves_nothing() -> None:
    one = Counted(ADA, 7, BOB, "items/image", EVERYONE, "rate", 5, 3, datetime(2026, 1, 2, tzinfo=UTC))
    moved = Moved()
    moved.change(one, one)

    for moves in (moved.users, moved.pairs, moved.creators, moved.items, moved.totals):
        assert not any(any(counts) for counts in moves.values())
    assert set(moved.popularity.values()) == {0}


def test_hours_and_days_are_in_utc() -> None:
    late = datetime(2026, 1, 1, 23, 30, tzinfo=timezone(timedelta(hours=-2)))
    moved = Moved()
    moved.change(None, Counted(ADA, 7, BOB, "items/image", EVERYONE, "view", None, None, late))

    facets = {(facet, value) for _, facet, value in moved.users}
    assert {("day", "2026-01-02"), ("hour", "1"), ("weekday", "4")} <= facets


def test_stripes_are_few_and_the_same_every_time() -> None:
    assert {stripe_of_user(UUID(int=number)) for number in range(1000)} == set(range(STRIPES))
    assert {stripe_of_item(number) for number in range(1000)} == set(range(STRIPES))
