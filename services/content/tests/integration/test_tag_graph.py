"""The hierarchy, the meaning of words and what tags imply, against plain Python models of them."""

from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import asynccontextmanager
from uuid import UUID

import pytest_asyncio
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from genonaut.content.tag_meanings.projection import tag_meanings_projection
from genonaut.content.tags.domain import id_of
from genonaut.content.tags.projection import tags_projection
from genonaut.content.tags.queries import implied, meant
from genonaut.content.tags.tables import tag_closure, tag_parents
from genonaut.contracts.content import (
    TagAliasAdded,
    TagCreated,
    TagImplicationAdded,
    TagParentAdded,
    TagParentRemoved,
)
from genonaut.testkit.projections import at

SLUGS = [f"tag-{number}" for number in range(7)]
IDS = [id_of(slug) for slug in SLUGS]
WORDLESS = ["other-1", "other-2"]
"""Aliases that are no tags."""

NODES = st.integers(0, len(SLUGS) - 1)
PAIRS = st.tuples(NODES, NODES)
DOWNWARDS = PAIRS.map(lambda pair: (max(pair), min(pair)))
CHANGES = st.tuples(st.sampled_from([True, True, True, False]), st.one_of(DOWNWARDS, DOWNWARDS, DOWNWARDS, PAIRS))
"""Whether an edge is added, and which: mostly such as make no circle, so that there are many ways at the same time."""
Edges = set[tuple[int, int]]
"""Of a tag and its parent, or of a tag and what it implies."""

of_few = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest_asyncio.fixture
async def connected(tables_of):
    async with tables_of("content") as tables:
        yield tables


@asynccontextmanager
async def undone(tables):
    """One example: nothing of it stays."""
    savepoint = await tables.connection.begin_nested()
    yield
    await savepoint.rollback()


def ways(start: int, edges: Edges) -> dict[int, int]:
    """The fewest steps along the edges from `start` to all that they lead to."""
    steps, waiting = {start: 0}, deque([start])
    while waiting:
        here = waiting.popleft()
        for there in (there for tag, there in edges if tag == here and there not in steps):
            steps[there] = steps[here] + 1
            waiting.append(there)
    del steps[start]
    return steps


def without_circles(pairs: Iterable[tuple[int, int]]) -> Edges:
    """Those of the pairs that are accepted when they are asked for one after the other."""
    edges: Edges = set()
    for tag, other in pairs:
        if tag != other and tag not in ways(other, edges):
            edges.add((tag, other))
    return edges


@of_few
@given(changes=st.lists(CHANGES, min_size=12, max_size=30))
@example(changes=[*((True, edge) for edge in [(1, 0), (6, 1), (2, 0), (3, 2), (6, 3), (6, 0)]), *[(False, (0, 3))] * 2])
async def test_the_closure_is_that_of_the_edges_after_every_change(connected, changes) -> None:
    """The example: of ways of one, two and three steps, the shortest is removed, and then the next."""
    edges: Edges = set()
    async with undone(connected):
        for number, (adds, (tag, parent)) in enumerate(changes, start=1):
            if not adds and edges:
                tag, parent = sorted(edges)[(7 * tag + parent) % len(edges)]  # noqa: PLW2901 - one that is there
                edges.remove((tag, parent))
                event = TagParentRemoved(tag_id=IDS[tag], parent_id=IDS[parent])
            elif tag == parent or (tag, parent) in edges or tag in ways(parent, edges):
                continue
            else:
                edges.add((tag, parent))
                event = TagParentAdded(tag_id=IDS[tag], parent_id=IDS[parent])
            await connected.given(tags_projection, at(number, event))

            rows = await connected.rows(tag_closure)
            closure = {(row["descendant_id"], row["ancestor_id"]): row["depth"] for row in rows}
            assert closure == {
                (IDS[tag], IDS[above]): depth for tag in range(7) for above, depth in ways(tag, edges).items()
            }
        assert {(row["tag_id"], row["parent_id"]) for row in await connected.rows(tag_parents)} == {
            (IDS[tag], IDS[parent]) for tag, parent in edges
        }


def model_of_meant(word: str, tags: set[str], edges: Edges, aliases: Mapping[str, str]) -> frozenset[UUID]:
    """Everything that is reached from the word: over aliases in both directions, and down if that is asked for."""
    slug = word.removesuffix("~descendants")
    slug = next((name for name in [*SLUGS, *WORDLESS] if str(id_of(name)) == slug), slug)
    steps = {(alias, target) for alias, target in aliases.items()}
    steps |= {(target, alias) for alias, target in steps}
    if word.endswith("~descendants"):
        steps |= {(SLUGS[parent], SLUGS[tag]) for tag, parent in edges}
    reached, waiting = {slug}, [slug]
    while waiting:
        here = waiting.pop()
        new = {there for origin, there in steps if origin == here} - reached
        reached |= new
        waiting += new
    return frozenset(id_of(name) for name in reached & tags)


ALIASES = st.dictionaries(st.sampled_from(SLUGS[3:] + WORDLESS), st.sampled_from(SLUGS[:3]), max_size=5)
"""Of three tags, so that there are no chains; by slugs of other tags and by words that are none."""
ASKED = st.lists(
    st.tuples(
        st.sampled_from([*SLUGS, *WORDLESS, "unheard-of", "no/slug", *map(str, IDS[::3])]),
        st.sampled_from(["", "~descendants"]),
    ).map("".join),
    max_size=4,
)


@of_few
@given(
    private=st.sets(st.sampled_from(SLUGS)),
    missing=st.sets(st.sampled_from(SLUGS), max_size=2),
    pairs=st.lists(PAIRS, max_size=10),
    aliases=ALIASES,
    words=ASKED,
)
async def test_a_word_means_what_the_model_says(connected, private, missing, pairs, aliases, words) -> None:
    tags = set(SLUGS) - missing
    edges = {(tag, parent) for tag, parent in without_circles(pairs) if {SLUGS[tag], SLUGS[parent]} <= tags}
    aliases = {alias: target for alias, target in aliases.items() if target in tags}
    async with undone(connected):
        await build(connected, tags, private, edges, aliases)

        assert list(map(set, await meant(connected.connection, words))) == [
            model_of_meant(word, tags, edges, aliases) for word in words
        ]


async def build(tables, tags, private, edges, aliases) -> None:
    for slug in sorted(tags):
        created = TagCreated(number=1, tag_id=id_of(slug), slug=slug, name=slug.title(), is_private=slug in private)
        await tables.given(tags_projection, at(1, created))
    for tag, parent in edges:
        await tables.given(tags_projection, at(2, TagParentAdded(tag_id=IDS[tag], parent_id=IDS[parent])))
    for alias, target in aliases.items():
        added = TagAliasAdded(tag_id=id_of(target), alias=alias)
        await tables.given(tag_meanings_projection, at(3, added))


def model_of_implied(given: list[int], edges: Edges, aliases: Mapping[str, str]) -> dict[UUID, UUID]:
    """What each of the given ones brings with it, as the first that does."""
    resolved = {(tag, SLUGS.index(aliases.get(SLUGS[other], SLUGS[other]))) for tag, other in edges}
    found: dict[UUID, UUID] = {}
    for tag in given:
        for brought in ways(tag, resolved):
            if brought not in given:
                found.setdefault(IDS[brought], IDS[tag])
    return found


@of_few
@given(
    pairs=st.lists(PAIRS, max_size=12),
    aliases=ALIASES,
    asked=st.lists(NODES, max_size=4, unique=True),
)
async def test_tags_imply_what_the_model_says(connected, pairs, aliases, asked) -> None:
    edges = without_circles(pairs)
    async with undone(connected):
        await build(connected, set(SLUGS), set(), set(), aliases)
        for tag, other in edges:
            added = TagImplicationAdded(tag_id=IDS[tag], implied_id=IDS[other])
            await connected.given(tag_meanings_projection, at(4, added))

        brought = await implied(connected.connection, [IDS[tag] for tag in asked])

    assert {one.tag_id: one.because_of for one in brought} == model_of_implied(asked, edges, aliases)
    assert [one.tag_id for one in brought] == sorted(one.tag_id for one in brought)
