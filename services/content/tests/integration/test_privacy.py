"""A private item exists for its creator only, in whatever way it is looked for."""

from typing import Any

import pytest

READS = ["/content", "/content-auto", "/content/unified", "/content/stats/unified"]


async def everything(gallery, viewer: str | None) -> list[Any]:
    """Each read's answer, without its cursors."""
    parameters = {"user_id": viewer} if viewer else {}
    filters: list[dict[str, str]] = [{}, {"tag": "secret"}, {"creator_id": gallery.users[0]}, {"search_term": "secret"}]
    return [await gallery.get(path, **parameters, **more) for path in READS for more in filters]


@pytest.mark.parametrize("path", ["/content", "/content-auto"])
async def test_a_private_item_changes_nothing_for_others(gallery, picture, path) -> None:
    ada, bob = await gallery.user("ada"), await gallery.user("bob")
    gallery.users = [ada, bob]
    await gallery.item(bob, path, tags=["secret"])
    before = {viewer: await everything(gallery, viewer) for viewer in (None, bob)}
    image = await gallery.image(picture(1), user_id=ada)

    secret = await gallery.item(ada, path, title="secret", tags=["secret"], is_private=True, image=image["sha256"])

    assert {viewer: await everything(gallery, viewer) for viewer in (None, bob)} == before
    for viewer in ({}, {"user_id": bob}):
        problem = await gallery.problem("GET", f"{path}/{secret['id']}", params=viewer)
        assert problem == (404, "NOT_FOUND")
    assert await gallery.get(f"{path}/{secret['id']}", user_id=ada) == secret
    assert await gallery.ids(path, user_id=ada, tag="secret") == [secret["id"], secret["id"] - 1]
    stats = await gallery.get("/content/stats/unified", user_id=ada)
    assert sorted(stats.values()) == [0, 0, 1, 1]


async def test_the_image_of_a_private_item_is_its_creators(gallery, picture) -> None:
    ada, bob = await gallery.user(), await gallery.user()
    image = await gallery.image(picture(1), user_id=ada)
    secret = await gallery.item(ada, image=image["sha256"], is_private=True)

    addresses = [secret["path_thumb"], secret["image"]["url"], *secret["path_thumbs_alt_res"].values()]
    assert [(await gallery.client.get(address)).status_code for address in addresses] == [200] * 4
    answer = await gallery.client.get(secret["path_thumb"])
    assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
    for address in addresses:
        for viewer in ("", f"user_id={bob}"):
            assert (await gallery.client.get(address.replace(f"user_id={ada}", viewer))).status_code == 404


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
