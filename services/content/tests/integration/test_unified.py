"""The unified list against a plain Python model of it."""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genonaut.content.tags.domain import id_of

COMBINATIONS = ["user-regular", "user-auto", "community-regular", "community-auto"]
ITEM_FIELDS = [
    *("id", "title", "content_type", "source_type", "creator_id", "creator_username", "quality_score", "tags"),
    *("created_at", "updated_at", "path_thumb", "prompt"),
]

MEANT = {
    "sea": {"sea"},
    "Sky": {"sky"},
    "wood": {"wood"},
    "ocean": {"sea"},
    str(id_of("night")): {"night"},
    "sky~descendants": {"sky"},
    "water": set[str](),
    "water~descendants": {"sea"},
    "nature~descendants": {"sea", "wood"},
    "unheard-of": set[str](),
}
"""For each word the tags of `full_gallery` that satisfy it."""

WORDS = st.lists(st.sampled_from(list(MEANT)), min_size=1, max_size=2)

ALWAYS = {
    "viewer": st.sampled_from([None, 0, 1, 2]),
    "sort_field": st.sampled_from(["created_at", "updated_at", "quality_score", "title", "popularity"]),
    "sort_order": st.sampled_from(["asc", "desc"]),
    "tag_match": st.sampled_from(["any", "all"]),
}
FILTERS: dict[str, st.SearchStrategy[Any]] = {
    "content_source_types": st.sets(st.sampled_from(COMBINATIONS)).map(lambda chosen: sorted(chosen) or [""]),
    "content_types": st.sampled_from(["regular,auto", "regular", "auto", ""]),
    "creator_filter": st.sampled_from(["all", "user", "community"]),
    "creator": st.sampled_from([0, 1, 2]),
    "tag": WORDS,
    "tag_names": WORDS,
    "exclude_tag": WORDS,
    "min_quality_score": st.sampled_from([0, 0.25, 0.2501, 0.75, 1]),
    "public_only": st.booleans(),
    "search_term": st.sampled_from(
        ["", "moon", "DARK", '"dark forest"', "forest dark", '"dark water" sun', "%", "t_b", '"', "0"]
    ),
}
# A few at a time: with more of them nearly all lists would be empty.
REQUESTS = st.sets(st.sampled_from(sorted(FILTERS)), max_size=3).flatmap(
    lambda chosen: st.fixed_dictionaries({**ALWAYS, **{name: FILTERS[name] for name in sorted(chosen)}})
)

MOVES = st.lists(
    st.tuples(
        st.sampled_from(["next", "previous", "page", "skip", "last"]),
        st.integers(1, 12),
        st.sampled_from([1, 2, 5, 9, 36]),
    ),
    min_size=4,
    max_size=8,
)
"""A way through a list: what to do, with which number where it takes one, and how many items to show."""


def request_of(gallery: Any, asked: Mapping[str, Any]) -> dict[str, Any]:
    """As parameters of the list."""
    request = {name: value for name, value in asked.items() if name not in {"viewer", "creator"}}
    if asked["viewer"] is not None:
        request["user_id"] = gallery.users[asked["viewer"]]
    else:
        request.pop("creator_filter", None)  # which would be a mistake: it is about the viewer
    if "creator" in asked:
        request["creator_id"] = gallery.users[asked["creator"]]
    return request


def expected(gallery: Any, request: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the list holds, in its order."""
    viewer = request.get("user_id")
    found = [
        item
        for item in gallery.items
        if visible(item, viewer) and in_scope(item, request, viewer) and fits(item, request)
    ]
    key = request["sort_field"]
    return sorted(found, key=lambda item: (item[key], item["id"]), reverse=request["sort_order"] == "desc")


def visible(item: dict[str, Any], viewer: str | None) -> bool:
    return not item["is_private"] or item["creator_id"] == viewer


def whose(item: dict[str, Any], viewer: str | None) -> str:
    return f"{'user' if item['creator_id'] == viewer else 'community'}-{item['source_type']}"


def in_scope(item: dict[str, Any], asked: Mapping[str, Any], viewer: str | None) -> bool:
    if "content_source_types" in asked:
        return viewer is not None and whose(item, viewer) in asked["content_source_types"]
    owner = asked.get("creator_filter", "all")
    return item["source_type"] in asked.get("content_types", "regular,auto").split(",") and (
        owner == "all" or (item["creator_id"] == viewer) == (owner == "user")
    )


def fits(item: dict[str, Any], asked: Mapping[str, Any]) -> bool:
    tags = set(item["tags"])
    wanted = [MEANT[word] for word in [*asked.get("tag", []), *asked.get("tag_names", [])]]
    quantifier = all if asked.get("tag_match") == "all" else any
    tagged = not wanted or quantifier(tags & meant for meant in wanted)
    unwanted = any(tags & MEANT[word] for word in asked.get("exclude_tag", []))
    texts = [" ".join(item[name].lower().split()) for name in ("title", "prompt")]
    pieces = asked.get("search_term", "").lower().split('"')
    phrases = [word for piece in pieces[::2] for word in piece.split()] + pieces[1::2]
    return (
        tagged
        and not unwanted
        and item["quality_score"] >= asked.get("min_quality_score", 0)
        and item["creator_id"] == asked.get("creator_id", item["creator_id"])
        and not (item["is_private"] and asked.get("public_only"))
        and all(any(phrase in text for text in texts) for phrase in phrases)
    )


@settings(max_examples=60)
@given(asked=REQUESTS, size=st.integers(3, 20))
async def test_the_list_is_that_of_the_model(full_gallery, asked, size) -> None:
    request = {**request_of(full_gallery, asked), "page_size": size}
    model = expected(full_gallery, request)

    forward, body = [], await full_gallery.get("/content/unified", **request)
    assert body["pagination"]["total_count"] == body["total"] == len(model)
    assert body["stats"] == counts(full_gallery.items, request.get("user_id"))
    while True:
        forward.append(body["items"])
        if not body["pagination"]["has_next"]:
            break
        body = await full_gallery.get("/content/unified", **request, cursor=body["pagination"]["next_cursor"])
    assert [item for page in forward for item in page] == [shown(item) for item in model]

    backward = [body["items"]]
    while cursor := body["pagination"]["prev_cursor"]:
        body = await full_gallery.get("/content/unified", **request, cursor=cursor)
        backward.insert(0, body["items"])
    assert [item for page in backward for item in page] == [shown(item) for item in model]

    pages = [await full_gallery.get("/content/unified", **request, page=page + 1) for page in range(len(forward))]
    assert [page["items"] for page in pages] == forward


@settings(max_examples=60)
@given(asked=REQUESTS, moves=MOVES)
async def test_every_way_through_the_list_leads_where_it_should(full_gallery, asked, moves) -> None:
    """Cursors, numbers, and other sizes of pages, in any order: each page is the part of the model that it says."""
    request = request_of(full_gallery, asked)
    model = [item["id"] for item in expected(full_gallery, request)]
    total, start, end = len(model), 0, 0
    paging: dict[str, Any] = {"next_cursor": None, "prev_cursor": None}
    for move, number, size in moves:
        where: dict[str, Any]
        if move in {"next", "previous"}:
            where = {"cursor": paging["next_cursor" if move == "next" else "prev_cursor"], "page_size": size}
            if where["cursor"] is None:
                continue
            first, last = (end, end + size) if move == "next" else (start - size, start)
        elif move == "page":
            where = {"page": number, "page_size": size}
            first, last = (number - 1) * size, number * size
            if number > 1 and first >= total:
                refused = await full_gallery.problem("GET", "/content/unified", params={**request, **where})
                assert refused == (404, "PAGE_OUT_OF_RANGE")
                continue
        elif move == "skip":
            where = {"skip": number, "limit": size}
            first, last = number, number + size
        else:
            where = {"backward": True, "page_size": size}
            first, last = total - size, total
        start, end = min(max(0, first), total), min(last, total)

        body = await full_gallery.get("/content/unified", **request, **where)

        paging = body["pagination"]
        assert [item["id"] for item in body["items"]] == model[start:end]
        assert (paging["total_count"], body["total"], body["limit"]) == (total, total, size)
        assert body["skip"] == (number if move == "skip" else start)
        assert paging["has_next"] == body["has_more"] == (paging["next_cursor"] is not None) == (end < total)
        assert paging["has_previous"] == (paging["prev_cursor"] is not None) == (start > 0)


@pytest.mark.parametrize("size", range(5))
async def test_all_combinations_of_sources(full_gallery, size) -> None:
    """The sixteen of them, for everybody and for nobody: a list of the union, whose parts are as its statistics say."""
    for chosen in combinations(COMBINATIONS, size):
        for viewer in (None, *full_gallery.users):
            asked = {"content_source_types": chosen or [""], **({"user_id": viewer} if viewer else {})}
            body = await full_gallery.get("/content/unified", **asked, page_size=100)
            model = [
                item
                for item in full_gallery.items
                if viewer and visible(item, viewer) and whose(item, viewer) in chosen
            ]
            assert {item["id"] for item in body["items"]} == {item["id"] for item in model}
            stated = sum(body["stats"][f"{word.replace('-', '_')}_count"] for word in chosen if viewer)
            assert body["total"] == len(model) == stated


def shown(item: dict[str, Any]) -> dict[str, Any]:
    return {name: item[name] for name in ITEM_FIELDS}


def counts(items: list[dict[str, Any]], viewer: str | None) -> dict[str, int]:
    seen = [whose(item, viewer).replace("-", "_") for item in items if visible(item, viewer)]
    return {f"{word.replace('-', '_')}_count": seen.count(word.replace("-", "_")) for word in COMBINATIONS}


@pytest.mark.parametrize("creator_filter", ["all", "user", "community"])
async def test_the_older_creator_filter(full_gallery, creator_filter) -> None:
    viewer = full_gallery.users[0]

    body = await full_gallery.get("/content/unified", creator_filter=creator_filter, user_id=viewer, page_size=1000)

    model = [item for item in full_gallery.items if visible(item, viewer)]
    if creator_filter != "all":
        model = [item for item in model if (item["creator_id"] == viewer) == (creator_filter == "user")]
    assert {item["id"] for item in body["items"]} == {item["id"] for item in model}


async def test_an_item_is_exactly_as_the_agreed_sample(full_gallery) -> None:
    body = await full_gallery.get("/content/unified")

    assert [list(item) for item in body["items"]] == [ITEM_FIELDS] * 10
    assert body["pagination"]["page_size"] == 10


async def test_stats_are_there_by_themselves_too(full_gallery) -> None:
    viewer = full_gallery.users[1]

    assert await full_gallery.get("/content/stats/unified") == counts(full_gallery.items, None)
    assert await full_gallery.get("/content/stats/unified", user_id=viewer) == counts(full_gallery.items, viewer)


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("content_source_types=everything", 400, "INVALID_CONTENT_FILTER"),
        ("content_source_types=user-regular&content_source_types=user-video", 400, "INVALID_CONTENT_FILTER"),
        ("content_types=regular,video", 400, "INVALID_CONTENT_FILTER"),
        ("creator_filter=friends", 400, "INVALID_CONTENT_FILTER"),
        ("creator_filter=user", 400, "INVALID_CONTENT_FILTER"),
        ("tag_match=some", 400, "INVALID_TAG_MATCH"),
        ("search_term=" + "x" * 501, 422, "VALIDATION_ERROR"),
        ("user_id=7", 422, "VALIDATION_ERROR"),
        ("search_term=%00", 422, "VALIDATION_ERROR"),
    ],
)
async def test_a_list_that_cannot_be(bare_gallery, query, status, code) -> None:
    assert await bare_gallery.problem("GET", f"/content/unified?{query}") == (status, code)


async def test_an_empty_gallery(bare_gallery) -> None:
    body = await bare_gallery.get("/content/unified", page=1)

    assert (body["items"], body["total"], body["pagination"]["total_pages"]) == ([], 0, 0)
    assert set(body["stats"].values()) == {0}
