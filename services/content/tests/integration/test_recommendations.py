"""Recommendations over HTTP: made by hand or generated, listed, served, judged, and shown to whom they may be."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from genonaut.content.recommendations.projection import recommendations_projection
from genonaut.content.tags.domain import id_of
from genonaut.platform.replay import Rebuild


async def like(gallery, user: str, *items: dict[str, Any], kind: str = "like", **more: Any) -> None:
    for item in items:
        body = {"user_id": user, "content_item_id": item["id"], "interaction_type": kind, **more}
        await gallery.post("/interactions", body)


def by_hand(user: str, item: dict[str, Any], **more: Any) -> dict[str, Any]:
    facts = {"recommendation_score": 0.5, "algorithm_version": "editors@1", "metadata": {"by": ["hand", 1.0]}}
    return {"user_id": user, "content_item_id": item["id"], **facts, **more}


async def make(gallery, user: str, item: dict[str, Any], **more: Any) -> dict[str, Any]:
    return await gallery.post("/recommendations", by_hand(user, item, **more))


async def generate(gallery, user: str, **more: Any) -> dict[str, Any]:
    return await gallery.post("/recommendations/generate", {"user_id": user, **more})


async def picked(gallery, user: str, **more: Any) -> list[int]:
    return [each["content_item_id"] for each in (await generate(gallery, user, **more))["items"]]


@pytest.mark.parametrize("path", ["/content", "/content-auto"])
async def test_a_recommendation_is_made_changed_judged_and_taken_back(gallery, path) -> None:
    ada, bob = await gallery.user(), await gallery.user()
    item = await gallery.item(ada, path)

    response = await gallery.client.post("/api/v1/recommendations", json=by_hand(bob, item))
    made = response.json()

    assert response.status_code == 201
    assert response.headers["location"] == f"/api/v1/recommendations/{made['id']}"
    assert made == {
        "id": made["id"],
        "user_id": bob,
        "content_item_id": item["id"],
        "content": {name: item[name] for name in ("id", "title", "source_type", "path_thumb")},
        "recommendation_score": 0.5,
        "algorithm_version": "editors@1",
        "metadata": {"by": ["hand", 1.0]},
        "reasons": [],
        "generated": False,
        "is_served": False,
        "served_at": None,
        "feedback": None,
        "comment": None,
        "created_at": "2026-01-02T03:04:05Z",
        "updated_at": "2026-01-02T03:04:05Z",
    }
    at = f"/recommendations/{made['id']}"
    assert await gallery.get(at) == made

    gallery.clock.now += timedelta(seconds=1)
    changed = await gallery.put(at, {"recommendation_score": 1, "metadata": {}})
    assert changed == made | {"recommendation_score": 1.0, "metadata": {}, "updated_at": "2026-01-02T03:04:06Z"}
    judged = await gallery.put(f"{at}/feedback", {"feedback": "like", "comment": "Yes"})
    assert (judged["feedback"], judged["comment"]) == ("like", "Yes")
    assert (await gallery.put(f"{at}/feedback", {"feedback": "clicked"}))["comment"] is None
    for same in ({}, {"recommendation_score": 1.0}):
        assert (await gallery.put(at, same))["feedback"] == "clicked"
    await gallery.done("DELETE", at)
    for method in ("GET", "PUT", "DELETE"):
        assert await gallery.problem(method, at, json={}) == (404, "NOT_FOUND")
    types = await gallery.rows("SELECT type FROM events WHERE stream LIKE 'recommendation-%' ORDER BY version")
    assert [kind.rpartition(".")[2] for (kind,) in types] == ["made", "changed", "judged", "judged", "deleted"]


WRONG: list[dict[str, Any]] = [
    {"user_id": "x"},
    {"user_id": str(uuid4())},
    {"content_item_id": 0},
    {"content_item_id": 999_999},
    {"content_item_id": True},
    {"recommendation_score": 1.1},
    {"recommendation_score": -0.1},
    {"recommendation_score": True},
    {"recommendation_score": None},
    {"algorithm_version": ""},
    {"algorithm_version": "x" * 101},
    {"metadata": []},
]


async def test_what_is_wrong_is_refused_and_makes_nothing(gallery) -> None:
    ada, bob = await gallery.user(), await gallery.user()
    item, secret = await gallery.item(ada), await gallery.item(ada, is_private=True)
    for wrong in [*WRONG, {"content_item_id": secret["id"]}]:
        body = by_hand(bob, item) | wrong
        assert await gallery.problem("POST", "/recommendations", json=body) == (422, "VALIDATION_ERROR"), wrong
        bulk = [by_hand(bob, item), body]
        assert await gallery.problem("POST", "/recommendations/bulk", json=bulk) == (422, "VALIDATION_ERROR"), wrong
    for body in ([], [by_hand(bob, item)] * 1001):
        assert await gallery.problem("POST", "/recommendations/bulk", json=body) == (422, "VALIDATION_ERROR")
    for wish in ({"limit": 0}, {"limit": 101}, {"algorithm_version": "magic"}, {"user_id": str(uuid4())}):
        body = {"user_id": bob, **wish}
        assert await gallery.problem("POST", "/recommendations/generate", json=body) == (422, "VALIDATION_ERROR"), wish
    for ids in ([], [0], ["x"], [1.5], [True]):
        body = {"recommendation_ids": ids}
        assert await gallery.problem("POST", "/recommendations/served", json=body) == (422, "VALIDATION_ERROR"), ids
    assert await gallery.rows("SELECT id FROM recommendations") == []

    made = await make(gallery, bob, item)
    for change in ({"recommendation_score": 2}, {"algorithm_version": None}, {"metadata": 1}):
        answer = await gallery.problem("PUT", f"/recommendations/{made['id']}", json=change)
        assert answer == (422, "VALIDATION_ERROR"), change
    for feedback in ({}, {"feedback": "meh"}, {"feedback": "like", "comment": "x" * 1001}):
        answer = await gallery.problem("PUT", f"/recommendations/{made['id']}/feedback", json=feedback)
        assert answer == (422, "VALIDATION_ERROR"), feedback
    stranger = uuid4()
    for path in (
        f"/users/{stranger}/recommendations",
        f"/users/{stranger}/recommendations/unserved",
        f"/recommendations/unserved/{stranger}",
        f"/recommendations/analytics/user/{stranger}",
        "/recommendations/999999",
    ):
        assert await gallery.problem("GET", path) == (404, "NOT_FOUND")


async def test_a_partial_bulk_says_of_each_what_became_of_it(gallery) -> None:
    ada, bob = await gallery.user(), await gallery.user()
    item = await gallery.item(ada)
    bodies = [by_hand(bob, item), {"user_id": 1}, by_hand(bob, {"id": 999_999}), by_hand(ada, item)]

    answer = await gallery.post("/recommendations/bulk?partial=true", bodies)

    assert [result["status"] for result in answer["results"]] == [201, 422, 422, 201]
    assert (answer["success"], answer["created"], answer["refused"]) == (False, 2, 2)
    assert [each["user_id"] for each in answer["items"]] == [bob, ada]
    assert answer["results"][1]["error"]
    nothing = await gallery.post("/recommendations/bulk?partial=true", bodies[1:3], status=200)
    assert (nothing["created"], nothing["items"]) == (0, [])


async def test_served_is_said_once_however_often_it_is_said(gallery) -> None:
    ada, bob = await gallery.user(), await gallery.user()
    made = [await make(gallery, user, await gallery.item(ada)) for user in (bob, bob, ada)]
    ids = [each["id"] for each in made]

    async def serve(*wanted: int, **more: Any) -> tuple[int, int, list[int]]:
        response = await gallery.client.post(
            "/api/v1/recommendations/served", params=more, json={"recommendation_ids": wanted}
        )
        assert response.status_code == 200, response.text
        answer = response.json()
        return answer["count"], answer["already_served"], answer["unknown"]

    assert await serve(*ids, 999, user_id=bob) == (2, 0, [ids[2], 999])
    gallery.clock.now += timedelta(minutes=1)
    answers = await asyncio.gather(*(serve(*ids, ids[0]) for _ in range(4)))
    assert sum(count for count, _, _ in answers) == 1
    first = await gallery.get(f"/recommendations/{ids[0]}")
    assert (first["is_served"], first["served_at"]) == (True, "2026-01-02T03:04:05Z")
    assert (await gallery.get(f"/recommendations/{ids[2]}"))["served_at"] == "2026-01-02T03:05:05Z"
    assert await gallery.ids(f"/users/{bob}/recommendations/unserved") == []


async def test_lists_are_sorted_paged_and_counted(gallery) -> None:
    ada, bob = await gallery.user(), await gallery.user()
    item = await gallery.item(ada)
    scores = [0.3, 0.9, 0.6, 0.9, 0.1]
    bodies = [
        by_hand([ada, bob][n % 2], item, recommendation_score=score, algorithm_version=f"a@{n % 2 + 1}")
        for n, score in enumerate(scores)
    ]
    ids = []
    for body in bodies:
        gallery.clock.now += timedelta(seconds=1)
        ids.append((await gallery.post("/recommendations", body))["id"])
    await gallery.post("/recommendations/served", {"recommendation_ids": ids[:2]}, status=200)
    by_score = [ids[n] for n in (3, 1, 2, 0, 4)]

    assert await gallery.ids("/recommendations/top-scoring") == by_score
    assert await gallery.ids("/recommendations/recent") == ids[::-1]
    served = await gallery.ids("/recommendations/recent", sort_field="served_at", sort_order="asc")
    assert served == [ids[n] for n in (0, 1, 2, 3, 4)]
    assert await gallery.ids("/recommendations/by-algorithm/a") == ids[::-1]
    assert await gallery.ids("/recommendations/by-algorithm/a@2") == [ids[3], ids[1]]
    assert (await gallery.get("/recommendations/by-algorithm/a@2"))["total"] == 2
    assert (await gallery.get("/recommendations/by-algorithm/b"))["total"] == 0
    assert await gallery.ids(f"/users/{ada}/recommendations") == [ids[4], ids[2], ids[0]]
    for path in (f"/users/{ada}/recommendations/unserved", f"/recommendations/unserved/{ada}"):
        assert await gallery.ids(path) == [ids[2], ids[4]]
    for sort in ("created_at", "recommendation_score", "served_at"):
        for order in ("asc", "desc"):
            asked: dict[str, Any] = {"sort_field": sort, "sort_order": order}
            whole = await gallery.get("/recommendations/top-scoring", **asked)
            found, page = [], await gallery.get("/recommendations/top-scoring", page_size=2, **asked)
            while True:
                assert page["total"] == len(ids)
                found += [each["id"] for each in page["items"]]
                if not (cursor := page["pagination"]["next_cursor"]):
                    break
                page = await gallery.get("/recommendations/top-scoring", page_size=2, cursor=cursor, **asked)
            assert found == [each["id"] for each in whole["items"]]
    assert await gallery.problem("GET", "/recommendations/recent?sort_field=title") == (422, "VALIDATION_ERROR")

    await gallery.put(f"/recommendations/{ids[0]}/feedback", {"feedback": "like"})
    mine = await gallery.get(f"/recommendations/analytics/user/{ada}", user_id=ada)
    assert mine == {
        "user_id": ada,
        "total_recommendations": 3,
        "served": 1,
        "unserved": 2,
        "average_score": 0.3333,
        "feedback": {"like": 1, "dislike": 0, "not_interested": 0, "clicked": 0},
        "by_algorithm": [
            {
                "algorithm_version": "a@1",
                "total": 3,
                "served": 1,
                "feedback": {"like": 1, "dislike": 0, "not_interested": 0, "clicked": 0},
            }
        ],
    }
    everyone = await gallery.get("/recommendations/analytics/global")
    assert (everyone["users"], everyone["total_recommendations"], everyone["served"]) == (2, 5, 2)
    assert [each["total"] for each in everyone["by_algorithm"]] == [3, 2]


async def test_people_who_like_the_same_are_asked_first_and_every_item_has_a_reason(gallery) -> None:
    maker = await gallery.user()
    ada, bob, eve = [await gallery.user() for _ in range(3)]
    shared, known, wanted, other = [await gallery.item(maker, tags=[f"tag-{n}"]) for n in range(4)]
    await like(gallery, bob, shared, wanted)
    await like(gallery, eve, other)
    await like(gallery, eve, other, kind="view")
    await like(gallery, ada, shared)
    await like(gallery, ada, known, kind="view")

    answer = await generate(gallery, ada)

    assert [each["content_item_id"] for each in answer["items"]] == [wanted["id"], other["id"]]
    assert answer["algorithm_version"] == "blend@1"
    first = answer["items"][0]
    assert first["metadata"] == {
        "algorithm": "collaborative_filtering",
        "confidence": first["recommendation_score"],
        "reasons": [f"because you liked #{shared['id']}", "by a creator you like"],
        "fallback_used": False,
        "computation_time_ms": answer["computation_time_ms"],
    }
    assert first["reasons"][0] == {
        "text": f"because you liked #{shared['id']}",
        "kind": "did",
        "interaction_type": "like",
        "content_item_id": shared["id"],
        "tags": [],
    }
    assert 0 < answer["items"][1]["recommendation_score"] < first["recommendation_score"] <= 1
    assert all(each["reasons"] for each in answer["items"])


async def test_who_is_new_is_recommended_what_is_popular_or_has_tags_they_like(gallery) -> None:
    maker, new, fan = [await gallery.user() for _ in range(3)]
    sea, sky, plain = [await gallery.item(maker, tags=tags) for tags in (["sea"], ["sky"], [])]
    await like(gallery, maker, plain)
    await gallery.done("POST", f"/tags/{id_of('sea')}/favorite", user_id=fan)

    popular = (await generate(gallery, new))["items"]
    assert [each["content_item_id"] for each in popular] == [plain["id"], sky["id"], sea["id"]]
    assert [each["metadata"]["reasons"] for each in popular] == [["popular now"]] * 3
    assert all(each["metadata"]["fallback_used"] for each in popular)
    liked = (await generate(gallery, fan))["items"][0]
    assert (liked["content_item_id"], liked["metadata"]["reasons"]) == (sea["id"], ["tags you like: sea"])
    assert liked["metadata"]["algorithm"] == "content_similarity"
    # What somebody makes says what they like, too.
    await gallery.item(new, tags=["sky"])
    assert (await picked(gallery, new))[0] == sky["id"]
    assert await picked(gallery, new, algorithm_version="popular", limit=1) == [plain["id"]]
    inactive = await gallery.user()
    await gallery.put(f"/users/{inactive}/status", {"is_active": False})
    problem = await gallery.problem("POST", "/recommendations/generate", json={"user_id": inactive})
    assert problem == (422, "VALIDATION_ERROR")


async def test_generating_again_replaces_what_nobody_has_seen_or_judged(gallery) -> None:
    maker, ada = await gallery.user(), await gallery.user()
    items = [await gallery.item(maker) for _ in range(4)]
    first = await generate(gallery, ada)
    await gallery.post("/recommendations/served", {"recommendation_ids": [first["items"][0]["id"]]}, status=200)
    hand = await make(gallery, ada, items[0])
    before = await gallery.rows("SELECT count(*) FROM events")

    again = await generate(gallery, ada)

    # The served one stays, and is made again: it was seen, not judged.
    assert [each["content_item_id"] for each in again["items"]] == [each["content_item_id"] for each in first["items"]]
    assert [each["id"] for each in again["items"][1:]] == [each["id"] for each in first["items"][1:]]
    assert await gallery.rows("SELECT count(*) FROM events") == [(before[0][0] + 1,)]
    assert (await gallery.get(f"/users/{ada}/recommendations", user_id=ada))["total"] == 6
    fewer = await generate(gallery, ada, limit=1)
    left = await gallery.ids(f"/users/{ada}/recommendations/unserved", sort_field="created_at")
    assert sorted(left) == sorted([hand["id"], fewer["items"][0]["id"]])

    await asyncio.gather(*(generate(gallery, ada) for _ in range(4)))
    unserved = (await gallery.get(f"/users/{ada}/recommendations/unserved"))["items"]
    generated = [each["content_item_id"] for each in unserved if each["generated"]]
    assert sorted(generated) == sorted(item["id"] for item in items)


async def test_what_is_not_wanted_does_not_come_again(gallery) -> None:
    maker, ada = await gallery.user(), await gallery.user()
    items = [await gallery.item(maker) for _ in range(3)]
    made = {each["content_item_id"]: each["id"] for each in (await generate(gallery, ada))["items"]}
    for item, feedback in zip(items, ("dislike", "not_interested", "like"), strict=True):
        await gallery.put(f"/recommendations/{made[item['id']]}/feedback", {"feedback": feedback})

    assert await picked(gallery, ada) == [items[2]["id"]]
    unserved = (await gallery.get(f"/recommendations/unserved/{ada}"))["items"]
    assert {each["content_item_id"] for each in unserved} == {items[2]["id"]}


async def test_deleting_and_privacy_take_effect_at_once(gallery) -> None:
    maker, ada, bob = [await gallery.user() for _ in range(3)]
    seed, shown, gone = [await gallery.item(maker, tags=["sea"]) for _ in range(3)]
    await like(gallery, bob, seed, shown, gone)
    await like(gallery, ada, seed)
    assert sorted(await picked(gallery, ada)) == [shown["id"], gone["id"]]
    row = (await gallery.get(f"/users/{ada}/recommendations/unserved"))["items"][0]
    assert row["reasons"][0]["content_item_id"] == seed["id"]

    own = {"user_id": maker}
    hide = f"/api/v1/content/{shown['id']}"
    assert (await gallery.client.put(hide, params=own, json={"is_private": True})).status_code == 200
    await gallery.delete(gone)

    assert await gallery.ids(f"/users/{ada}/recommendations/unserved") == []
    assert await gallery.ids("/recommendations/recent") == [  # what everybody could see stays when it is deleted
        each["id"]
        for each in (await gallery.get(f"/users/{ada}/recommendations", user_id=ada))["items"]
        if each["content_item_id"] == gone["id"]
    ]
    mine = (await gallery.get(f"/users/{ada}/recommendations", user_id=ada))["items"]
    assert [(each["content"], each["reasons"]) for each in mine] == [(None, [])] * 2
    hidden = next(each["id"] for each in mine if each["content_item_id"] == shown["id"])
    for viewer in ({}, {"user_id": bob}, own):
        assert await gallery.problem("GET", f"/recommendations/{hidden}", params=viewer) == (404, "NOT_FOUND")
    assert (await gallery.get("/recommendations/analytics/global"))["total_recommendations"] == 1
    assert (await gallery.get("/recommendations/by-algorithm/blend"))["total"] == 1
    assert (await gallery.get("/recommendations/by-algorithm/blend", user_id=ada))["total"] == 2
    assert await picked(gallery, ada) == []

    assert (await gallery.client.put(hide, params=own, json={"is_private": False})).status_code == 200
    assert await picked(gallery, ada) == [shown["id"]]
    # A seed that is not there for the user any more is neither a reason nor named as one.
    assert (
        await gallery.client.put(f"/api/v1/content/{seed['id']}", params=own, json={"is_private": True})
    ).status_code == 200
    named = (await gallery.get(f"/users/{ada}/recommendations/unserved"))["items"][0]
    assert all(each["content_item_id"] is None for each in named["reasons"])
    assert (await generate(gallery, ada))["items"][0]["metadata"]["reasons"] == ["popular now"]


async def test_only_whose_it_is_changes_it(gallery) -> None:
    ada, bob = await gallery.user(), await gallery.user()
    made = await make(gallery, bob, await gallery.item(ada))
    at = f"/recommendations/{made['id']}"
    for method, path, body in (
        ("PUT", at, {"recommendation_score": 0.1}),
        ("PUT", f"{at}/feedback", {"feedback": "like"}),
        ("DELETE", at, None),
    ):
        assert await gallery.problem(method, path, json=body, params={"user_id": ada}) == (404, "NOT_FOUND")
    assert await gallery.get(at) == made


async def test_many_who_serve_judge_generate_and_hide_at_once_leave_what_a_rebuild_makes(gallery) -> None:
    maker, *users = [await gallery.user() for _ in range(4)]
    items = [await gallery.item(maker) for _ in range(5)]

    async def use(user: str) -> None:
        for number in range(5):
            made = (await generate(gallery, user, limit=number + 1))["items"]
            ids = [each["id"] for each in made]
            if ids:
                await gallery.post("/recommendations/served", {"recommendation_ids": ids[::2]}, status=200)
                await gallery.client.put(f"/api/v1/recommendations/{ids[-1]}/feedback", json={"feedback": "clicked"})

    async def hide() -> None:
        for number in range(8):
            path = f"/api/v1/content/{items[number % 2]['id']}?user_id={maker}"
            answer = await gallery.client.put(path, json={"is_private": number % 4 < 2})
            assert answer.status_code == 200, answer.text

    async with asyncio.timeout(120):
        await asyncio.gather(*(use(user) for user in users), use(users[0]), hide())

    async with gallery.platform.database("content", as_owner=True) as owner:
        rebuild = Rebuild(recommendations_projection, service="content", database=owner, bus=None)
        report = await rebuild.run(swap=False, progress=lambda *_: None)
    assert report.equal, report
    assert sum(table.live_rows for table in report.tables) > 0
