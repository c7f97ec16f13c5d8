"""Opinions: what is decided about them, and the average of ratings."""

from decimal import ROUND_HALF_UP, Decimal
from uuid import UUID

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from genonaut.content.tag_opinions.domain import (
    TAG_OPINION,
    Favor,
    NotRatedError,
    Opinion,
    Rate,
    RemoveRating,
    average,
    opinion_id,
)
from genonaut.contracts import Event
from genonaut.contracts.content import TagFavorited, TagRated, TagRatingRemoved, TagUnfavorited

TAG, ADA = UUID(int=1), UUID(int=2)
RATED, UNRATED = TagRated(tag_id=TAG, user_id=ADA, half_stars=9), TagRatingRemoved(tag_id=TAG, user_id=ADA)
FAVORED, UNFAVORED = TagFavorited(tag_id=TAG, user_id=ADA), TagUnfavorited(tag_id=TAG, user_id=ADA)


def given(*events: Event) -> Opinion:
    state = TAG_OPINION.initial
    for event in events:
        state = TAG_OPINION.evolve(state, event)
    return state


def test_a_rating_is_in_the_place_of_the_one_before() -> None:
    assert TAG_OPINION.decide(Rate(TAG, ADA, 9), given()) == [RATED]
    assert TAG_OPINION.decide(Rate(TAG, ADA, 9), given(RATED)) == []
    assert TAG_OPINION.decide(Rate(TAG, ADA, 2), given(RATED)) == [TagRated(tag_id=TAG, user_id=ADA, half_stars=2)]
    assert TAG_OPINION.decide(RemoveRating(TAG, ADA), given(RATED, FAVORED)) == [UNRATED]
    assert TAG_OPINION.decide(Rate(TAG, ADA, 9), given(RATED, UNRATED)) == [RATED]


def test_a_rating_that_is_not_there_cannot_be_taken_back() -> None:
    for state in (given(), given(RATED, UNRATED), given(FAVORED)):
        with pytest.raises(NotRatedError):
            TAG_OPINION.decide(RemoveRating(TAG, ADA), state)


def test_a_favorite_is_one_however_often_it_is_said() -> None:
    favor, unfavor = Favor(TAG, ADA, is_favorite=True), Favor(TAG, ADA, is_favorite=False)

    assert TAG_OPINION.decide(favor, given(RATED)) == [FAVORED]
    assert TAG_OPINION.decide(favor, given(FAVORED)) == []
    assert TAG_OPINION.decide(unfavor, given(FAVORED)) == [UNFAVORED]
    assert TAG_OPINION.decide(unfavor, given()) == TAG_OPINION.decide(unfavor, given(FAVORED, UNFAVORED)) == []


def test_each_person_has_a_stream_for_each_tag() -> None:
    assert len({opinion_id(tag, user) for tag in (TAG, ADA) for user in (TAG, ADA)}) == 4


@for_all(st.lists(st.integers(2, 10), min_size=1))
def test_an_average_has_two_decimals_with_halves_upwards(half_stars: list[int]) -> None:
    mean = Decimal(sum(half_stars)) / 2 / len(half_stars)

    assert average(sum(half_stars), len(half_stars)) == float(mean.quantize(Decimal("0.01"), ROUND_HALF_UP))


def test_without_ratings_there_is_no_average() -> None:
    assert average(0, 0) is None
