"""What a unified list is asked for."""

from itertools import combinations

import pytest

from genonaut.content.search.domain import Scope, phrases
from genonaut.content.unified.domain import UnknownWordError, ViewerNeededError, scopes

COMBINATIONS = {
    "user-regular": Scope("items", "user"),
    "user-auto": Scope("auto", "user"),
    "community-regular": Scope("items", "community"),
    "community-auto": Scope("auto", "community"),
}
SUBSETS = [chosen for count in range(5) for chosen in combinations(COMBINATIONS, count)]


def asked(
    source_types: list[str] | None = None,
    content_types: str | None = None,
    creator_filter: str = "all",
    has_viewer: bool = True,
) -> frozenset[Scope]:
    return scopes(source_types, content_types=content_types, creator_filter=creator_filter, has_viewer=has_viewer)


@pytest.mark.parametrize("chosen", SUBSETS)
def test_the_sixteen_combinations(chosen: tuple[str, ...]) -> None:
    assert asked(list(chosen) or [""]) == {COMBINATIONS[word] for word in chosen}


def test_combinations_win_over_the_older_pair() -> None:
    assert asked(["user-auto"], content_types="regular", creator_filter="nonsense") == {Scope("auto", "user")}


def test_combinations_are_about_the_viewer() -> None:
    assert asked(["community-regular"], has_viewer=False) == frozenset()


def test_the_stored_word_is_understood_too() -> None:
    assert asked(["user-items"]) == {Scope("items", "user")}
    assert asked(content_types="items") == {Scope("items", "all")}


@pytest.mark.parametrize(
    ("content_types", "creator_filter", "expected"),
    [
        (None, "all", {Scope("items", "all"), Scope("auto", "all")}),
        ("", "all", set()),
        ("auto", "all", {Scope("auto", "all")}),
        ("regular, auto", "user", {Scope("items", "user"), Scope("auto", "user")}),
        ("regular", "community", {Scope("items", "community")}),
    ],
)
def test_the_older_pair(content_types: str | None, creator_filter: str, expected: set[Scope]) -> None:
    assert asked(content_types=content_types, creator_filter=creator_filter) == expected


@pytest.mark.parametrize(
    ("source_types", "content_types", "creator_filter"),
    [(["user"], None, "all"), (["me-auto"], None, "all"), (["user-video"], None, "all"), (None, "video", "all")],
)
def test_unknown_words_are_refused(
    source_types: list[str] | None, content_types: str | None, creator_filter: str
) -> None:
    with pytest.raises(UnknownWordError):
        asked(source_types, content_types, creator_filter)


def test_an_unknown_creator_filter_is_refused() -> None:
    with pytest.raises(UnknownWordError):
        asked(creator_filter="friends")


@pytest.mark.parametrize("creator_filter", ["user", "community"])
def test_a_creator_filter_needs_a_viewer(creator_filter: str) -> None:
    with pytest.raises(ViewerNeededError):
        asked(creator_filter=creator_filter, has_viewer=False)


@pytest.mark.parametrize(
    ("search_term", "expected"),
    [
        ("", []),
        ("   ", []),
        ("Dark Forest", ["dark", "forest"]),
        ('"Dark  Forest" moon', ["dark forest", "moon"]),
        ('moon "dark forest', ["moon", "dark", "forest"]),
        ('"" "  " x', ["x"]),
        ("50% a_b", ["50%", "a_b"]),
        ("moon MOON", ["moon"]),
        ('pre"dark moon"post', ["pre", "dark moon", "post"]),
    ],
)
def test_words_and_quoted_phrases(search_term: str, expected: list[str]) -> None:
    assert phrases(search_term) == expected
