"""Verification and thumbnails: what is refused, what comes out, and that repeating it changes nothing."""

import hashlib
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, PngImagePlugin

from genonaut.platform import images
from genonaut.platform.images import ImageError, image_key, store_image, thumbnail_key, thumbnails, verify
from genonaut.platform.objects import ObjectStore


def picture(width: int = 64, height: int = 48, mode: str = "RGB") -> Image.Image:
    drawn = Image.linear_gradient("L").resize((width, height)).convert(mode)
    ImageDraw.Draw(drawn).ellipse((4, 4, width // 2, height // 2), fill=200 if mode in "LP" else None, outline=0)
    return drawn


def encoded(image: Image.Image, format_: str, **options) -> bytes:
    file = BytesIO()
    image.save(file, format_, **options)
    return file.getvalue()


def written(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("format_", "media_type"), [("PNG", "image/png"), ("JPEG", "image/jpeg"), ("WEBP", "image/webp")]
)
def test_an_image_is_described_by_its_own_bytes(format_, media_type):
    data = encoded(picture(), format_)
    image = verify(data)
    assert (image.media_type, image.width, image.height) == (media_type, 64, 48)
    assert image.sha256 == hashlib.sha256(data).hexdigest()
    assert image.size_bytes == len(data)


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("missing", [1, 2, 4, 5, 12, 100])
def test_a_file_cut_short_is_refused(format_, missing):
    with pytest.raises(ImageError, match="cut short"):
        verify(encoded(picture(400, 300), format_)[:-missing])


def test_a_damaged_file_is_refused():
    data = bytearray(encoded(picture(400, 300), "PNG"))
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(ImageError, match="broken"):
        verify(bytes(data))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"<svg xmlns='http://www.w3.org/2000/svg'/>", id="svg"),
        pytest.param(b"\x89PNG\r\n\x1a\n", id="signature only"),
        pytest.param(b"<!doctype html><title>502</title>", id="html"),
    ],
)
def test_what_is_no_image_is_refused(data):
    with pytest.raises(ImageError):
        verify(data)


@pytest.mark.parametrize("format_", ["GIF", "BMP", "TIFF", "PPM"])
def test_other_formats_are_refused(format_):
    with pytest.raises(ImageError, match="not a PNG, JPEG or WebP"):
        verify(encoded(picture(), format_))


@pytest.mark.parametrize("side", [8193, 10000, 14000])
def test_too_many_pixels_are_refused_before_they_are_decoded(side, monkeypatch):
    def never(*_):
        raise AssertionError("pixels were decoded")

    data = encoded(Image.new("1", (side, side)), "PNG")
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", never)
    with pytest.raises(ImageError, match="pixels"):
        verify(data)


def test_thumbnails_have_their_longest_side_and_keep_the_shape():
    image, made = thumbnails(encoded(picture(832, 1216), "PNG"))
    assert len(made) == 6
    for size in (150, 300, 600):
        for format_, name in (("webp", "WEBP"), ("png", "PNG")):
            thumbnail = Image.open(BytesIO(made[thumbnail_key(image.sha256, size, format_)]))
            assert thumbnail.format == name
            assert thumbnail.height == size
            assert thumbnail.width == pytest.approx(size * 832 / 1216, abs=1)


def test_a_small_image_is_never_enlarged():
    image, made = thumbnails(encoded(picture(200, 100), "PNG"))
    widths = {
        size: Image.open(BytesIO(made[thumbnail_key(image.sha256, size, "webp")])).width for size in (150, 300, 600)
    }
    assert widths == {150: 150, 300: 200, 600: 200}


def test_an_extreme_shape_keeps_one_pixel():
    image, made = thumbnails(encoded(Image.new("RGB", (4000, 3)), "PNG"))
    assert Image.open(BytesIO(made[thumbnail_key(image.sha256, 150, "png")])).size == (150, 1)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_every_png_mode_gets_thumbnails(mode):
    _, made = thumbnails(encoded(Image.new(mode, (320, 200)), "PNG"))
    assert len(made) == 6


def test_transparency_survives():
    image, made = thumbnails(encoded(Image.new("RGBA", (640, 640), (255, 0, 0, 0)), "PNG"))
    thumbnail = Image.open(BytesIO(made[thumbnail_key(image.sha256, 150, "webp")])).convert("RGBA")
    assert thumbnail.getpixel((75, 75))[3] == 0


def test_a_rotated_photograph_stands_upright():
    exif = Image.Exif()
    exif[0x0112] = 6
    image, made = thumbnails(encoded(picture(800, 400), "JPEG", exif=exif))
    assert (image.media_type, image.width, image.height) == ("image/jpeg", 400, 800)
    assert Image.open(BytesIO(made[thumbnail_key(image.sha256, 150, "png")])).size == (75, 150)


def test_a_thumbnail_does_not_carry_the_prompt():
    text = PngImagePlugin.PngInfo()
    text.add_text("prompt", "a secret wish")
    _, made = thumbnails(encoded(picture(), "PNG", pnginfo=text))
    assert all(b"secret" not in thumbnail for thumbnail in made.values())


def test_keys_are_spread_by_hash():
    sha = "ab" + "cd" + "0" * 60
    assert image_key(sha) == f"images/ab/cd/{sha}"
    assert thumbnail_key(sha, 300, "webp") == f"thumbnails/ab/cd/{sha}/300.webp"


async def test_a_stored_image_is_complete_and_storing_it_again_changes_nothing(tmp_path: Path):
    objects = ObjectStore.at(f"file://{tmp_path}")
    data = encoded(picture(700, 500), "PNG")
    image = await store_image(objects, data)
    assert await objects.read(image_key(image.sha256)) == data
    files = written(tmp_path)
    assert len(files) == 7
    assert await store_image(objects, data) == image
    assert written(tmp_path) == files


async def test_the_original_appears_only_after_its_thumbnails(tmp_path: Path, monkeypatch):
    class Refusing(ObjectStore):
        async def put_all(self, objects):
            if any(key.endswith("600.png") for key in objects):
                raise images.ImageError("disk full")
            return await super().put_all(objects)

    data = encoded(picture(), "PNG")
    with pytest.raises(ImageError, match="disk full"):
        await store_image(Refusing.at(f"file://{tmp_path}"), data)
    assert not await ObjectStore.at(f"file://{tmp_path}").exists(image_key(hashlib.sha256(data).hexdigest()))
