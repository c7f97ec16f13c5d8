"""What is done with a private item is its creator's to see, and in the user's own history; others see none of it."""

from typing import Any
from uuid import UUID

import pytest

from genonaut.content.interactions.queries import totals_of_user


async def act(gallery, user: str, item: dict[str, Any], kind: str = "view", **more: Any) -> int:
    body = {"user_id": user, "content_item_id": item["id"], "interaction_type": kind, **more}
    return (await gallery.post("/interactions", body))["id"]


async def happen(gallery, item: dict[str, Any], *, private: bool | None) -> None:
    """The item becomes private or public, or, with None, is deleted."""
    path, own = f"/api/v1/content/{item['id']}", {"user_id": item["creator_id"]}
    if private is None:
        response = await gallery.client.delete(path, params=own)
    else:
        response = await gallery.client.put(path, params=own, json={"is_private": private})
    assert response.status_code == 200, response.text


async def everything(gallery, users: list[str], viewer: str | None) -> list[Any]:
    asked = {"user_id": viewer} if viewer else {}
    paths = [
        "/interactions/recent",
        "/interactions/top-rated",
        "/interactions/by-type/view",
        "/interactions/by-type/rate",
        "/interactions/analytics/global",
        *(f"/interactions/by-user/{user}" for user in users),
        *(f"/users/{user}/interactions" for user in users),
        *(f"/interactions/analytics/user-behavior/{user}" for user in users),
    ]
    return [await gallery.get(path, **asked) for path in paths]


@pytest.mark.parametrize("path", ["/content", "/content-auto"])
async def test_what_is_done_in_private_changes_nothing_for_others(gallery, path) -> None:
    ada, bob = await gallery.user("ada"), await gallery.user("bob")
    shown = await gallery.item(bob)
    await act(gallery, ada, shown)
    secret = await gallery.item(ada, path, is_private=True)
    before = {viewer: await everything(gallery, [ada, bob], viewer) for viewer in (None, bob)}

    done = [await act(gallery, ada, secret), await act(gallery, ada, secret, "rate", rating=5, duration=9)]

    assert {viewer: await everything(gallery, [ada, bob], viewer) for viewer in (None, bob)} == before
    for viewer in ({}, {"user_id": bob}):
        for hidden in (
            f"/interactions/{done[0]}",
            f"/interactions/by-content/{secret['id']}",
            f"/interactions/analytics/content/{secret['id']}",
        ):
            assert await gallery.problem("GET", hidden, params=viewer) == (404, "NOT_FOUND")
        for method in ("PUT", "DELETE"):
            problem = await gallery.problem(method, f"/interactions/{done[0]}", params=viewer, json={})
            assert problem == (404, "NOT_FOUND")

    mine = {"user_id": ada}
    assert await gallery.ids("/interactions/recent", **mine) == [*done[::-1], done[0] - 1]
    assert await gallery.ids("/interactions/top-rated", **mine) == done[1:]
    assert await gallery.ids("/interactions/by-type/view", **mine) == [done[0], done[0] - 1]
    assert await gallery.ids(f"/interactions/by-content/{secret['id']}", **mine) == done[::-1]
    assert (await gallery.get(f"/interactions/{done[0]}", **mine))["content"]["id"] == secret["id"]
    behavior = await gallery.get(f"/interactions/analytics/user-behavior/{ada}", **mine)
    assert (behavior["total_interactions"], behavior["ratings"]["count"]) == (3, 1)
    assert behavior["top_items"][0]["content"]["id"] == secret["id"]
    assert (await gallery.get(f"/interactions/analytics/content/{secret['id']}", **mine))["unique_users"] == 1
    async with gallery.runtime.database.reading() as connection:
        asked = [await totals_of_user(connection, UUID(ada), viewer=who) for who in (None, UUID(bob), UUID(ada))]
    assert asked == [{"interactions": 1, "ratings": 0}] * 2 + [{"interactions": 3, "ratings": 1}]


async def test_an_item_that_becomes_private_takes_what_was_done_with_it_along(gallery) -> None:
    ada, bob, eve = [await gallery.user(name) for name in ("ada", "bob", "eve")]
    shown = await gallery.item(bob)
    await act(gallery, bob, shown)
    users = [ada, bob, eve]
    before = {viewer: await everything(gallery, users, viewer) for viewer in (None, eve)}
    item = await gallery.item(ada)
    liked = await act(gallery, bob, item, "rate", rating=5, duration=3)
    seen = await everything(gallery, users, eve)

    await happen(gallery, item, private=True)

    assert {viewer: await everything(gallery, users, viewer) for viewer in (None, eve)} == before
    # It is bob's deed and ada's item: each has their part of it.
    history = await gallery.get(f"/users/{bob}/interactions", user_id=bob)
    assert [(one["id"], one["content"] and one["content"]["id"]) for one in history["items"]] == [
        (liked, None),
        (liked - 1, shown["id"]),
    ]
    assert (await gallery.get(f"/interactions/{liked}", user_id=bob))["content"] is None
    behavior = await gallery.get(f"/interactions/analytics/user-behavior/{bob}", user_id=bob)
    assert (behavior["total_interactions"], behavior["top_items"][0]["content"]) == (2, None)
    assert (await gallery.get(f"/interactions/{liked}", user_id=ada))["content"]["id"] == item["id"]
    assert await gallery.ids("/interactions/top-rated", user_id=ada) == [liked]
    assert await gallery.ids("/interactions/top-rated", user_id=bob) == []
    assert await gallery.problem("GET", f"/interactions/by-content/{item['id']}?user_id={bob}") == (404, "NOT_FOUND")
    body = {"user_id": bob, "content_item_id": item["id"], "interaction_type": "view"}
    assert await gallery.problem("POST", "/interactions", json=body) == (422, "VALIDATION_ERROR")

    await happen(gallery, item, private=False)
    assert await everything(gallery, users, eve) == seen


async def test_what_was_done_stays_when_the_item_goes(gallery) -> None:
    ada, bob = await gallery.user(), await gallery.user()
    item, secret = await gallery.item(ada), await gallery.item(ada, is_private=True)
    done, hidden = await act(gallery, bob, item, "like"), await act(gallery, ada, secret)

    for gone in (item, secret):
        await happen(gallery, gone, private=None)

    assert [(one["id"], one["content"]) for one in (await gallery.get("/interactions/recent"))["items"]] == [
        (done, None)
    ]
    assert (await gallery.get(f"/interactions/by-content/{item['id']}"))["total"] == 1
    numbers = await gallery.get(f"/interactions/analytics/content/{item['id']}")
    assert (numbers["content"], numbers["total_interactions"]) == (None, 1)
    assert await gallery.problem("GET", f"/interactions/{hidden}") == (404, "NOT_FOUND")
    assert await gallery.problem("GET", f"/interactions/by-content/{secret['id']}") == (404, "NOT_FOUND")
    assert await gallery.ids(f"/users/{ada}/interactions", user_id=ada) == [hidden]
    assert (await gallery.client.delete(f"/api/v1/interactions/{done}")).status_code == 200
    assert await gallery.rows("SELECT item_id FROM item_popularity") == []
