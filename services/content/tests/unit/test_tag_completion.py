"""Completion: the words in memory."""

from uuid import UUID

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st
from rapidfuzz import fuzz

from genonaut.content.tag_completion.domain import (
    LEAST_ALIKE,
    MOST_ALIKE,
    MOST_STARTING,
    REFRESH_SECONDS,
    SHARDS,
    Known,
    Vocabulary,
    lengths_like,
    range_of,
    shard_of,
    spelled,
)
from genonaut.content.tags.domain import id_of

SKY = Known(UUID(int=1), "night-sky", "The Night", ("starry-sky",))
CAT = Known(UUID(int=2), "cat", "Cat")
SCAPE = Known(UUID(int=3), "landscape", "Landscape")


def vocabulary(*tags: Known) -> Vocabulary:
    made = Vocabulary()
    made.learn(0, 1, tags, now=0)
    return made


def found(typed: str, *tags: Known) -> dict[int, str | None]:
    return {match.tag_id.int: match.alias for match in vocabulary(*tags).starting(spelled(typed)).values()}


def alike(typed: str, *tags: Known) -> list[int]:
    matches = vocabulary(*tags).alike(spelled(typed), beside=()).values()
    return [match.tag_id.int for match in matches]


@pytest.mark.parametrize(
    ("text", "spelling"),
    [("Night_Sky", "night sky"), ("  night   -sky ", "night sky"), ("ÄRGER", "ärger"), ("-", ""), ("ＡＢＣ", "abc")],  # noqa: RUF001 - wide letters are the point
)
def test_words_are_compared_in_one_spelling(text: str, spelling: str) -> None:
    assert spelled(text) == spelling


@pytest.mark.parametrize("typed", ["n", "night-s", "night s", "NIGHT", "the", "The Night"])
def test_what_starts_a_slug_or_a_name_finds_the_tag(typed: str) -> None:
    assert found(typed, SKY, CAT) == {1: None}


def test_an_alias_that_matched_is_named_unless_the_tags_own_words_match_too() -> None:
    assert found("star", SKY, CAT) == {1: "starry-sky"}
    assert found("s", SKY, Known(CAT.tag_id, "scat", "Cat", ("stat",))) == {1: "starry-sky", 2: None}


def test_what_starts_nothing_finds_nothing() -> None:
    assert found("sky", SKY, CAT) == {}
    assert found("cats", SKY, CAT) == {}


def test_mistyped_words_are_found_the_most_alike_first() -> None:
    assert alike("lanscape", SKY, CAT, SCAPE) == [3]
    assert alike("landscaep", Known(UUID(int=4), "landscoop", ""), SCAPE) == [3, 4]
    assert alike("xyz", SKY, CAT, SCAPE) == []


@for_all(st.text("abc", min_size=1, max_size=12), st.text("abc", min_size=1, max_size=24))
def test_no_word_of_another_length_is_much_like_it(typed: str, word: str) -> None:
    assert len(word) in lengths_like(len(typed)) or fuzz.ratio(typed, word) < LEAST_ALIKE


def test_a_word_inside_a_name_is_found_like_a_mistyped_one() -> None:
    assert alike("sky", SKY, CAT) == [1]


def test_of_all_that_are_alike_only_so_many_are_taken() -> None:
    tags = [Known(UUID(int=number), f"landscape-{number}", "Landscape") for number in range(MOST_ALIKE + 1)]

    assert len(alike("lanscape", *tags)) == MOST_ALIKE


def test_like_ones_are_looked_for_where_too_few_start_with_it() -> None:
    words = vocabulary(SCAPE, Known(UUID(int=4), "handscape", ""), Known(UUID(int=5), "landscaper", ""))

    assert [match.tag_id.int for match in words.matching("landscape", 2).values()] == [3, 5]
    matched = words.matching("landscape", 3).values()
    assert [(match.tag_id.int, match.score > 100) for match in matched] == [(3, True), (5, True), (4, False)]


def test_those_that_are_there_already_are_not_found_again() -> None:
    found = vocabulary(SCAPE, CAT).alike("landscape", beside={SCAPE.tag_id})

    assert found == {}


def test_a_tag_that_an_alias_stands_for_is_not_offered() -> None:
    kitty = Known(id_of("kitty"), "kitty", "Kitty")
    words = vocabulary(kitty)
    assert list(words.starting("kit")) == [kitty.tag_id]

    words.learn(1, 1, [Known(CAT.tag_id, "cat", "Cat", ("kitty",))], now=0)
    assert list(words.starting("kit")) == list(words.alike("kitti", beside=())) == [CAT.tag_id]

    words.learn(1, 2, [CAT], now=0)
    assert list(words.starting("kit")) == [kitty.tag_id]


def test_of_too_many_that_start_with_it_the_most_popular_are_taken() -> None:
    tags = [Known(UUID(int=number), f"sky-{number:04}", "", cardinality=number) for number in range(MOST_STARTING + 2)]

    assert list(found("sky", *tags)) == list(range(2, MOST_STARTING + 2))


def test_a_shard_is_read_again_when_there_is_a_later_revision() -> None:
    words = vocabulary(CAT)

    assert words.is_current(1, now=0)
    assert not words.is_current(2, now=0)
    assert words.outdated({0: 1}, now=0) == words.outdated({}, now=0) == []
    assert words.outdated({0: 2, 5: 1}, now=0) == [0, 5]
    words.learn(0, 2, [SKY], now=0)
    assert words.is_current(2, now=0)
    assert words.outdated({0: 1}, now=0) == words.outdated({0: 2}, now=0) == []
    assert list(words.starting("cat")) == list(words.alike("cta", beside=())) == []


def test_now_and_then_the_oldest_shard_is_read_again() -> None:
    words = vocabulary(CAT)
    words.learn(1, 1, [SKY], now=5)
    late = REFRESH_SECONDS + 10

    assert words.is_current(2, now=REFRESH_SECONDS)
    assert not words.is_current(2, now=late)
    assert words.outdated({0: 1, 1: 1}, now=late) == [0]
    assert words.outdated({0: 1, 1: 2}, now=late) == [1]
    assert words.outdated({0: 0, 1: 1}, now=late) == [], "it would forget what was learnt from a later moment"
    words.learn(0, 1, [CAT], now=late)
    assert words.outdated({0: 1, 1: 1}, now=late) == [1]
    words.learn(1, 1, [SKY], now=late)
    assert words.is_current(2, now=late)


@for_all(st.uuids(), st.uuids())
def test_a_shard_is_a_range_of_ids(one: UUID, other: UUID) -> None:
    first, last = range_of(shard_of(one))

    assert 0 <= shard_of(one) < SHARDS
    assert (first <= other <= last) == (shard_of(one) == shard_of(other))
    assert (one < other) or shard_of(one) >= shard_of(other)
