"""What a file is, and what is made of it: what is refused, and what comes out."""

from io import BytesIO
from itertools import product

import pytest
from PIL import Image, ImageChops, ImageCms, ImageDraw, ImageStat, PngImagePlugin

from genonaut.platform.pictures import drawing
from genonaut.platform.pictures.protocol import RefusedError

SIZES = (150, 300, 600)
FORMATS = ("webp", "avif", "png")


def picture(width: int = 64, height: int = 48, mode: str = "RGB") -> Image.Image:
    drawn = Image.linear_gradient("L").resize((width, height)).convert(mode)
    ImageDraw.Draw(drawn).ellipse((4, 4, width // 2, height // 2), fill=200 if mode in "LP" else None, outline=0)
    return drawn


def encoded(image: Image.Image, format_: str, **options) -> bytes:
    file = BytesIO()
    image.save(file, format_, **options)
    return file.getvalue()


def verify(data: bytes) -> drawing.Facts:
    return drawing.take_in(data, (150,), ("webp",))[0]


def thumbnails(data: bytes) -> dict[tuple[int, str], bytes]:
    """By size and format."""
    _, _, made = drawing.take_in(data, SIZES, FORMATS)
    return dict(zip(product(SIZES, FORMATS), made, strict=True))


@pytest.mark.parametrize(
    ("format_", "media_type"), [("PNG", "image/png"), ("JPEG", "image/jpeg"), ("WEBP", "image/webp")]
)
def test_an_image_is_described_by_its_own_bytes(format_, media_type):
    data = encoded(picture(), format_)
    image = verify(data)
    assert (image.media_type, image.width, image.height) == (media_type, 64, 48)


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("missing", [1, 2, 4, 5, 12, 100])
def test_a_file_cut_short_is_refused(format_, missing):
    with pytest.raises(RefusedError, match="cut short"):
        verify(encoded(picture(400, 300), format_)[:-missing])


def test_a_damaged_file_is_refused():
    data = bytearray(encoded(picture(400, 300), "PNG"))
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(RefusedError, match="broken"):
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
    with pytest.raises(RefusedError):
        verify(data)


@pytest.mark.parametrize("format_", ["GIF", "BMP", "TIFF", "PPM"])
def test_other_formats_are_refused(format_):
    with pytest.raises(RefusedError, match="not a PNG, JPEG or WebP"):
        verify(encoded(picture(), format_))


@pytest.mark.parametrize("side", [8193, 10000, 14000])
def test_too_many_pixels_are_refused_before_they_are_decoded(side, monkeypatch):
    def never(*_):
        raise AssertionError("pixels were decoded")

    data = encoded(Image.new("1", (side, side)), "PNG")
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", never)
    with pytest.raises(RefusedError, match="pixels"):
        verify(data)


def test_thumbnails_have_their_longest_side_and_keep_the_shape():
    made = thumbnails(encoded(picture(832, 1216), "PNG"))
    assert len(made) == 9
    for size in (150, 300, 600):
        for format_, name in (("webp", "WEBP"), ("avif", "AVIF"), ("png", "PNG")):
            thumbnail = Image.open(BytesIO(made[size, format_]))
            assert thumbnail.format == name
            assert thumbnail.height == size
            assert thumbnail.width == pytest.approx(size * 832 / 1216, abs=1)


def test_a_small_image_is_never_enlarged():
    made = thumbnails(encoded(picture(200, 100), "PNG"))
    widths = {size: Image.open(BytesIO(made[size, "webp"])).width for size in (150, 300, 600)}
    assert widths == {150: 150, 300: 200, 600: 200}


def test_an_extreme_shape_keeps_one_pixel():
    made = thumbnails(encoded(Image.new("RGB", (4000, 3)), "PNG"))
    assert Image.open(BytesIO(made[150, "png"])).size == (150, 1)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_every_png_mode_gets_thumbnails(mode):
    made = thumbnails(encoded(Image.new(mode, (320, 200)), "PNG"))
    assert len(made) == 9


def test_transparency_survives():
    made = thumbnails(encoded(Image.new("RGBA", (640, 640), (255, 0, 0, 0)), "PNG"))
    thumbnail = Image.open(BytesIO(made[150, "webp"])).convert("RGBA")
    assert thumbnail.getpixel((75, 75))[3] == 0


def test_a_rotated_photograph_stands_upright():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(picture(800, 400), "JPEG", exif=exif)
    image, made = verify(data), thumbnails(data)
    assert (image.media_type, image.width, image.height) == ("image/jpeg", 400, 800)
    assert Image.open(BytesIO(made[150, "png"])).size == (75, 150)


def test_a_thumbnail_does_not_carry_the_prompt():
    text = PngImagePlugin.PngInfo()
    text.add_text("prompt", "a secret wish")
    made = thumbnails(encoded(picture(), "PNG", pnginfo=text))
    assert all(b"secret" not in thumbnail for thumbnail in made.values())


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P"])
@pytest.mark.parametrize("size", [(5000, 401), (403, 5000), (1801, 1799)])
def test_a_picture_that_is_shrunk_in_bands_looks_like_one_that_is_shrunk_at_once(mode, size):
    """However its sides divide: no seam, no row from elsewhere."""
    original = picture(*size).convert(mode)
    made = Image.open(BytesIO(drawing.rendition(encoded(original, "PNG"), 128, "png")))
    expected = original.convert("RGB").resize(made.size, Image.Resampling.LANCZOS)
    assert ImageStat.Stat(ImageChops.difference(made.convert("RGB"), expected)).rms < [3]


def test_a_jpeg_is_decoded_no_larger_than_it_takes_and_is_what_it_is():
    data = encoded(picture(4000, 3000), "JPEG")
    facts, _, _ = drawing.take_in(data, (64,), ("webp",))
    assert (facts.width, facts.height) == (4000, 3000)
    assert Image.open(BytesIO(drawing.rendition(data, 2048, "webp"))).size == (2048, 1536)


def test_the_colours_of_an_edge_do_not_come_from_what_is_transparent():
    drawn = Image.new("RGBA", (640, 640), (0, 255, 0, 0))
    drawn.paste((255, 0, 0, 255), (0, 0, 333, 640))
    made = Image.open(BytesIO(drawing.rendition(encoded(drawn, "PNG"), 64, "png")))
    assert max(green for _, green, _, alpha in made.get_flattened_data() if alpha) < 20


def test_a_rendition_has_the_colour_profile_of_its_original():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for form in FORMATS:
        made = drawing.rendition(encoded(picture(), "PNG", icc_profile=profile), 64, form)
        assert Image.open(BytesIO(made)).info["icc_profile"] == profile
    grey = drawing.rendition(encoded(picture(mode="L"), "PNG", icc_profile=profile), 64, "png")
    assert "icc_profile" not in Image.open(BytesIO(grey)).info


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")  # as a picture process does
def test_what_a_file_says_in_a_way_that_nobody_understands_does_not_matter():
    assert verify(encoded(picture(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\x01" * 30)).width == 64
