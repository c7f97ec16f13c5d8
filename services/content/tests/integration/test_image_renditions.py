"""Sizes that are made when they are asked for, the file without its metadata, and bombs over HTTP."""

import asyncio
from io import BytesIO

import psutil
import pytest
from PIL import Image

from genonaut.platform import images
from genonaut.platform.images import RenditionSize, clean_key, image_key, rendition_key
from genonaut.platform.pictures import pool
from genonaut.platform.pictures.pool import Turn
from genonaut.testkit.bombs import BOMBS, chunk, png_with, small

SECRET = b"a secret wish"
WITH_PROMPT = png_with(chunk(b"tEXt", b"prompt\0" + SECRET), chunk(b"tEXt", b"workflow\0{}"))


@pytest.fixture(scope="module")
async def url(full_gallery, picture) -> str:
    return str((await full_gallery.image(picture(7, (1600, 2400))))["url"])


@pytest.fixture
def asked(monkeypatch) -> list[str]:
    """What picture processes are asked to do."""
    tasks = []
    ask = Turn.ask

    async def counted(self, task, data):
        tasks.append(task["do"])
        return await ask(self, task, data)

    monkeypatch.setattr(Turn, "ask", counted)
    return tasks


@pytest.mark.parametrize("size", RenditionSize)
async def test_every_size_can_be_had(full_gallery, url, size) -> None:
    answer = await full_gallery.client.get(f"{url}?size={size:d}")
    assert Image.open(BytesIO(answer.content)).size == (round(size * 2 / 3), size)


@pytest.mark.parametrize(("accept", "form"), [("image/avif", "AVIF"), ("*/*", "WEBP"), ("image/png", "PNG")])
async def test_every_size_can_be_had_as_the_client_likes_it(full_gallery, url, accept, form) -> None:
    answer = await full_gallery.client.get(f"{url}?size=512", headers={"Accept": accept})

    assert Image.open(BytesIO(answer.content)).format == form
    assert answer.headers["content-type"] == f"image/{form.lower()}"
    assert answer.headers["vary"] == "Accept"
    assert answer.headers["etag"] == f'"{url.rpartition("/")[2]}-512.{form.lower()}"'
    part = await full_gallery.client.get(
        f"{url}?size=512",
        headers={"Accept": accept, "Range": "bytes=4-7", "If-Range": answer.headers["etag"]},
    )
    assert (part.status_code, part.content) == (206, answer.content[4:8])
    other = await full_gallery.client.get(
        f"{url}?size=512", headers={"Accept": accept, "Range": "bytes=4-7", "If-Range": '"other"'}
    )
    assert (other.status_code, other.content) == (200, answer.content)


async def test_what_many_ask_for_at_once_is_made_once_and_kept(gallery, picture, asked) -> None:
    image = await gallery.image(picture(1, (900, 700)))

    answers = await asyncio.gather(*(gallery.client.get(f"{image['url']}?size=768") for _ in range(20)))
    await gallery.client.get(f"{image['url']}?size=768")

    assert len({answer.content for answer in answers}) == 1
    assert asked == ["take_in", "rendition"]
    assert await gallery.runtime.objects.size(rendition_key(image["sha256"], 768, "webp"))


async def test_what_is_never_enlarged(gallery, picture) -> None:
    image = await gallery.image(picture(1, (90, 70)))
    answer = await gallery.client.get(f"{image['url']}?size=2048&format=avif")
    assert Image.open(BytesIO(answer.content)).size == (90, 70)


async def test_a_rendition_that_a_power_cut_has_emptied_is_made_again(gallery, picture) -> None:
    image = await gallery.image(picture(1))
    whole = await gallery.client.get(f"{image['url']}?size=300")
    for key in (rendition_key(image["sha256"], 300, "webp"), clean_key(image["sha256"])):
        await gallery.runtime.objects.delete(key)
        await gallery.runtime.objects.put(key, b"")

    assert (await gallery.client.get(f"{image['url']}?size=300")).content == whole.content
    assert (await gallery.client.get(image["url"])).content == picture(1)


async def test_when_too_many_wait_others_are_asked_to_come_again(gallery, picture, monkeypatch) -> None:
    image = await gallery.image(picture(1))
    monkeypatch.setattr(pool, "WAITING", 0)

    assert await gallery.problem("GET", f"/images/{image['sha256']}?size=64") == (503, "NO_ROOM")
    answer = await gallery.client.get(f"{image['url']}?size=64")
    assert answer.headers["retry-after"]


async def test_where_no_picture_process_can_be_started_nothing_else_stops(gallery, picture, monkeypatch) -> None:
    image = await gallery.image(picture(1))
    await gallery.runtime.pictures.close()
    monkeypatch.setattr("sys.executable", "/nonexistent")

    assert await gallery.problem("GET", f"/images/{image['sha256']}?size=64") == (503, "UNAVAILABLE")
    headers = {"Content-Type": "image/png"}
    assert (await gallery.problem("POST", "/images", content=picture(2), headers=headers))[0] == 503
    assert (await gallery.client.get(f"{image['url']}?size=300")).status_code == 200


@pytest.mark.parametrize("name", [name for name in BOMBS if "scans" not in name])
async def test_a_bomb_is_a_clean_refusal_and_the_service_goes_on(full_gallery, picture, name) -> None:
    bomb = BOMBS[name]()
    before = psutil.Process().memory_info().rss

    for media_type in ("image/png", "image/webp"):
        headers = {"Content-Type": media_type}
        problem = await full_gallery.problem("POST", "/images", content=bomb, headers=headers)
        assert problem == (422, "INVALID_IMAGE")

    assert psutil.Process().memory_info().rss < before + 64 * 2**20
    await full_gallery.image(picture(3))


class TestMetadata:
    @pytest.fixture
    async def shown(self, gallery):
        """A public item of Ada's with a prompt in its file, and Bob."""
        ada, bob = await gallery.user("ada"), await gallery.user("bob")
        image = await gallery.image(WITH_PROMPT, user_id=ada)
        await gallery.item(ada, image=image["sha256"])
        return f"/api/v1/images/{image['sha256']}", ada, bob

    async def test_others_get_the_file_without(self, gallery, shown) -> None:
        url, ada, bob = shown
        for viewer in ("", f"?user_id={bob}", f"?user_id={ada}"):
            answer = await gallery.client.get(url + viewer)
            assert (answer.status_code, answer.content) == (200, small())
        assert answer.headers["etag"] == f'"{url.rpartition("/")[2]}-clean"'
        assert answer.headers["content-length"] == str(len(small()))

    async def test_its_owner_gets_the_file_as_it_was(self, gallery, shown) -> None:
        url, ada, _ = shown
        answer = await gallery.client.get(f"{url}?metadata=keep&user_id={ada}")

        assert (answer.status_code, answer.content) == (200, WITH_PROMPT)
        assert answer.headers["etag"] == f'"{url.rpartition("/")[2]}"'
        assert answer.headers["cache-control"].startswith("private,")
        part = await gallery.client.get(f"{url}?metadata=keep&user_id={ada}", headers={"Range": "bytes=-9"})
        assert (part.status_code, part.content) == (206, WITH_PROMPT[-9:])

    async def test_nobody_else_does(self, gallery, shown) -> None:
        url, _, bob = shown
        path = url.removeprefix("/api/v1")
        for viewer in ("", f"&user_id={bob}"):
            assert await gallery.problem("GET", f"{path}?metadata=keep{viewer}") == (403, "FORBIDDEN")
            etag = f'"{url.rpartition("/")[2]}"'
            answer = await gallery.client.get(f"{url}?metadata=keep{viewer}", headers={"If-None-Match": etag})
            assert answer.status_code == 403

    async def test_of_a_private_image_others_do_not_even_hear_that_it_is_there(self, gallery) -> None:
        ada, bob = await gallery.user(), await gallery.user()
        image = await gallery.image(WITH_PROMPT, user_id=ada)
        await gallery.item(ada, image=image["sha256"], is_private=True)
        path = f"/images/{image['sha256']}?metadata=keep"

        for viewer in ("", f"&user_id={bob}"):
            assert await gallery.problem("GET", path + viewer) == (404, "NOT_FOUND")
        assert (await gallery.client.get(f"/api/v1{path}&user_id={ada}")).content == WITH_PROMPT

    async def test_who_made_an_item_of_a_generated_image_owns_it(self, gallery) -> None:
        ada = await gallery.user()
        image = await gallery.image(WITH_PROMPT)
        await gallery.item(ada, image=image["sha256"])

        answer = await gallery.client.get(f"/api/v1/images/{image['sha256']}?metadata=keep&user_id={ada}")
        assert answer.content == WITH_PROMPT

    async def test_of_an_image_from_before_the_clean_version_is_made_when_it_is_asked_for(self, gallery, shown) -> None:
        url, _, _ = shown
        key = clean_key(url.rpartition("/")[2])
        await gallery.runtime.objects.delete(key)

        assert (await gallery.client.get(url)).content == small()
        assert await gallery.runtime.objects.read(key) == small()

    async def test_it_never_falls_back_to_the_original(self, gallery, shown, monkeypatch) -> None:
        url, _, _ = shown
        await gallery.runtime.objects.delete(clean_key(url.rpartition("/")[2]))

        async def refuse(*_, **__):
            raise images.ImageError("no")

        monkeypatch.setattr("genonaut.content.images.renditions.make_clean", refuse)
        answer = await gallery.client.get(url)
        assert (answer.status_code, SECRET in answer.content) == (422, False)

    async def test_a_photograph_keeps_its_orientation(self, gallery) -> None:
        exif = Image.Exif()
        exif[0x0112], exif[0x010F] = 6, SECRET.decode()
        image = await gallery.image(small("JPEG", (80, 40), exif=exif), media_type="image/jpeg")
        assert (image["width"], image["height"]) == (40, 80)

        answer = await gallery.client.get(image["url"])
        assert SECRET not in answer.content
        assert Image.open(BytesIO(answer.content)).getexif()[0x0112] == 6

    async def test_the_stored_original_keeps_its_bytes(self, gallery, shown) -> None:
        url, _, _ = shown
        assert await gallery.runtime.objects.read(image_key(url.rpartition("/")[2])) == WITH_PROMPT
