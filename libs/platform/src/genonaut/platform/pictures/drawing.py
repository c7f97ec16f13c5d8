"""The work of a picture process: what a file is, and what is made of it. Raises RefusedError.

It keeps to little memory: a decoded picture is there once, and everything else is made of it in bands or is small.
"""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from io import BytesIO

from PIL import ExifTags, Image, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from genonaut.platform.pictures.metadata import PNG_SIGNATURE, sound, without_metadata
from genonaut.platform.pictures.protocol import MAX_PIXELS, Refusal, RefusedError

Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2  # the WebP decoder refuses twice that before it takes memory for it

_UNDECODABLE = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error)
"""What Pillow's decoders raise on broken bytes."""

_BAND_PIXELS = 2**21
_GAP = 1.5
"""How much larger than wanted a picture at least is when it is resized smoothly; until then it is averaged."""
_MAX_PROFILE_BYTES = 16 * 1024
"""Of a colour profile that is worth having in a rendition."""

_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_ENCODERS = {
    "webp": ("WEBP", {"quality": 80, "method": 2}),
    "avif": ("AVIF", {"quality": 60, "speed": 9, "max_threads": 1}),
    "png": ("PNG", {"compress_level": 2}),
}


@dataclass(frozen=True)
class Facts:
    """Width and height are of the picture as it is shown, upright."""

    media_type: str
    width: int
    height: int


def take_in(data: bytes, sizes: Sequence[int], formats: Sequence[str]) -> tuple[Facts, bytes, list[bytes]]:
    """What the file is, the file without its metadata, and its renditions: each size in each format, in that order."""
    largest = max(sizes)
    decoded = _Decoded(data, largest)
    facts, clean, shrunk = decoded.facts, decoded.clean(data), decoded.fitted(largest)
    by_size: dict[int, list[bytes]] = {}
    made: list[bytes] = []
    for size in sorted(sizes, reverse=True):
        fitted = _resized(shrunk, size)
        if fitted is not shrunk or not made:  # a small picture is its own rendition of several sizes
            made = [decoded.encoded(fitted, form) for form in formats]
        shrunk, by_size[size] = fitted, made
    return facts, clean, [each for size in sizes for each in by_size[size]]


def rendition(data: bytes, size: int, form: str) -> bytes:
    """At most `size` pixels on its longest side, never larger than it was, upright."""
    decoded = _Decoded(data, size)
    return decoded.encoded(decoded.fitted(size), form)


def clean(data: bytes) -> bytes:
    """The file without its metadata."""
    return _Decoded(data, 1).clean(data)


def warm_up() -> None:
    """Afterwards nothing needs to be loaded any more, whatever picture comes: Pillow loads much when it is used."""
    for module in ("AvifImagePlugin", "ImageChops", "ImageColor", "ImagePalette", "TiffImagePlugin"):
        import_module(f"PIL.{module}")
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    transparent = Image.new("RGBA", (40, 30)).quantize(8)
    for picture, form in ((transparent, "PNG"), (transparent, "WEBP"), (Image.new("RGB", (40, 30)), "JPEG")):
        file = BytesIO()
        picture.save(file, form, exif=exif)
        take_in(file.getvalue(), (16,), tuple(_ENCODERS))


class _Decoded:
    """The picture with all its pixels, decoded to the last byte of the file."""

    def __init__(self, data: bytes, size: int) -> None:
        """`size` is the largest that will be asked for: a JPEG is decoded no larger than that takes."""
        sound(data)
        try:
            picture = _opened(data)
            width, height = picture.size
            if width * height > MAX_PIXELS:
                raise RefusedError(Refusal.PIXELS)
            if isinstance(picture, PngImageFile):
                _opened(data).verify()  # decoding looks at no checksum
            longest = max(width, height)
            shrink = 2 * size / longest
            if isinstance(picture, JpegImageFile) and shrink < 1:
                picture.draft(None, (max(1, int(width * shrink)), max(1, int(height * shrink))))
            picture.load()
        except Image.DecompressionBombError:
            raise RefusedError(Refusal.PIXELS) from None
        except (*_UNDECODABLE, UnidentifiedImageError) as error:
            raise RefusedError(Refusal.BROKEN) from error
        self._picture: Image.Image | None = picture
        self._orientation = _orientation(picture)
        self._profile = _profile(picture)
        upright = self._orientation < 5  # noqa: PLR2004 - from 5 on it lies on its side
        self.facts = Facts(
            media_type=str(Image.MIME[str(picture.format)]),
            width=width if upright else height,
            height=height if upright else width,
        )

    def clean(self, data: bytes) -> bytes:
        return without_metadata(data, self._orientation)

    def fitted(self, size: int) -> Image.Image:
        """Upright, in a mode that resizes smoothly and that every format can hold. Once: it lets the pixels go."""
        picture, self._picture = self._picture, None
        assert picture is not None  # noqa: S101 - a mistake of ours
        target = _fitted(picture.size, size)
        across, down = (max(1, int(had / (wanted * _GAP))) for had, wanted in zip(picture.size, target, strict=True))
        mode = "RGBa" if picture.has_transparency_data else "RGB"
        fitted = _reduced(picture, across, down, mode)
        if fitted.size != target:
            # The last averages are of fewer pixels, where the sides do not divide.
            part = (0, 0, picture.width / across, picture.height / down)
            del picture
            fitted = fitted.resize(target, Image.Resampling.LANCZOS, box=part)
        turn = _TRANSPOSE.get(self._orientation)
        return fitted.transpose(turn) if turn is not None else fitted

    def encoded(self, picture: Image.Image, form: str) -> bytes:
        name, options = _ENCODERS[form]
        file = BytesIO()
        shown = picture.convert("RGBA") if picture.mode == "RGBa" else picture
        shown.save(file, name, icc_profile=self._profile, **options)
        return file.getvalue()


def _opened(data: bytes) -> Image.Image:
    # Not through Image.open, which takes a JPEG that announces more pictures for a format that follows its pointers.
    if data.startswith(PNG_SIGNATURE):
        return PngImageFile(BytesIO(data))
    return JpegImageFile(BytesIO(data)) if data.startswith(b"\xff\xd8") else WebPImageFile(BytesIO(data))


def _orientation(picture: Image.Image) -> int:
    try:
        found = picture.getexif().get(ExifTags.Base.Orientation)
    except (*_UNDECODABLE, TypeError, KeyError):  # what it says beside its picture need not be sound
        return 1
    return found if isinstance(found, int) and found in _TRANSPOSE else 1


def _profile(picture: Image.Image) -> bytes | None:
    """Its colour profile, when a rendition can have the same."""
    profile = picture.info.get("icc_profile")
    fits = isinstance(profile, bytes) and len(profile) <= _MAX_PROFILE_BYTES and profile[16:20] == b"RGB "
    return profile if fits and picture.mode in {"P", "RGB", "RGBA", "RGBX"} else None


def _reduced(picture: Image.Image, across: int, down: int, mode: str) -> Image.Image:
    """So many pixels across and down averaged into one, in this mode."""
    width, height = picture.size
    rows = max(1, _BAND_PIXELS // width // down) * down
    reduced = Image.new(mode, (-(-width // across), -(-height // down)))
    for top in range(0, height, rows):
        band = picture.crop((0, top, width, min(top + rows, height)))
        band = band.convert("RGBA").convert("RGBa") if mode == "RGBa" else band.convert(mode)
        reduced.paste(band.reduce((across, down)), (0, top // down))
    return reduced


def _fitted(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """The same shape, with sides of at most `longest`."""
    share = min(1, longest / max(size))
    return max(1, round(size[0] * share)), max(1, round(size[1] * share))


def _resized(picture: Image.Image, size: int) -> Image.Image:
    target = _fitted(picture.size, size)
    return picture if target == picture.size else picture.resize(target, Image.Resampling.LANCZOS)
