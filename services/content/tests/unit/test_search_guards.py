"""What a list depends on: of every item that comes, goes or changes in it, one of its guards is dropped."""

from dataclasses import replace
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from genonaut.content.search.domain import EVERYTHING, Named, Scope, Wanted, term_of
from genonaut.content.search.guards import MOST, NAMES, dropped, guard, guards_of
from genonaut.content.search.keys import class_key, creator_key, quality_keys, tag_key, type_key
from genonaut.content.search.terms import is_met

VIEWER, CREATOR = UUID(int=1), UUID(int=2)
CATS, DOGS, OIL = tag_key(1), tag_key(2), tag_key(3)
PUBLIC = {class_key("items", is_private=False), class_key("auto", is_private=False)}
PRIVATE = {class_key("items", is_private=True), class_key("auto", is_private=True)}

keys = st.builds(
    lambda tags, creator, source, private, kind: {
        *tags,
        creator_key(creator),
        class_key(source, is_private=private),
        type_key(kind),
        *quality_keys(0.5),
    },
    st.sets(st.sampled_from([CATS, DOGS, OIL])),
    st.integers(1, 3),
    st.sampled_from(["items", "auto"]),
    st.booleans(),
    st.sampled_from(["image", "text"]),
)
groups = st.lists(st.sampled_from([[CATS], [DOGS], [OIL, DOGS]]), max_size=3)
scopes = st.lists(st.builds(Scope, st.sampled_from(["items", "auto"]), st.sampled_from(["user", "community", "all"])))


def named(**more: Any) -> Named:
    return Named(**{"viewer": None, "creator": None, "tags": [], "unwanted_tags": [], **more})


def guards(*keys: int, own: int | None = None) -> list[str]:
    """Of these keys and, of the first user's private items, of this one."""
    return [NAMES, *map(guard, sorted(keys)), *([guard(own, owner=creator_key(1))] if own else [])]


@given(groups, groups, scopes, st.booleans(), st.booleans(), st.booleans(), keys, st.none() | keys)
def test_whatever_changes_a_list_drops_one_of_its_guards(
    tags: Any, unwanted: Any, scopes: Any, every: Any, viewed: Any, created: Any, before: Any, after: Any
) -> None:
    wanted = Wanted(
        viewer=VIEWER if viewed else None,
        creator_id=CREATOR if created else None,
        scopes=scopes,
        tags=["word"] * len(tags),
        unwanted_tags=["word"] * len(unwanted),
        every_tag=every,
    )
    names = Named(
        viewer=creator_key(1) if viewed else None,
        creator=creator_key(2) if created else None,
        tags=tags,
        unwanted_tags=unwanted,
        counts={CATS: 5, DOGS: 3, OIL: 1},
    )
    term = term_of(wanted, names)
    shown = is_met(term, before) or (after is not None and is_met(term, after))

    assert not shown or set(dropped([before, after or ()])) & set(guards_of(wanted, names) or ())


@given(groups, groups, st.booleans(), st.booleans(), keys, keys)
def test_what_happens_to_an_item_while_it_is_private_drops_nothing_of_others(
    tags: Any, unwanted: Any, every: Any, created: Any, before: Any, after: Any
) -> None:
    wanted = Wanted(
        viewer=VIEWER,
        creator_id=CREATOR if created else None,
        tags=["word"] * len(tags),
        unwanted_tags=["word"] * len(unwanted),
        every_tag=every,
    )
    lists = [
        guards_of(each, Named(viewer=viewer, creator=creator_key(2) if created else None, tags=tags, unwanted_tags=[]))
        for each, viewer in ((wanted, creator_key(1)), (replace(wanted, viewer=None), None))
    ]
    in_private = [each for each in (before, after) if creator_key(1) not in each and PRIVATE & each]

    assert not any(set(dropped(in_private)) & set(each or ()) for each in lists)


def test_a_list_depends_on_as_little_as_it_can() -> None:
    tagged = Wanted(tags=["cat", "dog"], every_tag=True)
    counted = named(tags=[[CATS], [DOGS]], counts={CATS: 10, DOGS: 2})

    assert guards_of(Wanted(), named()) == guards(*PUBLIC)
    assert guards_of(tagged, counted) == guards(DOGS)
    assert guards_of(Wanted(tags=["cat", "dog"]), counted) == guards(CATS, DOGS)
    assert guards_of(Wanted(creator_id=CREATOR), named(creator=creator_key(2))) == guards(creator_key(2))
    mine = named(viewer=creator_key(1))
    assert guards_of(Wanted(viewer=VIEWER), mine) == guards(*PUBLIC, own=creator_key(1))
    assert guards_of(Wanted(viewer=VIEWER, public_only=True), mine) == guards(*PUBLIC)
    own = Wanted(viewer=VIEWER, scopes=[Scope("items", "user"), Scope("auto", "user")])
    assert guards_of(own, mine) == guards(creator_key(1), own=creator_key(1))
    tagged = Wanted(viewer=VIEWER, tags=["cat"])
    assert guards_of(tagged, named(viewer=creator_key(1), tags=[[CATS]])) == guards(CATS, own=CATS)
    assert guards_of(Wanted(scopes=EVERYTHING[:1]), named()) == guards(class_key("items", is_private=False))


def test_what_depends_on_what_does_not_exist_or_on_too_much_is_not_kept() -> None:
    many = [[tag_key(number)] for number in range(MOST + 1)]

    assert guards_of(Wanted(tags=["what"]), named(tags=[[]])) is None
    assert guards_of(Wanted(unwanted_tags=["what"]), named(unwanted_tags=[[]])) is None
    assert guards_of(Wanted(viewer=VIEWER), named()) is None
    assert guards_of(Wanted(creator_id=CREATOR), named()) is None
    assert guards_of(Wanted(tags=["word"] * len(many)), named(tags=many)) is None
    assert guards_of(Wanted(tags=["word"] * MOST), named(tags=many[:MOST])) is not None
