"""Tags: their words, and what is decided about them."""

from uuid import NAMESPACE_DNS, UUID, uuid5

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from genonaut.content.tag_hierarchy.schemas import Hierarchy
from genonaut.content.tags.domain import (
    TAG,
    AddParent,
    BadSlugError,
    Create,
    FilterWord,
    RemoveParent,
    Tag,
    TagCycleError,
    TagReference,
    id_of,
    name_of,
    slug_of,
)
from genonaut.contracts import Event
from genonaut.contracts.content import TagCreated, TagParentAdded, TagParentRemoved, TagPublished

ART, OIL, SKY = id_of("art"), id_of("oil"), id_of("sky")


def given(*events: Event) -> Tag:
    state = TAG.initial
    for event in events:
        state = TAG.evolve(state, event)
    return state


@pytest.mark.parametrize(
    ("text", "slug"),
    [
        ("night-sky", "night-sky"),
        ("  Night   Sky ", "night-sky"),
        ("2d_animation", "2d_animation"),
        ("saber_(fate)", "saber_(fate)"),
        ("C++", "c++"),
        ("Ärger", "ärger"),
        ("ＡＢＣ", "abc"),  # noqa: RUF001 - wide letters are the point
        ("हिन्दी", "हिन्दी"),
        ("1:1", "1:1"),
    ],
)
def test_a_slug_is_the_text_in_one_spelling(text: str, slug: str) -> None:
    assert slug_of(text) == slug


@pytest.mark.parametrize("text", ["", " ", "--", "a/b", "a~b", "a,b", '"a"', "a\\b", "#a", "x" * 101, str(ART), "🙂"])
def test_what_names_no_tag_is_refused(text: str) -> None:
    with pytest.raises(BadSlugError):
        slug_of(text)


@for_all(st.text(max_size=30))
def test_a_slug_is_its_own_slug(text: str) -> None:
    try:
        slug = slug_of(text)
    except BadSlugError:
        return

    assert slug_of(slug) == slug
    assert TagReference.of(text).tag_id == TagReference.of(slug).tag_id == id_of(slug)


@pytest.mark.parametrize(
    ("slug", "name"),
    [("night-sky", "Night Sky"), ("2d_animation", "2d Animation"), ("don't", "Don't"), ("sci-fi", "Sci Fi")],
)
def test_a_tag_without_a_name_is_named_by_its_slug(slug: str, name: str) -> None:
    assert name_of(slug) == name


def test_the_id_is_made_from_the_slug() -> None:
    assert TagReference.of("Night Sky") == TagReference(uuid5(NAMESPACE_DNS, "night-sky"), "night-sky", "Night Sky")
    assert TagReference.of(str(ART)) == TagReference(ART)


def test_a_tag_is_created_once() -> None:
    assert TAG.decide(Create("art", "Art", 1), given()) == [TagCreated(number=1, tag_id=ART, slug="art", name="Art")]
    assert TAG.decide(Create("art", "Other", 2), given(TagCreated(number=1, tag_id=ART, slug="art", name="Art"))) == []


def test_a_private_tag_is_published_once() -> None:
    private = TagCreated(number=1, tag_id=ART, slug="art", name="Art", is_private=True)
    published = TagPublished(tag_id=ART, name="Fine Art")

    assert TAG.decide(Create("art", "Art", 1, is_private=True), given()) == [private]
    assert TAG.decide(Create("art", "Art", 1, is_private=True), given(private)) == []
    assert TAG.decide(Create("art", "Fine Art", 2), given(private)) == [published]
    assert TAG.decide(Create("art", "Art", 1), given(private, published)) == []


def test_a_parent_is_added_once() -> None:
    created, added = TagCreated(number=1, tag_id=OIL, slug="oil", name="Oil"), TagParentAdded(tag_id=OIL, parent_id=ART)

    assert TAG.decide(AddParent(OIL, ART, frozenset()), given(created)) == [added]
    assert TAG.decide(AddParent(OIL, ART, frozenset()), given(created, added)) == []
    assert TAG.decide(AddParent(OIL, SKY, frozenset()), given(created, added)) == [
        TagParentAdded(tag_id=OIL, parent_id=SKY)
    ]


def test_a_parent_is_removed_once_and_can_come_back() -> None:
    created, added = TagCreated(number=1, tag_id=OIL, slug="oil", name="Oil"), TagParentAdded(tag_id=OIL, parent_id=ART)
    removed = TagParentRemoved(tag_id=OIL, parent_id=ART)

    assert TAG.decide(RemoveParent(OIL, ART), given(created)) == []
    assert TAG.decide(RemoveParent(OIL, SKY), given(created, added)) == []
    assert TAG.decide(RemoveParent(OIL, ART), given(created, added)) == [removed]
    assert TAG.decide(RemoveParent(OIL, ART), given(created, added, removed)) == []
    assert TAG.decide(AddParent(OIL, ART, frozenset()), given(created, added, removed)) == [added]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("Art", FilterWord(ART)),
        (str(ART), FilterWord(ART)),
        ("art~descendants", FilterWord(ART, descendants=True)),
        (f"{ART}~descendants", FilterWord(ART, descendants=True)),
        ("descendants", FilterWord(id_of("descendants"))),
        ("~descendants", None),
        ("art~ancestors", None),
        ("art~descendants~descendants", None),
        ("", None),
    ],
)
def test_a_word_of_a_filter_is_a_tag_or_all_below_it(text: str, word: FilterWord | None) -> None:
    assert FilterWord.of(text) == word


@pytest.mark.parametrize(("parent", "above"), [(OIL, frozenset()), (SKY, frozenset({ART, OIL}))])
def test_a_tag_is_never_above_itself(parent: UUID, above: frozenset[UUID]) -> None:
    with pytest.raises(TagCycleError):
        TAG.decide(AddParent(OIL, parent, above), given(TagCreated(number=1, tag_id=OIL, slug="oil", name="Oil")))


def test_the_hierarchy_of_nothing_is_empty() -> None:
    assert Hierarchy.of([], []).model_dump(by_alias=True) == {
        "nodes": [],
        "metadata": {
            "totalNodes": 0,
            "totalRelationships": 0,
            "rootCategories": 0,
            "lastUpdated": None,
            "format": "flat_array",
            "version": "2.0",
        },
    }
