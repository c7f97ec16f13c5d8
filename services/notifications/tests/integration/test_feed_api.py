"""The notification routes, over the real database."""

from datetime import timedelta
from uuid import uuid4

import pytest
import pytest_asyncio

URL = "/api/v1/notifications"


@pytest_asyncio.fixture
async def ada(world, running):
    """A user with three notifications, a second apart: completed, failed, cancelled."""
    user_id = await world.register()
    await world.all_heard()
    for end in (world.publish_job, world.fail_job, world.cancel_job):
        await end(user_id)
        await world.all_heard()
        world.clock.now += timedelta(seconds=1)
    return str(user_id)


async def listed(running, user_id, **parameters):
    answer = await running.client.get(URL, params={"user_id": user_id, **parameters})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_the_list_is_newest_first_and_has_both_shapes(running, ada) -> None:
    body = await listed(running, ada)

    assert [item["notification_type"] for item in body["items"]] == ["job_cancelled", "job_failed", "job_completed"]
    assert (body["total"], body["skip"], body["limit"], body["has_more"]) == (3, 0, 50, False)
    assert body["pagination"]["total_count"] == 3
    assert body["items"][-1] == {
        "id": body["items"][-1]["id"],
        "user_id": ada,
        "title": "Generation Complete",
        "message": "Your image generation has completed successfully!",
        "notification_type": "job_completed",
        "read_status": False,
        "related_job_id": 1,
        "related_content_id": 101,
        "created_at": "2026-01-02T03:04:05Z",
        "read_at": None,
    }


async def test_the_list_pages_by_cursor_forwards_and_backwards(running, ada) -> None:
    first = await listed(running, ada, page_size=2)
    second = await listed(running, ada, page_size=2, cursor=first["pagination"]["next_cursor"])
    back = await listed(running, ada, page_size=2, cursor=second["pagination"]["prev_cursor"])

    assert [len(page["items"]) for page in (first, second)] == [2, 1]
    assert back["items"] == first["items"]


async def test_the_list_is_filtered_by_type_and_by_unread(running, ada) -> None:
    completed = (await listed(running, ada, notification_types="job_completed"))["items"][0]
    await running.client.put(f"{URL}/{completed['id']}/read", params={"user_id": ada})

    both = await listed(running, ada, notification_types=["job_completed", "job_failed"])
    unread = await listed(running, ada, unread_only=True)
    neither = await listed(running, ada, unread_only=True, notification_types="job_completed")

    assert [item["notification_type"] for item in both["items"]] == ["job_failed", "job_completed"]
    assert [item["notification_type"] for item in unread["items"]] == ["job_cancelled", "job_failed"]
    assert neither["items"] == []


async def test_somebody_without_notifications_has_an_empty_list(running, ada) -> None:
    body = await listed(running, uuid4())

    assert (body["items"], body["total"]) == ([], 0)


async def test_reading_sets_read_at_once(world, running, ada) -> None:
    item = (await listed(running, ada))["items"][0]
    url = f"{URL}/{item['id']}"

    first = await running.client.put(f"{url}/read", params={"user_id": ada})
    world.clock.now += timedelta(hours=1)
    again = await running.client.put(f"{url}/read/", params={"user_id": ada})
    seen = await running.client.get(url, params={"user_id": ada})

    assert first.json() == {**item, "read_status": True, "read_at": "2026-01-02T03:04:08Z"}
    assert again.json() == seen.json() == first.json()


async def test_the_unread_are_counted_until_all_are_read(running, ada) -> None:
    async def unread(user_id):
        return (await running.client.get(f"{URL}/unread/count", params={"user_id": user_id})).json()

    assert await unread(ada) == {"unread_count": 3}
    assert await unread(uuid4()) == {"unread_count": 0}

    answer = await running.client.put(f"{URL}/read-all", params={"user_id": ada})
    assert answer.json() == {"success": True, "message": "Marked 3 notifications as read", "updated_count": 3}
    assert await unread(ada) == {"unread_count": 0}
    assert {item["read_at"] for item in (await listed(running, ada))["items"]} == {"2026-01-02T03:04:08Z"}

    again = await running.client.put(f"{URL}/read-all", params={"user_id": ada})
    assert again.json()["updated_count"] == 0


async def test_reading_all_goes_on_past_one_transaction_and_leaves_others_alone(
    world, running, ada, monkeypatch
) -> None:
    monkeypatch.setattr("genonaut.notifications.feed.commands.AT_ONCE", 2)
    bob = str(await world.register())
    await world.publish_job(bob)
    await world.all_heard()

    answer = await running.client.put(f"{URL}/read-all", params={"user_id": ada})

    assert answer.json()["updated_count"] == 3
    assert (await listed(running, bob, unread_only=True))["total"] == 1


@pytest.mark.parametrize(("method", "suffix"), [("GET", ""), ("PUT", "/read")])
async def test_anothers_notification_is_as_unknown_as_one_that_never_was(running, ada, method, suffix) -> None:
    theirs = (await listed(running, ada))["items"][0]["id"]

    for notification_id, user_id in ((theirs, uuid4()), (10**9, ada), (2**63 - 1, ada)):
        url = f"{URL}/{notification_id}{suffix}"
        answer = await running.client.request(method, url, params={"user_id": str(user_id)})
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["error_code"] == "NOT_FOUND"
    assert (await listed(running, ada, unread_only=True))["total"] == 3


WRONG = [
    ("GET", "", {}),
    ("GET", "", {"user_id": "ada"}),
    ("GET", "", {"user_id": uuid4(), "notification_types": "gossip"}),
    ("GET", "", {"user_id": uuid4(), "unread_only": "perhaps"}),
    ("GET", "", {"user_id": uuid4(), "page_size": 1001}),
    ("GET", "", {"user_id": uuid4(), "page": 0}),
    ("GET", "", {"user_id": uuid4(), "sort_field": "message; DROP TABLE events"}),
    ("GET", "/unread/count", {}),
    ("GET", "/unread/count", {"user_id": "1"}),
    ("GET", "/one", {"user_id": uuid4()}),
    ("GET", "/0", {"user_id": uuid4()}),
    ("GET", f"/{2**63}", {"user_id": uuid4()}),
    ("GET", "/1", {}),
    ("PUT", "/one/read", {"user_id": uuid4()}),
    ("PUT", "/1/read", {}),
    ("PUT", "/read-all", {}),
    ("PUT", "/read-all", {"user_id": "\0"}),
]


async def test_wrong_input_is_422(running) -> None:
    for method, path, parameters in WRONG:
        answer = await running.client.request(method, URL + path, params=parameters)

        assert answer.status_code == 422, (method, path, parameters, answer.text)
        assert answer.json()["success"] is False
        assert answer.json()["errors"]


async def test_a_bad_cursor_is_400_and_a_page_after_the_last_is_404(running, ada) -> None:
    cursor = (await listed(running, ada, page_size=1))["pagination"]["next_cursor"]

    forged = await running.client.get(URL, params={"user_id": ada, "cursor": "forged"})
    anothers = await running.client.get(URL, params={"user_id": str(uuid4()), "cursor": cursor})
    beyond = await running.client.get(URL, params={"user_id": ada, "page": 9})

    assert (forged.status_code, forged.json()["error_code"]) == (400, "INVALID_CURSOR")
    assert (anothers.status_code, anothers.json()["error_code"]) == (400, "INVALID_CURSOR")
    assert (beyond.status_code, beyond.json()["error_code"]) == (404, "PAGE_OUT_OF_RANGE")


async def test_an_oversized_body_is_413_and_an_unknown_method_405(running, ada) -> None:
    big = await running.client.put(f"{URL}/read-all", params={"user_id": ada}, content=b" " * (2 << 20))
    wrong = await running.client.patch(URL, params={"user_id": ada})

    assert (big.status_code, wrong.status_code) == (413, 405)
