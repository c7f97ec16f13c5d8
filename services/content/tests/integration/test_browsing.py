"""The lists of one source: each shows what it says, and nothing of the other one."""

from datetime import timedelta
from typing import Any

import pytest

SOURCES = {"/content": "regular", "/content-auto": "auto"}


def of(gallery, path: str, **wanted: Any) -> list[int]:
    """The public items of the source with these values, newest first."""
    found = [
        item
        for item in gallery.items
        if item["source_type"] == SOURCES[path]
        and not item["is_private"]
        and all(item[name] == value for name, value in wanted.items())
    ]
    return [item["id"] for item in sorted(found, key=lambda item: (item["created_at"], item["id"]), reverse=True)]


@pytest.mark.parametrize("path", SOURCES)
async def test_each_list_shows_what_it_says(full_gallery, path) -> None:
    everything = of(full_gallery, path)
    creator = full_gallery.users[0]

    assert await full_gallery.ids(path, page_size=100) == everything
    assert await full_gallery.ids(f"{path}/enhanced", page_size=100) == everything
    assert await full_gallery.ids(f"{path}/public", page_size=100) == everything
    assert await full_gallery.ids(f"{path}/by-type/image", page_size=100) == everything
    assert await full_gallery.ids(f"{path}/by-type/video") == []
    assert await full_gallery.ids(f"{path}/by-creator/{creator}", page_size=100) == of(
        full_gallery, path, creator_id=creator
    )


@pytest.mark.parametrize("path", SOURCES)
async def test_the_best_come_first_and_those_without_any_quality_not_at_all(full_gallery, path) -> None:
    body = await full_gallery.get(f"{path}/top-rated", page_size=100)
    shown = [(item["quality_score"], item["id"]) for item in body["items"]]

    assert shown == sorted(shown, reverse=True)
    assert {item_id for _, item_id in shown} == set(of(full_gallery, path)) - set(
        of(full_gallery, path, quality_score=0)
    )


@pytest.mark.parametrize("path", SOURCES)
async def test_filters_together(full_gallery, path) -> None:
    asked = {"min_quality_score": 0.5, "creator_id": full_gallery.users[1], "tag": "sea", "exclude_tag": "sky"}
    body = await full_gallery.get(f"{path}/enhanced", **asked, page_size=100)

    expected = [
        item["id"]
        for item in full_gallery.items
        if item["id"] in of(full_gallery, path, creator_id=full_gallery.users[1])
        and item["quality_score"] >= 0.5
        and "sea" in item["tags"]
        and "sky" not in item["tags"]
    ]
    assert sorted(item["id"] for item in body["items"]) == sorted(expected)
    assert body["total"] == len(expected)


@pytest.mark.parametrize("path", SOURCES)
async def test_a_search_by_body_finds_what_the_parameters_find(full_gallery, path) -> None:
    body = {"search_term": "dark", "tags": ["sea", "sky"], "tag_match": "any", "exclude_tags": ["wood"]}
    found = await full_gallery.post(f"{path}/search", body, status=200)

    expected = await full_gallery.ids(path, search_term="dark", tag=["sea", "sky"], exclude_tag="wood", page_size=100)
    assert [item["id"] for item in found["items"]] == expected


async def test_cursors_of_a_search_hold_for_the_same_body(full_gallery) -> None:
    body = {"search_term": "dark"}
    seen: list[int] = []
    cursor: dict[str, str] = {}
    while True:
        response = await full_gallery.client.post(
            "/api/v1/content/search", json=body, params={"page_size": 2, **cursor}
        )
        page = response.json()
        seen += [item["id"] for item in page["items"]]
        if not page["pagination"]["next_cursor"]:
            break
        cursor = {"cursor": page["pagination"]["next_cursor"]}
        other = await full_gallery.problem(
            "POST", "/content/search", json={"search_term": "water"}, params={"page_size": 2, **cursor}
        )
        assert other == (400, "INVALID_CURSOR")
    assert seen == await full_gallery.ids("/content", search_term="dark", page_size=100)


async def test_metadata_is_searched_by_what_it_contains(gallery) -> None:
    ada = await gallery.user()
    sea = await gallery.item(ada, item_metadata={"category": "sea", "keywords": ["a", "b"], "nested": {"x": 1}})
    await gallery.item(ada, item_metadata={"category": "sky"})
    private = await gallery.item(ada, item_metadata={"category": "sea"}, is_private=True)

    for metadata in ({"category": "sea"}, {"keywords": ["b"]}, {"nested": {"x": 1}}):
        found = await gallery.post("/content/search", {"metadata": metadata}, status=200)
        assert [item["id"] for item in found["items"]] == [sea["id"]]
    own = await gallery.client.post(
        "/api/v1/content/search", json={"metadata": {"category": "sea"}}, params={"user_id": ada}
    )
    assert [item["id"] for item in own.json()["items"]] == [private["id"], sea["id"]]


async def test_recent_items_are_those_of_the_last_days(gallery) -> None:
    ada = await gallery.user()
    made = []
    for _ in range(4):
        made.append((await gallery.item(ada))["id"])
        gallery.clock.now += timedelta(days=3)

    assert await gallery.ids("/content/recent") == made[:1:-1]
    assert await gallery.ids("/content/recent", days=3) == made[:2:-1]
    assert await gallery.ids("/content/recent", days=12, sort_field="title") == made[::-1]
    assert (await gallery.get("/content/recent", days=6))["total"] == 2
    since = (gallery.clock.now - timedelta(days=7)).isoformat()
    found = await gallery.post("/content/search", {"created_after": since}, status=200)
    assert [item["id"] for item in found["items"]] == made[:1:-1]


@pytest.mark.parametrize("path", SOURCES)
async def test_an_overview_counts_what_this_viewer_sees(gallery, path) -> None:
    ada, bob = await gallery.user(), await gallery.user()
    await gallery.item(ada, path)
    await gallery.item(ada, path, content_type="text", is_private=True)
    await gallery.item(bob, path, content_type="text")

    def overview(total: int, own: int, own_private: int, text: int) -> dict[str, Any]:
        by_type = {"text": text, "image": 1, "video": 0, "audio": 0}
        return {"total": total, "by_content_type": by_type, "own": own, "own_private": own_private}

    assert await gallery.get(f"{path}/stats/overview") == overview(2, 0, 0, 1)
    assert await gallery.get(f"{path}/stats/overview", user_id=ada) == overview(3, 2, 1, 2)
    assert await gallery.get(f"{path}/stats/overview", user_id=bob) == overview(2, 1, 0, 1)


@pytest.mark.parametrize(
    ("method", "path", "more", "status"),
    [
        ("GET", "/by-type/paper", {}, 422),
        ("GET", "/by-creator/nobody", {}, 422),
        ("GET", "/recent", {"params": {"days": 0}}, 422),
        ("GET", "/recent", {"params": {"days": 10**9}}, 422),
        ("GET", "/top-rated", {"params": {"sort_field": "prompt; drop table users"}}, 422),
        ("GET", "/enhanced", {"params": {"min_quality_score": "nan"}}, 422),
        ("GET", "/enhanced", {"params": {"min_quality_score": 1.01}}, 422),
        ("GET", "/enhanced", {"params": {"tag_match": "some"}}, 400),
        ("GET", "/enhanced", {"params": {"creator_id": "user-123"}}, 422),
        ("GET", "/enhanced", {"params": {"cursor": "eyJjcmVhdGVk"}}, 400),
        ("GET", "/enhanced", {"params": {"page": 2}}, 404),
        ("GET", "/enhanced", {"params": {"page_size": 1001}}, 422),
        ("POST", "/search", {"json": {"colour": "red"}}, 422),
        ("POST", "/search", {"json": {"created_after": "yesterday"}}, 422),
        ("POST", "/search", {"json": {"created_after": "2026-01-01T00:00:00"}}, 422),
        ("POST", "/search", {"json": {"tags": ["x"] * 101}}, 422),
        ("POST", "/search", {"json": {"search_term": "x" * 501}}, 422),
    ],
)
@pytest.mark.parametrize("source", SOURCES)
async def test_a_list_that_cannot_be(bare_gallery, source, method, path, more, status) -> None:
    assert (await bare_gallery.problem(method, f"{source}{path}", **more))[0] == status


@pytest.mark.parametrize("source", SOURCES)
async def test_lists_answer_with_a_slash_too_and_are_no_ids(bare_gallery, source) -> None:
    for path in ("", "/enhanced", "/public", "/recent", "/top-rated", "/by-type/text", "/stats/overview"):
        response = await bare_gallery.client.get(f"/api/v1{source}{path}/")
        assert response.status_code == 200, response.text


@pytest.mark.parametrize("path", SOURCES)
async def test_an_item_says_what_was_done_with_it(gallery, path) -> None:
    ada, bob = await gallery.user(), await gallery.user()
    item = await gallery.item(ada, path)
    for user, kind in [(ada, "view"), (bob, "view"), (bob, "like")]:
        body = {"user_id": user, "content_item_id": item["id"], "interaction_type": kind}
        await gallery.post("/interactions", body)

    body = await gallery.get(f"{path}/{item['id']}/analytics")

    assert body == await gallery.get(f"/interactions/analytics/content/{item['id']}")
    assert (body["total_interactions"], body["unique_users"], body["by_type"]["view"]) == (3, 2, 2)


async def test_analytics_of_an_item_are_for_those_who_see_it(gallery) -> None:
    ada = await gallery.user()
    private, regular = await gallery.item(ada, is_private=True), await gallery.item(ada)

    assert await gallery.problem("GET", f"/content/{private['id']}/analytics") == (404, "NOT_FOUND")
    assert await gallery.problem("GET", f"/content-auto/{regular['id']}/analytics") == (404, "NOT_FOUND")
    assert (await gallery.get(f"/content/{private['id']}/analytics", user_id=ada))["total_interactions"] == 0
