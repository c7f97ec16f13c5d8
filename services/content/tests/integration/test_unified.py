"""The unified list against a plain Python model of it."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

COMBINATIONS = ["user-regular", "user-auto", "community-regular", "community-auto"]
ITEM_FIELDS = [
    *("id", "title", "content_type", "source_type", "creator_id", "creator_username", "quality_score", "tags"),
    *("created_at", "updated_at", "path_thumb", "prompt"),
]

REQUESTS = st.fixed_dictionaries(
    {
        "viewer": st.sampled_from([None, 0, 1, 2]),
        "sort_field": st.sampled_from(["created_at", "updated_at", "quality_score", "title"]),
        "sort_order": st.sampled_from(["asc", "desc"]),
    },
    optional={
        "content_source_types": st.sets(st.sampled_from(COMBINATIONS)).map(lambda chosen: sorted(chosen) or [""]),
        "content_types": st.sampled_from(["regular,auto", "regular", "auto", ""]),
        "tag": st.lists(st.sampled_from(["sea", "Sky", "wood", "night", "unheard-of"]), min_size=1, max_size=2),
        "tag_names": st.lists(st.sampled_from(["sea", "wood"]), min_size=1, max_size=1),
        "tag_match": st.sampled_from(["any", "all"]),
        "search_term": st.sampled_from(
            ["", "moon", "DARK", '"dark forest"', "forest dark", '"dark water" sun', "%", "t_b", '"', "0"]
        ),
    },
)


def expected(items: list[dict[str, Any]], asked: Mapping[str, Any], viewer: str | None) -> list[dict[str, Any]]:
    """What the list holds, in its order."""
    found = [item for item in items if visible(item, viewer) and in_scope(item, asked, viewer) and fits(item, asked)]
    key = asked["sort_field"]
    return sorted(found, key=lambda item: (item[key], item["id"]), reverse=asked["sort_order"] == "desc")


def visible(item: dict[str, Any], viewer: str | None) -> bool:
    return not item["is_private"] or item["creator_id"] == viewer


def whose(item: dict[str, Any], viewer: str | None) -> str:
    return f"{'user' if item['creator_id'] == viewer else 'community'}-{item['source_type']}"


def in_scope(item: dict[str, Any], asked: Mapping[str, Any], viewer: str | None) -> bool:
    if "content_source_types" in asked:
        return viewer is not None and whose(item, viewer) in asked["content_source_types"]
    return item["source_type"] in asked.get("content_types", "regular,auto").split(",")


def fits(item: dict[str, Any], asked: Mapping[str, Any]) -> bool:
    wanted = {word.lower() for word in [*asked.get("tag", []), *asked.get("tag_names", [])]}
    quantifier = all if asked.get("tag_match") == "all" else any
    tagged = not wanted or quantifier(tag in item["tags"] for tag in wanted)
    texts = [" ".join(item[name].lower().split()) for name in ("title", "prompt")]
    pieces = asked.get("search_term", "").lower().split('"')
    phrases = [word for piece in pieces[::2] for word in piece.split()] + pieces[1::2]
    return tagged and all(any(phrase in text for text in texts) for phrase in phrases)


@settings(max_examples=40, deadline=None)
@given(asked=REQUESTS, size=st.integers(3, 20))
async def test_the_list_is_that_of_the_model(full_gallery, asked, size) -> None:
    viewer = None if asked["viewer"] is None else full_gallery.users[asked["viewer"]]
    request = {key: value for key, value in asked.items() if key != "viewer"} | {"user_id": viewer, "page_size": size}
    request = {key: value for key, value in request.items() if value is not None}
    model = expected(full_gallery.items, asked, viewer)

    forward, body = [], await full_gallery.get("/content/unified", **request)
    assert body["pagination"]["total_count"] == body["total"] == len(model)
    assert body["stats"] == counts(full_gallery.items, viewer)
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
