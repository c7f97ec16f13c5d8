"""The image endpoints: uploads, conditional and partial requests, thumbnails."""

import hashlib
from io import BytesIO

import pytest
from PIL import Image

from genonaut.platform.images import image_key
from genonaut.platform.objects import ObjectStoreError

UNKNOWN = f"/images/{'0' * 64}"


@pytest.fixture(scope="module")
def png(picture) -> bytes:
    data: bytes = picture(5, (800, 1000))
    return data


@pytest.fixture(scope="module")
async def url(full_gallery, png) -> str:
    """Where `png` is."""
    return str((await full_gallery.image(png))["url"])


@pytest.mark.parametrize(("form", "media_type"), [("PNG", "image/png"), ("JPEG", "image/jpeg"), ("WEBP", "image/webp")])
async def test_an_image_comes_back_as_it_was_brought(full_gallery, picture, form, media_type) -> None:
    data = picture(2, form=form)

    stored = await full_gallery.image(data, media_type=media_type)
    answer = await full_gallery.client.get(stored["url"])

    sha256 = hashlib.sha256(data).hexdigest()
    assert stored == {
        "sha256": sha256,
        "media_type": media_type,
        "width": 40,
        "height": 30,
        "size_bytes": len(data),
        "url": f"/api/v1/images/{sha256}",
    }
    assert (answer.status_code, answer.content) == (200, data)
    expected = {
        "content-type": media_type,
        "content-length": str(len(data)),
        "etag": f'"{sha256}-clean"',
        "cache-control": "private, max-age=31536000, immutable",
        "accept-ranges": "bytes",
    }
    assert {name: answer.headers[name] for name in expected} == expected


async def test_bringing_it_again_changes_nothing(gallery, picture) -> None:
    ada = await gallery.user()
    first = [await gallery.image(picture(1), user_id=user) for user in (None, ada)]

    again = [await gallery.image(picture(1), user_id=user) for user in (None, ada)]

    assert again == first
    assert await gallery.rows("SELECT count(*) FROM events WHERE type = 'content.image.uploaded'") == [(2,)]
    assert await gallery.rows("SELECT count(*) FROM images") == [(1,)]


async def test_what_is_in_a_public_item_may_be_kept_by_every_cache(gallery, picture) -> None:
    image = await gallery.image(picture(1))
    item = await gallery.item(await gallery.user(), image=image["sha256"])

    answer = await gallery.client.get(item["path_thumb"])

    assert answer.headers["cache-control"] == "public, s-maxage=600, max-age=31536000, immutable"


@pytest.mark.parametrize("media_type", ["", "text/plain", "image/svg+xml", "multipart/form-data"])
async def test_other_media_types_are_not_taken(bare_gallery, media_type) -> None:
    problem = await bare_gallery.problem("POST", "/images", content=b"x", headers={"Content-Type": media_type})

    assert problem == (415, "UNSUPPORTED_MEDIA_TYPE")


async def test_what_is_no_sound_image_is_refused(bare_gallery, picture) -> None:
    sound = picture(1)
    for data in (b"", b"GIF89a", b"<svg/>", sound[:-20], sound[:60], sound.replace(b"IDAT", b"IDOT")):
        problem = await bare_gallery.problem("POST", "/images", content=data, headers={"Content-Type": "image/png"})
        assert problem == (422, "INVALID_IMAGE")


async def test_a_body_of_more_than_32_mib_is_refused(bare_gallery) -> None:
    headers = {"Content-Type": "image/png"}
    problem = await bare_gallery.problem("POST", "/images", content=bytes(32 * 2**20 + 1), headers=headers)

    assert problem == (413, "PAYLOAD_TOO_LARGE")


async def test_an_uploader_is_a_user_id(bare_gallery, picture) -> None:
    headers = {"Content-Type": "image/png"}
    problem = await bare_gallery.problem("POST", "/images?user_id=me", content=picture(1), headers=headers)

    assert problem == (422, "VALIDATION_ERROR")


@pytest.mark.parametrize("tag", ["{etag}", "W/{etag}", '"other", {etag}', "*"])
async def test_who_has_it_is_told_so(full_gallery, url, tag) -> None:
    etag = (await full_gallery.client.head(url)).headers["etag"]

    answer = await full_gallery.client.get(url, headers={"If-None-Match": tag.format(etag=etag), "Range": "bytes=0-1"})

    assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)
    assert "content-type" not in answer.headers


async def test_who_has_another_gets_it(full_gallery, url, png) -> None:
    answer = await full_gallery.client.get(url, headers={"If-None-Match": '"other"'})

    assert (answer.status_code, answer.content) == (200, png)


@pytest.mark.parametrize(("asked", "part"), [("0-9", slice(0, 10)), ("10-", slice(10, None)), ("-7", slice(-7, None))])
async def test_a_range_is_a_part(full_gallery, url, png, asked, part) -> None:
    answer = await full_gallery.client.get(url, headers={"Range": f"bytes={asked}"})

    start, end, _ = part.indices(len(png))
    assert (answer.status_code, answer.content) == (206, png[part])
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{len(png)}"
    assert answer.headers["content-length"] == str(end - start)


@pytest.mark.parametrize(
    "header",
    [
        *("bytes=0-1,3-4", "items=0-1", "bytes=5-2", "bytes=", "bytes=-", "bytes", "", "bytes=a-b", "bytes=0x0-0x9"),
        *("bytes=1-2-3", "bytes=--1", "bytes=+1-2", "bytes=1.5-2", "bytes 0-1", "bytes=0-" + "9" * 200),
    ],
)
async def test_a_range_that_is_not_understood_is_the_whole(full_gallery, url, png, header) -> None:
    answer = await full_gallery.client.get(url, headers={"Range": header})

    assert (answer.status_code, answer.content) == (200, png)


@pytest.mark.parametrize("asked", ["{size}-", "{size}-{size}", "99999999999999999999-", "-0"])
async def test_a_range_after_the_end_cannot_be_satisfied(full_gallery, url, png, asked) -> None:
    answer = await full_gallery.client.get(url, headers={"Range": f"bytes={asked.format(size=len(png))}"})

    assert (answer.status_code, answer.json()["error_code"]) == (416, "RANGE_NOT_SATISFIABLE")
    assert answer.headers["content-range"] == f"bytes */{len(png)}"


async def test_a_range_of_something_that_has_changed_is_the_whole(full_gallery, url, png) -> None:
    etag = (await full_gallery.client.head(url)).headers["etag"]
    statuses = {
        condition: (
            await full_gallery.client.get(url, headers={"Range": "bytes=0-9", "If-Range": condition})
        ).status_code
        for condition in (etag, '"other"', f"W/{etag}", "Sat, 29 Oct 1994 19:43:31 GMT")
    }

    assert list(statuses.values()) == [206, 200, 200, 200]


@pytest.mark.parametrize("query", ["", "?size=150", "?size=600&format=png", "?size=768&format=avif", "?size=200"])
async def test_head_says_what_get_would(full_gallery, url, query) -> None:
    get, head = await full_gallery.client.get(url + query), await full_gallery.client.head(url + query)

    ours = {"x-request-id"}
    assert (head.status_code, head.content) == (200, b"")
    assert {k: v for k, v in head.headers.items() if k not in ours} == {
        k: v for k, v in get.headers.items() if k not in ours
    }


@pytest.mark.parametrize("size", [150, 300, 600])
@pytest.mark.parametrize(
    ("asked", "accept", "form"),
    [("", "*/*", "WEBP"), ("", "image/png", "PNG"), ("png", "*/*", "PNG"), ("webp", "image/png", "WEBP")],
)
async def test_thumbnails_by_size_and_format(full_gallery, url, size, asked, accept, form) -> None:
    query = {"size": size, **({"format": asked} if asked else {})}

    answer = await full_gallery.client.get(url, params=query, headers={"Accept": accept})

    thumbnail = Image.open(BytesIO(answer.content))
    assert (thumbnail.format, thumbnail.size) == (form, (size * 4 // 5, size))
    assert answer.headers["content-type"] == f"image/{form.lower()}"
    assert answer.headers["etag"] == f'"{url.rpartition("/")[2]}-{size}.{form.lower()}"'
    assert answer.headers.get("vary") == (None if asked else "Accept")
    etag = answer.headers["etag"]
    again = await full_gallery.client.get(url, params=query, headers={"Accept": accept, "If-None-Match": etag})
    assert again.status_code == 304
    part = await full_gallery.client.get(url, params=query, headers={"Accept": accept, "Range": "bytes=4-7"})
    assert (part.status_code, part.content) == (206, answer.content[4:8])


@pytest.mark.parametrize(
    "query",
    [
        *("size=201", "size=0", "size=-64", "size=big", "size=1e2", "size=4096", "size=", "size=150.5", "size=0x40"),
        *("format=png", "size=150&format=gif", "size=150&format=jpeg", "size=150&format=../../x", "size=150&format="),
        *("user_id=me", "metadata=strip", "metadata=", "size=150&metadata=keep", "expires=-1", "expires=soon"),
        *("expires=99999999999999999999", f"expires=1&signature={'a' * 101}"),
    ],
)
async def test_what_cannot_be_asked_for(full_gallery, url, query) -> None:
    path = url.removeprefix("/api/v1")

    assert await full_gallery.problem("GET", f"{path}?{query}") == (422, "VALIDATION_ERROR")


async def test_an_image_that_nobody_brought(bare_gallery) -> None:
    assert await bare_gallery.problem("GET", UNKNOWN) == (404, "NOT_FOUND")
    assert await bare_gallery.problem("GET", "/images/" + "A" * 64) == (422, "VALIDATION_ERROR")
    assert await bare_gallery.problem("GET", "/images/..%2f..%2fetc%2fpasswd") == (404, "NOT_FOUND")
    assert (await bare_gallery.client.head(f"/api/v1{UNKNOWN}")).status_code == 404


async def test_bytes_that_are_lost(gallery, picture) -> None:
    image = await gallery.image(picture(1))
    await gallery.runtime.objects.delete(image_key(image["sha256"]))

    assert await gallery.problem("GET", f"/images/{image['sha256']}") == (404, "IMAGE_LOST")
    assert await gallery.problem("GET", f"/images/{image['sha256']}?size=64") == (404, "IMAGE_LOST")
    assert (await gallery.client.get(f"{image['url']}?size=150")).status_code == 200


async def test_a_store_that_fails(gallery, picture, monkeypatch) -> None:
    image = await gallery.image(picture(1))

    async def fails(*_: object, **__: object) -> None:
        raise ObjectStoreError("no")

    assert (await gallery.client.head(image["url"])).status_code == 200
    monkeypatch.setattr(gallery.runtime.objects, "get", fails)
    monkeypatch.setattr(gallery.runtime.objects, "put", fails)

    assert await gallery.problem("GET", f"/images/{image['sha256']}") == (503, "UNAVAILABLE")
    headers = {"Content-Type": "image/png"}
    assert await gallery.problem("POST", "/images", content=picture(2), headers=headers) == (503, "UNAVAILABLE")
