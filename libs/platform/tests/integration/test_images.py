"""Pictures into the store: complete, once, and never half."""

import hashlib
from pathlib import Path

import pytest

from genonaut.contracts.images import ThumbnailSize
from genonaut.platform import images
from genonaut.platform.images import (
    ImageError,
    RenditionSize,
    clean_key,
    image_key,
    is_marker,
    make_clean,
    make_rendition,
    rendition_key,
    store_image,
)
from genonaut.platform.objects import ObjectNotFoundError, ObjectStore
from genonaut.platform.pictures.pool import PicturePool, Turn
from genonaut.testkit.bombs import chunk, png_with, small


@pytest.fixture(scope="module")
async def pictures():
    pool = PicturePool(1)
    yield pool
    await pool.close()


@pytest.fixture
def objects(tmp_path) -> ObjectStore:
    return ObjectStore.at(tmp_path.as_uri())


def written(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_keys_are_spread_by_hash() -> None:
    sha = "ab" + "cd" + "0" * 60
    assert image_key(sha) == f"images/ab/cd/{sha}"
    assert rendition_key(sha, 300, "webp") == f"thumbnails/ab/cd/{sha}/300.webp"
    assert clean_key(sha) == f"thumbnails/ab/cd/{sha}/clean"


def test_every_thumbnail_is_a_rendition() -> None:
    assert set(ThumbnailSize) <= set(RenditionSize)


async def test_a_stored_image_is_complete_and_storing_it_again_changes_nothing(objects, pictures, tmp_path) -> None:
    data = small("PNG", (700, 500))
    image = await store_image(objects, pictures, data)
    assert (image.sha256, image.size_bytes) == (hashlib.sha256(data).hexdigest(), len(data))
    assert (image.media_type, image.width, image.height) == ("image/png", 700, 500)
    assert await objects.read(image_key(image.sha256)) == data
    assert is_marker(await objects.size(clean_key(image.sha256)))
    files = written(tmp_path)
    assert len(files) == 8
    assert await store_image(objects, pictures, data) == image
    assert written(tmp_path) == files


async def test_the_version_without_metadata_is_stored_beside(objects, pictures) -> None:
    data = png_with(chunk(b"tEXt", b"prompt\0a secret wish"))
    image = await store_image(objects, pictures, data)
    assert await objects.read(image_key(image.sha256)) == data
    assert await objects.read(clean_key(image.sha256)) == small()

    await objects.delete(clean_key(image.sha256))
    await make_clean(objects, pictures, image.sha256)
    assert await objects.read(clean_key(image.sha256)) == small()


async def test_the_original_appears_only_after_what_is_made_of_it(pictures, tmp_path) -> None:
    class Refusing(ObjectStore):
        async def put_all(self, objects):
            if any(key.endswith("600.png") for key in objects):
                raise images.ImageError("disk full")
            return await super().put_all(objects)

    data = small()
    with pytest.raises(ImageError, match="disk full"):
        await store_image(Refusing.at(tmp_path.as_uri()), pictures, data)
    assert not await ObjectStore.at(tmp_path.as_uri()).exists(image_key(hashlib.sha256(data).hexdigest()))


async def test_a_refusal_says_why_and_stores_nothing(objects, pictures, tmp_path) -> None:
    with pytest.raises(ImageError, match="broken or cut short"):
        await store_image(objects, pictures, small()[:-9])
    assert written(tmp_path) == {}


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"media_type": "text/html", "width": 1, "height": 1},
        {"media_type": "image/png", "width": -1, "height": 1},
        {"media_type": "image/png", "width": 1, "height": 1, "sha256": "0" * 64},
    ],
)
async def test_a_process_that_somebody_has_taken_over_cannot_say_what_an_image_is(
    objects, pictures, tmp_path, monkeypatch, said
) -> None:
    async def ask(self, task, data):
        return said, [b""] * 7

    monkeypatch.setattr(Turn, "ask", ask)
    with pytest.raises(ImageError, match="safely"):
        await store_image(objects, pictures, small())
    assert written(tmp_path) == {}


async def test_a_rendition_is_made_of_the_original(objects, pictures) -> None:
    image = await store_image(objects, pictures, small("PNG", (700, 500)))
    await make_rendition(objects, pictures, image.sha256, RenditionSize.S64, "avif")
    assert (await objects.read(rendition_key(image.sha256, 64, "avif")))[4:12] == b"ftypavif"


async def test_there_is_no_rendition_of_what_is_not_there_or_broken(objects, pictures) -> None:
    with pytest.raises(ObjectNotFoundError):
        await make_rendition(objects, pictures, "0" * 64, RenditionSize.S64, "webp")
    await objects.put(image_key("0" * 64), b"no image")
    with pytest.raises(ImageError, match="not a PNG"):
        await make_rendition(objects, pictures, "0" * 64, RenditionSize.S64, "webp")
