"""The signed addresses in the bodies of private items."""

from datetime import timedelta
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest


@pytest.fixture
async def secret(gallery, picture):
    """A private item, as its creator sees it."""
    ada = await gallery.user("ada")
    image = await gallery.image(picture(1, (700, 500)), user_id=ada)
    return await gallery.item(ada, image=image["sha256"], is_private=True)


def addresses(item) -> list[str]:
    return [item["path_thumb"], item["image"]["url"], *item["path_thumbs_alt_res"].values()]


def changed(address: str, **parameters: str | None) -> str:
    parts = urlsplit(address)
    words = dict(parse_qsl(parts.query)) | parameters
    return f"{parts.path}?{urlencode({name: value for name, value in words.items() if value is not None})}"


async def test_they_work_by_themselves_and_are_kept_by_no_shared_cache(gallery, secret) -> None:
    for address in addresses(secret):
        assert "user_id" not in address
        answer = await gallery.client.get(address)
        assert answer.status_code == 200
        # Until 04:00, from 03:04:05 on.
        assert answer.headers["cache-control"] == "private, max-age=3355, immutable"
        again = await gallery.client.get(address, headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.headers["cache-control"]) == (304, answer.headers["cache-control"])
        assert (await gallery.client.head(address)).status_code == 200


async def test_every_list_has_them(gallery, secret) -> None:
    for path in ("/content", "/content/unified"):
        (item,) = (await gallery.get(path, user_id=secret["creator_id"]))["items"]
        assert item["path_thumb"] == secret["path_thumb"]


async def test_they_stop_working(gallery, secret) -> None:
    gallery.clock.now += timedelta(hours=1)
    for address in addresses(secret):
        assert await gallery.problem("GET", address.removeprefix("/api/v1")) == (403, "INVALID_SIGNATURE")

    item = await gallery.get(f"/content/{secret['id']}", user_id=secret["creator_id"])
    assert [(await gallery.client.get(address)).status_code for address in addresses(item)] == [200] * 4


@pytest.mark.parametrize(
    "changes",
    [
        {"size": "600"},
        {"size": None},
        {"size": "64"},
        {"format": "png"},
        {"expires": "1767330000"},
        {"expires": None},
        {"expires": "0"},
        {"signature": None},
        {"signature": ""},
        {"signature": "A" * 43},
        {"signature": "\u00e4" * 43},
        {"user_id": "00000000-0000-0000-0000-000000000001"},
    ],
    ids=str,
)
async def test_no_part_of_them_can_be_changed(gallery, secret, changes) -> None:
    address = changed(secret["path_thumb"], **changes).removeprefix("/api/v1")

    assert await gallery.problem("GET", address) == (403, "INVALID_SIGNATURE")


async def test_they_do_not_open_the_file_with_its_metadata(gallery, secret) -> None:
    address = changed(secret["image"]["url"], metadata="keep").removeprefix("/api/v1")

    assert await gallery.problem("GET", address) == (403, "INVALID_SIGNATURE")


async def test_they_open_no_other_image(gallery, secret, picture) -> None:
    other = await gallery.image(picture(2))
    address = secret["path_thumb"].replace(secret["image"]["sha256"], other["sha256"])

    assert await gallery.problem("GET", address.removeprefix("/api/v1")) == (403, "INVALID_SIGNATURE")


async def test_a_wrong_one_does_not_tell_whether_there_is_an_image(gallery, secret) -> None:
    nothing = f"/images/{'0' * 64}?expires=99999999999&signature={'A' * 43}"

    assert await gallery.problem("GET", nothing) == (403, "INVALID_SIGNATURE")


async def test_they_end_with_what_their_viewer_may_see(gallery, picture) -> None:
    ada, bob = await gallery.user(), await gallery.user()
    image = await gallery.image(picture(1))
    secret = await gallery.item(ada, image=image["sha256"], is_private=True)
    await gallery.delete(secret)

    assert await gallery.problem("GET", secret["path_thumb"].removeprefix("/api/v1")) == (404, "NOT_FOUND")
    for viewer in ("", f"?user_id={ada}", f"?user_id={bob}"):
        assert await gallery.problem("GET", f"/images/{image['sha256']}{viewer}") == (404, "NOT_FOUND")


async def test_an_uploader_gets_one_too(gallery, picture) -> None:
    ada = await gallery.user()
    image = await gallery.image(picture(1), user_id=ada)

    assert "signature=" in image["url"]
    assert (await gallery.client.get(image["url"])).headers["cache-control"].startswith("private, max-age=3355")


async def test_what_is_public_has_a_plain_address(gallery, picture) -> None:
    ada = await gallery.user()
    item = await gallery.item(ada, image=(await gallery.image(picture(1)))["sha256"])

    assert not any("signature" in address for address in addresses(item))
