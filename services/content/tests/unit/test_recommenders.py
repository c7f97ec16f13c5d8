"""What algorithms make of evidence, without a database."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genonaut.content.recommenders.algorithms import ALGORITHMS, BEST, POPULAR, called, named
from genonaut.content.recommenders.blend import likeness
from genonaut.content.recommenders.domain import (
    Candidate,
    Evidence,
    Features,
    Neighbour,
    Seed,
    strength,
)
from genonaut.content.search.keys import class_key, creator_key, tag_key, type_key

SEA, SKY, WOOD = 1, 2, 3
MAKER, OTHER = 11, 12


def features(*tags: int, creator: int = MAKER) -> Features:
    return Features(frozenset(tags), creator, is_private=False)


def candidates(*features: Features, popularity: int = 1, users: int = 1) -> dict[int, Candidate]:
    """Numbered from 1."""
    return {number: Candidate(number, each, popularity, users) for number, each in enumerate(features, start=1)}


def picked(evidence: Evidence, limit: int = 10) -> list[int]:
    return [pick.item_id for pick in BEST.rank(evidence, limit)]


LIKED = Seed(100, "like", 4.0, features(SEA, creator=OTHER))


def test_what_an_item_is_found_by_is_read_from_its_keys() -> None:
    keys = [tag_key(4), tag_key(5), creator_key(9), class_key("auto", is_private=True), type_key("image")]
    assert Features.of(keys) == Features(frozenset({tag_key(4), tag_key(5)}), creator_key(9), is_private=True)


def test_a_rating_says_how_much_something_is_liked() -> None:
    assert [strength("view", rating) for rating in (None, 1, 2, 3, 4, 5)] == [1, 0, 0, 2, 4, 5]
    assert strength("like", None) > strength("view", None)


def test_what_people_like_the_user_like_comes_first_and_what_few_know_before_what_all_do() -> None:
    neighbours = [Neighbour([0], [1, 2], [4, 4]), Neighbour([0], [2], [1])]
    known = candidates(features(), features(), features(), users=3)
    assert picked(Evidence([LIKED], neighbours, known)) == [2, 1, 3]
    famous = known | {2: Candidate(2, features(), 1, 1000)}
    assert picked(Evidence([LIKED], neighbours, famous)) == [1, 2, 3]


def test_tags_and_creators_that_the_user_likes_count_and_rare_tags_more() -> None:
    seed = Seed(100, "like", 4.0, features(SEA, SKY, creator=OTHER))
    known = Evidence(
        [seed], (), candidates(features(SEA), features(SKY), features(WOOD), features(WOOD, creator=OTHER)),
        tag_counts={SEA: 90, SKY: 5}, total=100,
    )  # fmt: skip
    assert picked(known) == [2, 4, 1, 3]
    said = Evidence((), (), candidates(features(SKY), features(SEA)), liked_tags=frozenset({SKY}), total=9)
    assert picked(said) == [1, 2]


def test_reasons_are_what_speaks_for_it() -> None:
    known = Evidence(
        [LIKED],
        [Neighbour([0], [1], [4])],
        candidates(features(), features(SEA), features(creator=OTHER), features()),
        total=10,
    )
    picks = {pick.item_id: pick for pick in BEST.rank(known, 10)}
    assert [picks[n].speaks for n in (1, 2, 3, 4)] == [
        "collaborative_filtering", "content_similarity", "content_similarity", "popularity",
    ]  # fmt: skip
    assert [list(picks[n].seeds) for n in (1, 2, 3, 4)] == [[LIKED], [], [], []]
    assert [list(picks[n].tags) for n in (1, 2, 3, 4)] == [[], [SEA], [], []]
    assert [picks[n].creator for n in (1, 2, 3, 4)] == [False, False, True, False]


def test_items_that_are_alike_make_room_for_another() -> None:
    alike, another = features(SEA, SKY), features(WOOD, creator=OTHER)
    known = candidates(alike, alike, another) | {4: Candidate(4, another, 1, 1)}
    assert set(picked(Evidence(candidates=known), 2)) & {1, 2}
    assert set(picked(Evidence(candidates=known), 2)) & {3, 4}
    assert (likeness(known[1], known[2]), likeness(known[1], known[3])) == (1.0, 0.0)


def test_popular_is_the_same_for_everybody() -> None:
    known = {n: Candidate(n, features(), popularity, 1) for n, popularity in ((1, 5), (2, 10), (3, 5), (4, 0))}
    picks = POPULAR.rank(Evidence([LIKED], (), known), 3)
    assert [(pick.item_id, pick.score) for pick in picks] == [(2, 1.0), (3, 0.5), (1, 0.5)]
    assert POPULAR.rank(Evidence(), 3) == []


def test_algorithms_are_found_by_name_and_version() -> None:
    assert named(called(BEST)) is named("blend") is BEST
    assert named("popular@1") is POPULAR
    assert named("blend@0") is named("") is None
    assert all(name == called(each) for name, each in ALGORITHMS.items())


items = st.integers(1, 12)
some_features = st.builds(
    Features, st.frozensets(st.sampled_from([SEA, SKY, WOOD])), st.sampled_from([MAKER, OTHER]), st.just(value=False)
)


@st.composite
def evidences(draw) -> Evidence:
    seeds = [
        Seed(100 + n, "like", draw(st.floats(0.1, 5)), draw(some_features)) for n in range(draw(st.integers(0, 3)))
    ]
    neighbours = []
    for _ in range(draw(st.integers(0, 4)) if seeds else 0):
        theirs = draw(st.lists(items, min_size=1, unique=True))
        shared = draw(st.lists(st.sampled_from(range(len(seeds))), min_size=1, unique=True))
        neighbours.append(Neighbour(shared, theirs, [draw(st.integers(1, 5)) for _ in theirs]))
    found = draw(st.dictionaries(items, st.tuples(some_features, st.integers(0, 50), st.integers(0, 50))))
    liked = frozenset(draw(st.sets(st.sampled_from([SEA, WOOD]))))
    counts, total = {SEA: draw(st.integers(0, 9))}, draw(st.integers(0, 99))
    return Evidence(seeds, neighbours, {n: Candidate(n, *each) for n, each in found.items()}, liked, counts, total)


@pytest.mark.parametrize("algorithm", ALGORITHMS.values(), ids=ALGORITHMS)
@given(evidence=evidences(), limit=st.integers(1, 15))
def test_only_candidates_are_picked_each_once_with_a_score_and_as_many_as_there_are(algorithm, evidence, limit) -> None:
    picks = algorithm.rank(evidence, limit)
    chosen = [pick.item_id for pick in picks]
    assert len(chosen) == len(set(chosen)) == min(limit, len(evidence.candidates))
    assert set(chosen) <= evidence.candidates.keys()
    assert all(0 <= pick.score <= 1 for pick in picks)
    assert picks == algorithm.rank(evidence, limit)
