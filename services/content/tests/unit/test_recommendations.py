"""What becomes of a recommendation, and what is counted of it."""

from typing import Any
from uuid import UUID

import pytest

from genonaut.content.recommendations.counting import Counted, Moved
from genonaut.content.recommendations.domain import (
    RECOMMENDATION,
    Change,
    Command,
    Delete,
    Draft,
    Facts,
    Judge,
    Make,
    Recommendation,
    Serve,
    UnknownRecommendationError,
)
from genonaut.contracts.content import (
    Reason,
    RecommendationChanged,
    RecommendationDeleted,
    RecommendationJudged,
    RecommendationMade,
    RecommendationServed,
)

ADA, BOB = UUID(int=1), UUID(int=2)
DRAFT = Draft(ADA, 7, Facts(0.5, "a@1", {"n": [1]}), [Reason(kind="popular")], generated=True)
WHO: dict[str, Any] = {"recommendation_id": 5, "user_id": ADA, "content_item_id": 7}
MADE = RecommendationMade(
    **WHO,
    score=0.5,
    algorithm_version="a@1",
    metadata={"n": [1]},
    reasons=[Reason(kind="popular")],
    generated=True,
)


def after(*commands: Command) -> tuple[Recommendation | None, list[Any]]:
    """The state after these, and the events they led to."""
    state, stated = RECOMMENDATION.initial, []
    for command in commands:
        events = RECOMMENDATION.decide(command, state)
        stated += events
        for event in events:
            state = RECOMMENDATION.evolve(state, event)
    return state, stated


def test_it_is_made_once() -> None:
    state, events = after(Make(5, DRAFT), Make(5, DRAFT))
    assert events == [MADE]
    assert state == Recommendation(5, ADA, 7, DRAFT.facts)


def test_what_changes_nothing_states_nothing() -> None:
    _, events = after(
        Make(5, DRAFT),
        Change(ADA, {}),
        Change(ADA, {"score": 0.5, "metadata": {"n": [1]}}),
        Change(ADA, {"metadata": {"n": [True]}}),
        Serve(ADA),
        Serve(None),
        Judge(ADA, "like"),
        Judge(ADA, "like"),
        Judge(ADA, "like", "why"),
        Delete(None),
    )
    assert events[1:] == [
        RecommendationChanged(**WHO, score=0.5, algorithm_version="a@1", metadata={"n": [True]}),
        RecommendationServed(**WHO),
        RecommendationJudged(**WHO, feedback="like"),
        RecommendationJudged(**WHO, feedback="like", comment="why"),
        RecommendationDeleted(**WHO),
    ]


@pytest.mark.parametrize("command", [Change(BOB, {"score": 1}), Serve(BOB), Judge(BOB, "like"), Delete(BOB)])
def test_only_whose_it_is_does_something_with_it(command) -> None:
    with pytest.raises(UnknownRecommendationError):
        after(Make(5, DRAFT), command)
    with pytest.raises(UnknownRecommendationError):
        after(Make(5, DRAFT), Delete(ADA), type(command)(**{**vars(command), "actor": ADA}))


def test_counters_are_of_what_there_is_whatever_was_before() -> None:
    first = Counted(ADA, "a@1", 0.25, served=False, feedback=None, shown=True)
    last = Counted(ADA, "b@2", 1.0, served=True, feedback="like", shown=False)
    there, moved = Moved(), Moved()
    there.change(None, last)
    moved.change(None, first)
    moved.change(first, last)
    assert {key: count for key, count in moved.users.items() if any(count)} == dict(there.users)
    assert {tuple(count) for count in moved.totals.values()} == {(0,)}
    assert there.users[ADA, "score", "millionths"] == [0, 1_000_000]
    assert {facet for _, facet, _ in there.users} == {
        "all", "score", "algorithm", "served", "served_by", "feedback", "like_by",
    }  # fmt: skip
