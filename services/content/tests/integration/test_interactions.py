"""What people do with items, over HTTP: recorded once, changed, taken back, listed, and shown to whom it may be."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from genonaut.content.interactions.counting import POPULARITY, TYPES


async def act(gallery, user: str, item: dict[str, Any], kind: str = "view", **more: Any) -> dict[str, Any]:
    body = {"user_id": user, "content_item_id": item["id"], "interaction_type": kind}
    return await gallery.post("/interactions", {**body, **({"rating": 3} if kind == "rate" else {}), **more})


@pytest.mark.parametrize("path", ["/content", "/content-auto"])
async def test_an_interaction_is_recorded_changed_and_taken_back(gallery, picture, path) -> None:
    ada, bob = await gallery.user(), await gallery.user()
    image = await gallery.image(picture(1))
    item = await gallery.item(ada, path, image=image["sha256"])

    response = await gallery.client.post(
        "/api/v1/interactions",
        json={
            "user_id": bob,
            "content_item_id": item["id"],
            "interaction_type": "rate",
            "rating": 4,
            "duration": 0,
            "metadata": {"device": "phone", "seen": [1, None]},
        },
    )
    recorded = response.json()

    assert response.status_code == 201
    assert response.headers["location"] == f"/api/v1/interactions/{recorded['id']}"
    assert recorded == {
        "id": recorded["id"],
        "user_id": bob,
        "content_item_id": item["id"],
        "content": {name: item[name] for name in ("id", "title", "source_type", "path_thumb")},
        "interaction_type": "rate",
        "rating": 4,
        "duration": 0,
        "metadata": {"device": "phone", "seen": [1, None]},
        "created_at": "2026-01-02T03:04:05Z",
        "updated_at": "2026-01-02T03:04:05Z",
    }
    path = f"/interactions/{recorded['id']}"
    assert await gallery.get(path) == recorded

    gallery.clock.now += timedelta(seconds=1)
    changed = await gallery.client.put(f"/api/v1{path}", json={"rating": 5, "duration": None, "metadata": {}})
    assert changed.status_code == 200
    assert changed.json() == recorded | {
        "rating": 5,
        "duration": None,
        "metadata": {},
        "updated_at": "2026-01-02T03:04:06Z",
    }
    assert await gallery.get(path) == changed.json()

    deleted = await gallery.client.delete(f"/api/v1{path}")
    assert (deleted.status_code, deleted.json()["success"]) == (200, True)
    for method in ("GET", "PUT", "DELETE"):
        assert await gallery.problem(method, path, json={}) == (404, "NOT_FOUND")
    types = await gallery.rows("SELECT type FROM events WHERE stream LIKE 'interaction-%' ORDER BY version")
    assert [kind.rpartition(".")[2] for (kind,) in types] == ["recorded", "changed", "deleted"]


async def test_a_change_that_changes_nothing_leaves_no_event(gallery) -> None:
    ada = await gallery.user()
    one = await act(gallery, ada, await gallery.item(ada), "rate", rating=2, metadata={"a": 1e22, "b": True})

    for same in ({}, {"rating": 2}, {"metadata": {"b": True, "a": 1e22}}):
        assert (await gallery.client.put(f"/api/v1/interactions/{one['id']}", json=same)).json() == one
    assert await gallery.rows("SELECT count(*) FROM events WHERE stream LIKE 'interaction-%'") == [(1,)]
    other = await gallery.client.put(f"/api/v1/interactions/{one['id']}", json={"metadata": {"b": 1, "a": 1e22}})
    assert other.json()["metadata"]["b"] == 1


async def test_only_whose_it_is_changes_it(gallery) -> None:
    ada, bob = await gallery.user(), await gallery.user()
    one = await act(gallery, bob, await gallery.item(ada), "like")
    path = f"/interactions/{one['id']}"

    for method in ("PUT", "DELETE"):
        assert await gallery.problem(method, path, json={}, params={"user_id": ada}) == (404, "NOT_FOUND")
    assert (await gallery.client.put(f"/api/v1{path}?user_id={bob}", json={"interaction_type": "share"})).json()[
        "interaction_type"
    ] == "share"
    assert await gallery.problem("PUT", path, json={"interaction_type": "rate"}) == (422, "VALIDATION_ERROR")


WRONG: list[dict[str, Any]] = [
    {"user_id": "x"},
    {"user_id": str(uuid4())},
    {"content_item_id": 0},
    {"content_item_id": 2**63},
    {"content_item_id": 999_999},
    {"content_item_id": True},
    {"interaction_type": "stare"},
    {"interaction_type": "rate"},
    {"interaction_type": "rate", "rating": None},
    {"rating": 0},
    {"rating": 6},
    {"rating": 2.5},
    {"rating": True},
    {"duration": -1},
    {"duration": 2**31},
    {"duration": 1.5},
    {"metadata": []},
    {"metadata": None},
    {"client_id": ""},
    {"client_id": "x" * 201},
]


async def test_what_cannot_be_recorded(gallery) -> None:
    ada = await gallery.user()
    item = await gallery.item(ada)
    sound = {"user_id": ada, "content_item_id": item["id"], "interaction_type": "view"}

    for wrong in WRONG:
        assert await gallery.problem("POST", "/interactions", json={**sound, **wrong}) == (422, "VALIDATION_ERROR")
        bulk = await gallery.client.post("/api/v1/interactions/bulk", json=[sound, {**sound, **wrong}])
        assert bulk.status_code == 422
        assert [error["loc"][:2] for error in bulk.json()["errors"]] == [["body", 1]], wrong
    for missing in sound:
        body = {name: value for name, value in sound.items() if name != missing}
        assert await gallery.problem("POST", "/interactions", json=body) == (422, "VALIDATION_ERROR")
    for body in ([], [sound] * 1001, {}, None):
        assert await gallery.problem("POST", "/interactions/bulk", json=body) == (422, "VALIDATION_ERROR")
    assert await gallery.rows("SELECT count(*) FROM user_interactions") == [(0,)]
    assert await gallery.rows("SELECT count(*) FROM interaction_totals") == [(0,)]


async def test_who_is_not_active_does_nothing(gallery) -> None:
    ada = await gallery.user()
    item = await gallery.item(ada)
    bob = await gallery.user()
    await gallery.put(f"/users/{bob}", {"is_active": False})

    body = {"user_id": bob, "content_item_id": item["id"], "interaction_type": "view"}
    answers = [
        await gallery.client.post("/api/v1/interactions", json={**body, "user_id": user})
        for user in (bob, str(uuid4()))
    ]
    assert [answer.status_code for answer in answers] == [422, 422]
    assert len({answer.json()["detail"] for answer in answers}) == 1


async def test_a_private_item_of_somebody_else_is_refused_as_one_that_does_not_exist(gallery) -> None:
    ada, bob = await gallery.user(), await gallery.user()
    secret = await gallery.item(ada, is_private=True)

    answers = [
        await gallery.client.post(
            "/api/v1/interactions", json={"user_id": bob, "content_item_id": item, "interaction_type": "view"}
        )
        for item in (secret["id"], 999_999)
    ]

    told = [{name: answer.json()[name] for name in ("status", "detail", "error_code", "errors")} for answer in answers]
    assert told[0] == told[1]
    assert told[0]["status"] == 422
    assert (await act(gallery, ada, secret))["content"]["id"] == secret["id"]


# A client's name for it


async def test_what_is_sent_again_is_recorded_once(gallery) -> None:
    ada, bob = await gallery.user(), await gallery.user()
    item = await gallery.item(ada)
    body = {
        "user_id": ada,
        "content_item_id": item["id"],
        "interaction_type": "rate",
        "rating": 4,
        "metadata": {"big": 1e22, "small": 1e-7, "yes": True},
    }
    named = {**body, "client_id": "click-1"}

    first = await gallery.post("/interactions", named)
    gallery.clock.now += timedelta(seconds=5)
    assert await gallery.post("/interactions", named, status=200) == first
    header = {"Idempotency-Key": "click-1"}
    by_header = await gallery.client.post("/api/v1/interactions", json=body, headers=header)
    assert (by_header.status_code, by_header.json()) == (200, first)

    for other in ({"rating": 5}, {"metadata": {}}, {"metadata": {**body["metadata"], "yes": 1}}, {"duration": 0}):
        assert await gallery.problem("POST", "/interactions", json={**named, **other}) == (409, "CLIENT_ID_TAKEN")
    assert (await gallery.post("/interactions", {**named, "user_id": bob}))["id"] != first["id"]
    assert (await gallery.post("/interactions", body))["id"] != first["id"]

    await gallery.client.put(f"/api/v1/interactions/{first['id']}", json={"rating": 1})
    assert await gallery.post("/interactions", named, status=200) == first
    await gallery.client.delete(f"/api/v1/interactions/{first['id']}")
    assert await gallery.post("/interactions", named, status=200) == first
    assert await gallery.problem("GET", f"/interactions/{first['id']}") == (404, "NOT_FOUND")


async def test_of_many_who_send_the_same_at_once_one_records_it(gallery) -> None:
    ada = await gallery.user()
    item = await gallery.item(ada)
    body = {"user_id": ada, "content_item_id": item["id"], "interaction_type": "like", "client_id": "x"}

    answers = await asyncio.gather(*(gallery.client.post("/api/v1/interactions", json=body) for _ in range(6)))

    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [201]
    assert len({answer.text for answer in answers}) == 1
    assert (await gallery.get("/interactions/analytics/global"))["total_interactions"] == 1


async def test_bulks_that_share_client_ids_in_any_order_record_each_once(gallery) -> None:
    ada = await gallery.user()
    item = await gallery.item(ada)
    bodies = [
        {"user_id": ada, "content_item_id": item["id"], "interaction_type": "view", "client_id": f"c{number}"}
        for number in range(20)
    ]

    answers = await asyncio.gather(
        *(gallery.post("/interactions/bulk?partial=true", order) for order in (bodies, bodies[::-1])),
        return_exceptions=True,
    )

    bulks = [answer for answer in answers if isinstance(answer, dict)]
    assert sum(bulk["recorded"] for bulk in bulks) == 20
    assert (await gallery.get("/interactions/recent"))["total"] == 20


# Many at once


async def test_a_bulk_is_all_or_nothing_unless_a_part_will_do(gallery) -> None:
    ada, bob = await gallery.user(), await gallery.user()
    item, secret = await gallery.item(ada), await gallery.item(ada, is_private=True)

    def body(user: str, item: dict[str, Any], **more: Any) -> dict[str, Any]:
        return {"user_id": user, "content_item_id": item["id"], "interaction_type": "view", **more}

    taken = await gallery.post("/interactions", body(bob, item, client_id="taken"))
    bodies = [
        body(bob, item, client_id="a"),
        body(bob, secret),
        body(bob, item, rating=9),
        body(bob, item, client_id="a"),
        body(bob, item, client_id="a", duration=3),
        body(bob, item, client_id="taken"),
        body(ada, secret),
        "no interaction",
    ]

    assert await gallery.problem("POST", "/interactions/bulk", json=bodies) == (422, "VALIDATION_ERROR")
    refused = await gallery.client.post("/api/v1/interactions/bulk", json=bodies[:2])
    assert (refused.status_code, refused.json()["errors"][0]["loc"]) == (422, ["body", 1, "content_item_id"])
    both = [bodies[0], bodies[4]]
    assert await gallery.problem("POST", "/interactions/bulk", json=both) == (409, "CLIENT_ID_TAKEN")
    assert (await gallery.get(f"/interactions/by-user/{bob}"))["total"] == 1

    answer = await gallery.post("/interactions/bulk?partial=true", bodies)
    statuses = [result["status"] for result in answer["results"]]
    assert statuses == [201, 422, 422, 200, 409, 200, 201, 422]
    assert [result["index"] for result in answer["results"]] == list(range(8))
    assert [answer[name] for name in ("success", "recorded", "repeated", "refused")] == [False, 2, 2, 4]
    results = answer["results"]
    assert results[0]["id"] == results[3]["id"]
    assert results[5]["id"] == taken["id"]
    assert [bool(result["error"]) for result in results] == [result["id"] is None for result in results]
    assert (await gallery.get(f"/interactions/by-user/{bob}"))["total"] == 2

    nothing = await gallery.post("/interactions/bulk?partial=true", [{}, 7, {"user_id": bob}], status=200)
    assert [result["status"] for result in nothing["results"]] == [422] * 3
    whole = await gallery.post("/interactions/bulk", [bodies[0], bodies[6]])
    assert ([result["status"] for result in whole["results"]], whole["success"]) == ([200, 201], True)


async def test_a_bulk_with_a_key_is_recorded_once(gallery) -> None:
    ada = await gallery.user()
    item = await gallery.item(ada)
    bodies = [{"user_id": ada, "content_item_id": item["id"], "interaction_type": kind} for kind in ("like", "view")]
    header = {"Idempotency-Key": "batch"}

    answers = [await gallery.client.post("/api/v1/interactions/bulk", json=bodies, headers=header) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [201, 200]
    ids = [[result["id"] for result in answer.json()["results"]] for answer in answers]
    assert ids[0] == ids[1]
    assert (await gallery.get(f"/users/{ada}/interactions"))["total"] == 2


async def test_a_thousand_at_once(gallery) -> None:
    ada = await gallery.user()
    items = [await gallery.item(ada) for _ in range(3)]
    bodies = [
        {"user_id": ada, "content_item_id": items[n % 3]["id"], "interaction_type": TYPES[n % 6]} for n in range(1000)
    ]

    answer = await gallery.post("/interactions/bulk", bodies)

    assert answer["recorded"] == 1000
    listed = await gallery.get(f"/users/{ada}/interactions", page_size=1000)
    assert listed["total"] == len(listed["items"]) == 1000
    # The log keeps the order in which they were sent.
    told = await gallery.rows("SELECT data->>'interaction_type' FROM events WHERE stream ~ '^inter' ORDER BY position")
    assert [kind for (kind,) in told] == [body["interaction_type"] for body in bodies]


# Lists


async def test_lists_have_what_they_say_in_every_order(gallery) -> None:
    ada, bob = await gallery.user("ada"), await gallery.user()
    items = [await gallery.item(ada), await gallery.item(ada, "/content-auto")]
    made = []
    for number in range(30):
        gallery.clock.now += timedelta(seconds=number % 2)
        kind = TYPES[number % 7]
        made.append(
            await act(
                gallery,
                [ada, bob][number % 3 == 0],
                items[number % 4 == 0],
                kind,
                **({"rating": number % 5 + 1} if kind in {"rate", "like"} else {}),
                **({"duration": number % 4} if number % 5 else {}),
            )
        )
    lists = {
        "/interactions/recent": (made, ["created_at"]),
        "/interactions/top-rated": ([one for one in made if one["rating"]], ["rating"]),
        "/interactions/by-type/like": (
            [one for one in made if one["interaction_type"] == "like"],
            ["created_at", "rating", "duration"],
        ),
        f"/interactions/by-user/{bob}": (
            [one for one in made if one["user_id"] == bob],
            ["created_at", "rating", "duration"],
        ),
        f"/users/{bob}/interactions": (
            [one for one in made if one["user_id"] == bob],
            ["created_at", "rating", "duration"],
        ),
        f"/interactions/by-content/{items[1]['id']}": (
            [one for one in made if one["content_item_id"] == items[1]["id"]],
            ["created_at", "rating", "duration"],
        ),
    }
    for path, (expected, sorts) in lists.items():
        for sort in sorts:
            for order in ("asc", "desc"):
                there = sorted(
                    (one for one in expected if one[sort] is not None), key=lambda one: (one[sort], one["id"])
                )
                missing = [one for one in expected if one[sort] is None]
                if order == "desc":
                    there, missing = there[::-1], missing[::-1]
                for viewer in ({}, {"user_id": ada}):
                    asked = {"sort_field": sort, "sort_order": order, "page_size": 4, **viewer}
                    walked = await walk(gallery, path, asked)
                    assert walked == there + missing, (path, sort, order, viewer)
                    by_number = await gallery.get(path, **asked, page=2)
                    assert by_number["items"] == walked[4:8]
                    assert by_number["total"] == len(expected)
        newest = (await gallery.get(path))["items"]
        assert newest[0][sorts[0]] == max(one[sorts[0]] for one in expected)
        assert await gallery.problem("GET", f"{path}?sort_field=id") == (422, "VALIDATION_ERROR")


async def walk(gallery, path: str, asked: dict[str, Any]) -> list[dict[str, Any]]:
    """The list by its cursors, and the same backwards."""
    body = await gallery.get(path, **asked)
    found = list(body["items"])
    pages = [body["items"]]
    while cursor := body["pagination"]["next_cursor"]:
        body = await gallery.get(path, **asked, cursor=cursor)
        assert body["skip"] == len(found)
        found += body["items"]
        pages.append(body["items"])
    while cursor := body["pagination"]["prev_cursor"]:
        pages.pop()
        body = await gallery.get(path, **asked, cursor=cursor)
        assert body["items"] == pages[-1]
    return found


async def test_nobody_and_nothing(bare_gallery) -> None:
    stranger = uuid4()
    unknown = [
        f"/interactions/by-user/{stranger}",
        f"/users/{stranger}/interactions",
        f"/interactions/analytics/user-behavior/{stranger}",
        "/interactions/by-content/999",
        "/interactions/analytics/content/999",
        "/interactions/999",
    ]
    for path in unknown:
        assert await bare_gallery.problem("GET", path) == (404, "NOT_FOUND")
    for path in (
        "/interactions/by-type/stare",
        "/interactions/by-user/17",
        "/interactions/by-content/x",
        "/interactions/0",
        "/interactions/analytics/global?days=0",
        "/interactions/analytics/content/1?days=366",
    ):
        assert await bare_gallery.problem("GET", path) == (422, "VALIDATION_ERROR")
    for path in ("/interactions/recent", "/interactions/top-rated", "/interactions/by-type/view"):
        assert (await bare_gallery.get(path))["items"] == []
    assert (await bare_gallery.get("/interactions/analytics/global/"))["total_interactions"] == 0
    assert await bare_gallery.problem("GET", "/interactions") == (405, "METHOD_NOT_ALLOWED")


# What it adds up to


async def test_what_a_user_does(gallery) -> None:
    ada, bob = await gallery.user("ada"), await gallery.user("bob")
    first, second = await gallery.item(ada), await gallery.item(bob, "/content-auto", content_type="video")
    nobody = await gallery.get(f"/interactions/analytics/user-behavior/{ada}")
    assert (nobody["total_interactions"], nobody["first_interaction_at"], nobody["ratings"]["average"]) == (
        0,
        None,
        None,
    )

    await act(gallery, ada, second, "rate", rating=4, duration=10)  # on Friday at 3
    gallery.clock.now += timedelta(days=3, hours=21)
    await act(gallery, ada, second, "rate", rating=5)  # on Tuesday at 0
    await act(gallery, ada, first, "view", duration=5)

    assert await gallery.get(f"/interactions/analytics/user-behavior/{ada}", user_id=bob) == {
        "user_id": ada,
        "total_interactions": 3,
        "by_type": {**dict.fromkeys(TYPES, 0), "rate": 2, "view": 1},
        "by_content_type": {"image": 1, "video": 2},
        "by_source": {"regular": 1, "auto": 2},
        "by_hour": [2, 0, 0, 1] + [0] * 20,
        "by_weekday": [0, 2, 0, 0, 1, 0, 0],
        "ratings": {"count": 2, "average": 4.5, "histogram": {"1": 0, "2": 0, "3": 0, "4": 1, "5": 1}},
        "duration": {"count": 2, "total_seconds": 15, "average_seconds": 7.5},
        "first_interaction_at": "2026-01-02T03:04:05Z",
        "last_interaction_at": "2026-01-06T00:04:05Z",
        "active_days": 2,
        "top_items": [
            {
                "content_item_id": item["id"],
                "content": {name: item[name] for name in ("id", "title", "source_type", "path_thumb")},
                "interactions": count,
            }
            for item, count in ((second, 2), (first, 1))
        ],
        "top_creators": [
            {"creator_id": bob, "creator_username": "bob", "interactions": 2},
            {"creator_id": ada, "creator_username": "ada", "interactions": 1},
        ],
    }


async def test_what_is_done_with_an_item_and_all_in_all(gallery) -> None:
    ada, bob = await gallery.user(), await gallery.user()
    item, other = await gallery.item(ada), await gallery.item(ada)
    await act(gallery, bob, item, "view", duration=7)
    await act(gallery, bob, item, "like")
    gallery.clock.now += timedelta(days=30)
    await act(gallery, ada, item, "rate", rating=2)
    await act(gallery, ada, other, "share", rating=3)

    numbers = await gallery.get(f"/interactions/analytics/content/{item['id']}")
    assert numbers == {
        "content_item_id": item["id"],
        "content": {name: item[name] for name in ("id", "title", "source_type", "path_thumb")},
        "total_interactions": 3,
        "unique_users": 2,
        "by_type": {**dict.fromkeys(TYPES, 0), "view": 1, "like": 1, "rate": 1},
        "ratings": {"count": 1, "average": 2.0, "histogram": {"1": 0, "2": 1, "3": 0, "4": 0, "5": 0}},
        "duration": {"count": 1, "total_seconds": 7, "average_seconds": 7.0},
        "by_day": [{"date": "2026-02-01", "interactions": 1}],
    }
    days = (await gallery.get(f"/interactions/analytics/content/{item['id']}", days=31))["by_day"]
    assert days == [{"date": "2026-01-02", "interactions": 2}, {"date": "2026-02-01", "interactions": 1}]
    assert await gallery.get("/interactions/analytics/global", days=31) == {
        "total_interactions": 4,
        "users": 2,
        "items": 2,
        "by_type": {**dict.fromkeys(TYPES, 0), "view": 1, "like": 1, "rate": 1, "share": 1},
        "ratings": {"count": 2, "average": 2.5, "histogram": {"1": 0, "2": 1, "3": 1, "4": 0, "5": 0}},
        "by_day": [{"date": "2026-01-02", "interactions": 2}, {"date": "2026-02-01", "interactions": 2}],
    }
    popular = await gallery.rows("SELECT item_id, popularity FROM item_popularity ORDER BY popularity DESC")
    assert popular == [
        (other["id"], POPULARITY["share"]),
        (item["id"], POPULARITY["view"] + POPULARITY["like"] + POPULARITY["rate"]),
    ]
