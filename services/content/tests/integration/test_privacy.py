"""A private item exists for its creator only. `test_privacy_of_every_route.py` looks for it in every way there is."""

import asyncio

import pytest

from genonaut.content.tags.domain import id_of


@pytest.mark.parametrize("path", ["/content", "/content-auto"])
async def test_a_private_item_is_there_for_its_creator_alone(gallery, path) -> None:
    ada, bob = await gallery.user("ada"), await gallery.user("bob")
    await gallery.item(bob, path, tags=["known"])

    secret = await gallery.item(ada, path, tags=["secret", "known"], is_private=True)

    for viewer in ({}, {"user_id": bob}):
        problem = await gallery.problem("GET", f"{path}/{secret['id']}", params=viewer)
        assert problem == (404, "NOT_FOUND")
    assert await gallery.get(f"{path}/{secret['id']}", user_id=ada) == secret
    assert await gallery.ids(path, user_id=ada, tag="secret") == [secret["id"]]
    assert await gallery.ids(path, user_id=ada, tag="known") == [secret["id"], secret["id"] - 1]
    stats = await gallery.get("/content/stats/unified", user_id=ada)
    assert sorted(stats.values()) == [0, 0, 1, 1]


async def test_the_image_of_a_private_item_is_its_creators(gallery, picture) -> None:
    ada, bob = await gallery.user(), await gallery.user()
    image = await gallery.image(picture(1), user_id=ada)
    secret = await gallery.item(ada, image=image["sha256"], is_private=True)

    addresses = [secret["path_thumb"], secret["image"]["url"], *secret["path_thumbs_alt_res"].values()]
    assert [(await gallery.client.get(address)).status_code for address in addresses] == [200] * 4
    answer = await gallery.client.get(secret["path_thumb"])
    assert answer.headers["cache-control"] == "private, max-age=3355, immutable"
    for address in addresses:
        unsigned = address.partition("?")[0]
        assert (await gallery.client.get(f"{unsigned}?user_id={ada}")).status_code == 200
        for viewer in ("", f"user_id={bob}"):
            assert (await gallery.client.get(f"{unsigned}?{viewer}")).status_code == 404
        assert (await gallery.client.get(f"{address}&user_id={bob}")).status_code == 403


async def test_a_leaked_hash_publishes_nothing(gallery, picture) -> None:
    ada, bob = await gallery.user(), await gallery.user()
    image = await gallery.image(picture(1))
    await gallery.item(ada, image=image["sha256"], is_private=True)

    theft = {"title": "t", "content_type": "image", "prompt": "p", "creator_id": bob, "image": image["sha256"]}

    assert await gallery.problem("POST", "/content", json=theft) == (422, "VALIDATION_ERROR")


async def test_who_brings_the_same_bytes_may_use_them(gallery, picture) -> None:
    ada, bob = await gallery.user(), await gallery.user()
    await gallery.item(ada, image=(await gallery.image(picture(1), user_id=ada))["sha256"], is_private=True)

    image = await gallery.image(picture(1), user_id=bob)
    await gallery.item(bob, image=image["sha256"])

    answer = await gallery.client.get(f"/api/v1/images/{image['sha256']}")
    assert (answer.status_code, answer.headers["cache-control"][:7]) == (200, "public,")


async def test_a_tag_of_private_items_is_nobody_elses_until_it_is_shown(gallery) -> None:
    ada, bob = await gallery.user(), await gallery.user()
    await gallery.item(ada, tags=["diary"], is_private=True)
    diary = str(id_of("diary"))

    async def seen() -> list[str]:
        return sorted(tag["slug"] for tag in (await gallery.get("/tags"))["items"])

    # An id could be guessed from a word; it must not tell whether the word is in use.
    for tag in (diary, str(id_of("never-used"))):
        item = {
            "title": "t",
            "content_type": "text",
            "content_data": "x",
            "prompt": "p",
            "creator_id": bob,
            "tags": [tag],
        }
        assert await gallery.problem("POST", "/content", json=item) == (422, "VALIDATION_ERROR")
    assert await seen() == []

    declared = await gallery.client.post("/api/v1/tags", json={"slug": "diary", "name": "My Diary"})
    assert (declared.status_code, declared.json()["name"]) == (201, "My Diary")
    assert await seen() == ["diary"]
    assert (await gallery.client.post("/api/v1/tags", json={"slug": "diary"})).status_code == 200

    await gallery.item(ada, tags=["letters"], is_private=True)
    await gallery.item(bob, tags=["letters"])
    assert await seen() == ["diary", "letters"]


async def test_a_tag_that_is_used_in_private_and_in_public_at_once_is_seen(gallery) -> None:
    ada, bob = await gallery.user(), await gallery.user()
    for number in range(10):
        tags = [f"tag-{number}-{each}" for each in range(10)]
        await asyncio.gather(gallery.item(ada, tags=tags[-1:], is_private=True), gallery.item(bob, tags=tags))

    listed = await gallery.get("/tags", page_size=1000)
    assert listed["total"] == 100
