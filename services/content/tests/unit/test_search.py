"""Terms, and the matches they find, against plain sets."""

from bisect import bisect_left
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as some
from pyroaring import BitMap

from genonaut.content.search.arrays import condition, numbered
from genonaut.content.search.domain import Named, Scope, Wanted, is_whole_step, term_of
from genonaut.content.search.keys import (
    QUALITY_STEPS,
    Kind,
    class_key,
    creator_key,
    kind_of,
    quality_keys,
    quality_step,
    tag_key,
)
from genonaut.content.search.matches import BEHIND, Bound, Loose, Matches, Place, evaluated
from genonaut.content.search.segments import SegmentCache
from genonaut.content.search.terms import NOTHING, AnyOf, Every, Except, Has, Term, is_met, keys_of

KEYS = some.integers(0, 5)
TERMS: some.SearchStrategy[Term] = some.recursive(
    KEYS.map(Has) | some.just(NOTHING),
    lambda terms: (
        some.lists(terms, min_size=1, max_size=3).map(lambda parts: Every(tuple(parts)))
        | some.lists(terms, max_size=3).map(lambda parts: AnyOf(tuple(parts)))
        | some.tuples(terms, terms).map(lambda pair: Except(*pair))
    ),
    max_leaves=8,
)


@given(TERMS, some.lists(some.sets(KEYS), max_size=20))
def test_bits_meet_a_term_as_each_of_them_does(term: Term, rows: list[set[int]]) -> None:
    bits = {key: BitMap(n for n, keys in enumerate(rows) if key in keys) for key in keys_of(term)}

    assert list(evaluated(term, bits)) == [n for n, keys in enumerate(rows) if is_met(term, keys)]


@given(TERMS)
def test_a_condition_names_each_key_in_an_argument(term: Term) -> None:
    arguments: list[list[int]] = []

    statement = condition(term, "keys", numbered(arguments))

    assert {key for argument in arguments for key in argument} == keys_of(term)
    assert [f"${n + 1}" in statement for n in range(len(arguments))] == [True] * len(arguments)


START = datetime(2026, 1, 1, tzinfo=UTC)


def moment(number: int) -> datetime:
    return START + timedelta(seconds=number)


@some.composite
def galleries(draw: some.DrawFn) -> tuple[list[tuple[int, int | None, bool]], int]:
    """Items in the order of time: (number, position in the bits or None for the tail, whether it is found)."""
    count = draw(some.integers(0, 30))
    size = draw(some.integers(1, 7))
    positions = iter(range(count))
    items = [
        (number, next(positions) if draw(some.booleans()) else None, draw(some.booleans())) for number in range(count)
    ]
    return items, size


@given(galleries())
def test_matches_are_one_list_however_much_is_in_blocks(
    gallery: tuple[list[tuple[int, int | None, bool]], int],
) -> None:
    items, size = gallery
    blocks: dict[int, BitMap] = {}
    loose, last = [], None
    where: dict[int, Place | None] = {}
    for number, position, found in items:
        where[number] = last
        if position is not None:
            last = Place(position // size, position % size)
            bits = blocks.setdefault(last.block, BitMap())
            if found:
                bits.add(last.position)
        elif found:
            loose.append(Loose((moment(number), number), last))
    matches = Matches(blocks, loose)
    expected = [number for number, _, found in items if found]
    number_at = {Place(p // size, p % size): number for number, p, _ in items if p is not None}

    def numbers(found: list[Place | Loose]) -> list[int]:
        return [each.item_id if isinstance(each, Loose) else number_at[each] for each in found]

    assert len(matches) == len(expected)
    for start in range(len(expected) + 1):
        for end in range(start, len(expected) + 1):
            assert numbers(matches.between(start, end)) == expected[start:end]
    for number, _, _ in items:
        bound = Bound((moment(number), number), where[number])
        assert matches.before(bound) == bisect_left(expected, number)
        later = matches.from_(bound)
        assert numbers(later.between(0, len(later))) == [each for each in expected if each >= number]


def test_a_place_behind_a_block_has_all_of_it_before_it() -> None:
    matches = Matches({3: BitMap([0, 5, BEHIND]), 7: BitMap([1])})

    assert matches.before(Bound((moment(1), 1), Place(3, BEHIND))) == 3
    assert matches.before(Bound((moment(1), 1), Place(7, -1))) == 3
    assert matches.before(Bound((moment(1), 1), None)) == 0


@given(some.integers(-(2**27) + 1, 2**27 - 1), some.sampled_from(Kind))
def test_a_key_knows_its_kind_and_fits_into_32_bits(number: int, kind: Kind) -> None:
    key = number * 8 + kind

    assert kind_of(key) == kind
    assert -(2**31) <= key < 2**31


@given(some.floats(0, 1), some.floats(0, 1))
def test_a_better_item_is_in_no_lower_step(one: float, other: float) -> None:
    low, high = sorted([one, other])

    assert 0 <= quality_step(low) <= quality_step(high) < QUALITY_STEPS
    assert (quality_step(one) == 0) == (one == 0)
    if is_whole_step(high) and low < high:
        assert quality_step(low) < quality_step(high)


@given(some.floats(0, 1), some.floats(0, 1))
def test_keys_tell_which_items_are_good_enough(score: float, wanted: float) -> None:
    keys = {class_key("items", is_private=False), *quality_keys(score)}

    met = is_met(term_of(Wanted(min_quality=wanted), Named(None, None, (), ())), keys)

    assert met or score < wanted
    if is_whole_step(wanted):
        assert met == (score >= wanted)


OWNERS = ["user", "community", "all"]


@pytest.mark.parametrize("owner", OWNERS)
@pytest.mark.parametrize("source", ["items", "auto"])
@pytest.mark.parametrize("mine", [True, False])
@pytest.mark.parametrize("private", [True, False])
@pytest.mark.parametrize("viewed", [True, False])
def test_who_sees_what_in_a_scope(owner: Any, source: Any, mine: bool, private: bool, viewed: bool) -> None:
    me, other = creator_key(1), creator_key(2)
    keys = {class_key(source, is_private=private), me if mine else other}
    named = Named(me if viewed else None, None, (), ())

    met = is_met(term_of(Wanted(viewer=UUID(int=1) if viewed else None, scopes=[Scope("items", owner)]), named), keys)

    is_own = mine and viewed
    of_owner = {"user": is_own, "community": not is_own, "all": True}[owner]
    assert met == (source == "items" and of_owner and (not private or is_own))


def test_unknown_words_match_nothing_with_all_and_are_ignored_with_any() -> None:
    keys = {class_key("items", is_private=False), tag_key(1)}
    named = Named(None, None, [[tag_key(1)], []], ())

    assert is_met(term_of(Wanted(tags=["sea", "nonsense"]), named), keys)
    assert not is_met(term_of(Wanted(tags=["sea", "nonsense"], every_tag=True), named), keys)
    assert not is_met(term_of(Wanted(tags=["nonsense"]), Named(None, None, [[]], ())), keys)


def test_unwanted_tags_take_away_what_has_any_of_them() -> None:
    public = class_key("items", is_private=False)
    term = term_of(Wanted(unwanted_tags=["a", "b"]), Named(None, None, (), [[tag_key(1), tag_key(2)], [tag_key(3)]]))

    assert is_met(term, {public, tag_key(4)})
    assert not is_met(term, {public, tag_key(2)})
    assert not is_met(term, {public, tag_key(3)})


def test_bits_that_two_readers_bring_are_counted_once() -> None:
    cache, version = SegmentCache(2_000), UUID(int=1)
    for _ in range(20):
        cache.put(version, 8, BitMap([1]), 500)
    assert cache.get(version, 8) == BitMap([1])

    cache.put(version, 16, BitMap([2]), 500)
    assert cache.get(version, 8) == BitMap([1])
    cache.put(version, 24, BitMap([3]), 500)
    assert [cache.get(version, key) for key in (16, 8, 24)] == [None, BitMap([1]), BitMap([3])]
