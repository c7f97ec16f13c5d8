"""What can become of an item: edited, judged, deleted, put back; and what is known of it afterwards."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

PATHS = ["/content", "/content-auto"]


async def put(gallery, path: str, body: dict[str, Any], *, user_id: str | None = None) -> dict[str, Any]:
    response = await gallery.client.put(f"/api/v1{path}", json=body, params={"user_id": user_id} if user_id else {})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def events(gallery, item_id: int, **parameters: Any) -> list[str]:
    """What happened to it, the latest first, without where it all comes from."""
    body = await gallery.get(f"/content/{item_id}/history", **parameters)
    return [entry["event"].removeprefix("content.item.") for entry in body["items"]]


@pytest.mark.parametrize("path", PATHS)
async def test_what_is_given_changes_and_the_rest_stays(gallery, path) -> None:
    ada = await gallery.user()
    item = await gallery.item(ada, path, tags=["sea"], item_metadata={"a": 1}, content_data="kept")
    gallery.clock.now = gallery.clock.now.replace(year=2027)

    changed = await put(gallery, f"{path}/{item['id']}", {"title": "  Dusk ", "tags": ["sky", "new"]}, user_id=ada)

    moment = gallery.clock.now.isoformat().replace("+00:00", "Z")
    assert changed == {**item, "title": "Dusk", "tags": ["sky", "new"], "updated_at": moment}
    assert await gallery.get(f"{path}/{item['id']}") == changed
    assert await gallery.ids(path, tag="new") == [item["id"]]
    assert await gallery.ids(path, tag="sea") == []
    assert await gallery.ids(path, search_term="dusk") == [item["id"]]
    assert await gallery.ids(path, search_term="lighthouse") == [item["id"]]  # the prompt


async def test_nothing_new_changes_nothing(gallery) -> None:
    item = await gallery.item(await gallery.user(), tags=["sea"], item_metadata={"a": True})
    same = {name: item[name] for name in ("title", "item_metadata", "tags", "is_private", "content_data")}

    gallery.clock.now = gallery.clock.now.replace(year=2027)
    assert await put(gallery, f"/content/{item['id']}", {**same, "title": f" {item['title']} "}) == item
    assert await put(gallery, f"/content/{item['id']}", {}) == item
    assert await put(gallery, f"/content/{item['id']}", {"title": None, "tags": None, "is_private": None}) == item
    assert await put(gallery, f"/content/{item['id']}/quality", {"quality_score": 0.5}) == item
    assert await events(gallery, item["id"]) == ["created"]


async def test_metadata_is_compared_as_json(gallery) -> None:
    item = await gallery.item(await gallery.user(), item_metadata={"a": True})

    changed = await put(gallery, f"/content/{item['id']}", {"item_metadata": {"a": 1}})

    assert changed["item_metadata"] == {"a": 1}
    assert changed["item_metadata"]["a"] is not True


async def test_the_content_can_be_taken_away(gallery) -> None:
    item = await gallery.item(await gallery.user(), content_type="text", content_data="a text")

    assert (await put(gallery, f"/content/{item['id']}", {"content_data": None}))["content_data"] is None


@pytest.mark.parametrize(
    "body",
    [
        {"prompt": "another"},
        {"title": ""},
        {"title": "x" * 256},
        {"tags": ["?"]},
        {"tags": ["a"] * 101},
        {"tags": [str(uuid4())]},
        {"is_private": True, "is_public": True},
        {"quality_score": 0.1},
        {"item_metadata": []},
        {"creator_id": str(uuid4())},
    ],
)
async def test_a_change_that_cannot_be(gallery, body) -> None:
    item = await gallery.item(await gallery.user(), tags=["sea"])

    status, _ = await gallery.problem("PUT", f"/content/{item['id']}", json=body)

    assert status == 422
    assert await gallery.get(f"/content/{item['id']}") == item


@pytest.mark.parametrize("score", ["-0.1", "1.1", '"much"', "null", "1e400", "NaN"])
async def test_a_quality_that_cannot_be(gallery, score) -> None:
    item = await gallery.item(await gallery.user())

    status, _ = await gallery.problem(
        "PUT",
        f"/content/{item['id']}/quality",
        content=f'{{"quality_score": {score}}}',
        headers={"Content-Type": "application/json"},
    )

    assert status in {400, 422}
    assert await gallery.get(f"/content/{item['id']}") == item


@pytest.mark.parametrize("path", PATHS)
async def test_anybody_who_sees_an_item_may_judge_it(gallery, path) -> None:
    item = await gallery.item(await gallery.user(), path)

    judged = await put(gallery, f"{path}/{item['id']}/quality", {"quality_score": 0.75}, user_id=await gallery.user())

    assert judged["quality_score"] == 0.75
    assert await gallery.ids(f"{path}/top-rated") == [item["id"]]


async def test_only_its_creator_changes_an_item(gallery) -> None:
    ada, bob = await gallery.user(), await gallery.user()
    item = await gallery.item(ada)
    asked = {"params": {"user_id": bob}}

    for method, path, body in [
        ("PUT", "", {"title": "Mine"}),
        ("DELETE", "", None),
        ("POST", "/revert", {"version": 1}),
    ]:
        problem = await gallery.problem(method, f"/content/{item['id']}{path}", json=body, **asked)
        assert problem == (403, "NOT_THE_CREATOR")
    assert await gallery.get(f"/content/{item['id']}") == item


@pytest.mark.parametrize("path", PATHS)
async def test_a_deleted_item_is_gone_from_everywhere(gallery, path) -> None:
    ada = await gallery.user()
    kept, item = await gallery.item(ada, path, tags=["sea"]), await gallery.item(ada, path, tags=["sea"])

    response = await gallery.client.delete(f"/api/v1{path}/{item['id']}/", params={"user_id": ada})

    assert response.json() == {"success": True, "message": f"Content item {item['id']} is deleted"}
    assert await gallery.ids(path, tag="sea") == [kept["id"]]
    stats = await gallery.get("/content/stats/unified")
    assert sum(stats.values()) == 1
    for method, more, body in [
        ("GET", "", None),
        ("PUT", "", {"title": "x"}),
        ("DELETE", "", None),
        ("PUT", "/quality", {"quality_score": 1}),
        ("GET", "/history", None),
        ("POST", "/revert", {"version": 1}),
    ]:
        assert await gallery.problem(method, f"{path}/{item['id']}{more}", json=body) == (404, "NOT_FOUND")


async def test_the_automatic_source_knows_its_own_items_only(gallery) -> None:
    ada = await gallery.user()
    regular, auto = await gallery.item(ada), await gallery.item(ada, "/content-auto")

    for method, more, body in [("PUT", "", {"title": "x"}), ("DELETE", "", None), ("GET", "/history", None)]:
        path = f"/content-auto/{regular['id']}{more}"
        assert await gallery.problem(method, path, json=body) == (404, "NOT_FOUND")
    assert (await put(gallery, f"/content/{auto['id']}", {"title": "x"}))["title"] == "x"


async def test_an_item_has_a_history_and_a_way_back(gallery) -> None:
    item = await gallery.item(await gallery.user(), tags=["sea"], item_metadata={"a": 1})
    path = f"/content/{item['id']}"
    await put(gallery, path, {"title": "Dusk", "item_metadata": {}})
    await put(gallery, path, {"tags": ["sky", "wood"]})
    await put(gallery, f"{path}/quality", {"quality_score": 0.9})

    history = (await gallery.get(f"{path}/history"))["items"]
    assert [(entry["version"], entry["event"]) for entry in history] == [
        (4, "content.item.quality_changed"),
        (3, "content.item.retagged"),
        (2, "content.item.edited"),
        (1, "content.item.created"),
    ]
    assert [entry["data"] for entry in history[:3]] == [
        {"quality_score": 0.9},
        {"tags": ["sky", "wood"]},
        {"changes": {"title": "Dusk", "item_metadata": {}}},
    ]
    assert history[3]["data"]["tags"] == ["sea"]

    back = await gallery.post(f"{path}/revert", {"version": 1}, status=200)

    assert back == {**item, "quality_score": 0.9, "updated_at": back["updated_at"]}
    assert await events(gallery, item["id"]) == [
        "retagged",
        "edited",
        "quality_changed",
        "retagged",
        "edited",
        "created",
    ]
    assert await gallery.ids("/content", tag="sea") == [item["id"]]
    first = await gallery.get(f"{path}/history", page_size=4)
    then = await gallery.get(f"{path}/history", page_size=4, cursor=first["pagination"]["next_cursor"])
    assert [entry["version"] for entry in [*first["items"], *then["items"]]] == [6, 5, 4, 3, 2, 1]


@pytest.mark.parametrize(
    ("path", "shown", "stored"), [("/content", "regular", "items"), ("/content-auto", "auto", "auto")]
)
async def test_a_history_calls_the_source_as_items_do(gallery, path, shown, stored) -> None:
    item = await gallery.item(await gallery.user(), path)

    (created,) = (await gallery.get(f"{path}/{item['id']}/history"))["items"]

    assert created["data"]["source_type"] == item["source_type"] == shown
    said = "SELECT data->>'source_type' FROM events WHERE type = 'content.item.created'"
    assert await gallery.rows(said) == [(stored,)]


@pytest.mark.parametrize("version", [0, -1, 3, 2**40, "x"])
async def test_a_version_that_there_is_not(gallery, version) -> None:
    item = await gallery.item(await gallery.user())
    await put(gallery, f"/content/{item['id']}", {"title": "x"})

    status, _ = await gallery.problem("POST", f"/content/{item['id']}/revert", json={"version": version})

    assert status == 422


async def test_what_happened_in_private_stays_its_creators(gallery) -> None:
    ada, bob = await gallery.user(), await gallery.user()
    item = await gallery.item(ada, title="secret", tags=["hidden"], is_private=True)
    path = f"/content/{item['id']}"
    await put(gallery, path, {"title": "shown", "tags": ["sea"]}, user_id=ada)
    await put(gallery, path, {"is_public": True}, user_id=ada)
    await put(gallery, path, {"title": "shown more"}, user_id=ada)

    assert await events(gallery, item["id"], user_id=ada) == ["edited", "made_public", "retagged", "edited", "created"]
    for viewer in ({}, {"user_id": bob}):
        assert await events(gallery, item["id"], **viewer) == ["edited", "made_public"]
        assert "secret" not in str(await gallery.get(f"{path}/history", **viewer))
    assert await gallery.problem("POST", f"{path}/revert", json={"version": 3}) == (422, "VALIDATION_ERROR")
    assert (await gallery.post(f"{path}/revert", {"version": 4}, status=200))["title"] == "shown"
    secret = await gallery.client.post(f"/api/v1{path}/revert", json={"version": 1}, params={"user_id": ada})
    assert (secret.json()["title"], secret.json()["tags"]) == ("secret", ["hidden"])
    assert await gallery.ids("/tags", search="hidden") != []  # a public item has it now


async def test_a_private_item_is_changed_by_its_creator_only_and_is_there_for_nobody_else(gallery) -> None:
    ada, bob = await gallery.user(), await gallery.user()
    item = await gallery.item(ada, tags=["sea"])
    path = f"/content/{item['id']}"
    private = await put(gallery, path, {"is_private": True, "tags": ["sea", "hidden"]}, user_id=ada)
    assert (private["is_private"], private["is_public"]) == (True, False)

    for viewer in ({}, {"user_id": bob}):
        for method, more, body in [
            ("GET", "", None),
            ("PUT", "", {"title": "x"}),
            ("DELETE", "", None),
            ("PUT", "/quality", {"quality_score": 1}),
            ("GET", "/history", None),
            ("POST", "/revert", {"version": 1}),
        ]:
            problem = await gallery.problem(method, f"{path}{more}", json=body, params=viewer)
            assert problem == (404, "NOT_FOUND"), (method, more)
        assert await gallery.ids("/content", tag="sea", **viewer) == []
    assert await gallery.ids("/content", tag="sea", user_id=ada) == [item["id"]]
    assert await gallery.ids("/tags", search="hidden") == []


async def test_tags_are_everybodys_when_the_item_is(gallery) -> None:
    ada = await gallery.user()
    item = await gallery.item(ada, tags=["hidden"], is_private=True)

    await put(gallery, f"/content/{item['id']}", {"is_private": False}, user_id=ada)

    assert [tag["slug"] for tag in (await gallery.get("/tags"))["items"]] == ["hidden"]


async def test_changes_at_the_same_time_all_happen(gallery) -> None:
    item = await gallery.item(await gallery.user())
    path = f"/content/{item['id']}"

    await asyncio.gather(
        *(put(gallery, path, {"item_metadata": {"number": number}}) for number in range(6)),
        *(put(gallery, path, {"tags": [f"tag-{number}"]}) for number in range(6)),
    )

    assert sorted(await events(gallery, item["id"])) == ["created", *["edited"] * 6, *["retagged"] * 6]
    now = await gallery.get(path)
    assert await gallery.ids("/content", tag=now["tags"]) == [item["id"]]
    counted = await gallery.rows("SELECT sum(cardinality) FROM tag_cardinality_stats")
    assert counted == [(1,)]
