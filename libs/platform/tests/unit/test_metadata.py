"""Files without their metadata: the same pixels and colours, upright, and not a word more."""

import struct
import zlib
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageOps

from genonaut.platform.pictures.drawing import clean
from genonaut.platform.pictures.metadata import sound, without_metadata
from genonaut.platform.pictures.protocol import Refusal, RefusedError
from genonaut.testkit.bombs import PNG_SIGNATURE, canvas, chunk, png_with, riff, segment, small

SECRET = b"a secret wish"
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
FORMS = ["PNG", "JPEG", "WEBP"]


def exif(orientation: int | None = None) -> Image.Exif:
    """Where it was made, by what, and how it was held."""
    said = Image.Exif()
    said[0x010F] = SECRET.decode()
    said.get_ifd(0x8825)[2] = (52.0, 31.0, 12.0)
    if orientation:
        said[0x0112] = orientation
    return said


def shown(data: bytes) -> tuple[str, tuple[int, int], bytes]:
    upright = ImageOps.exif_transpose(Image.open(BytesIO(data)))
    return upright.mode, upright.size, upright.tobytes()


def photograph(form: str, orientation: int | None = None) -> bytes:
    options = {"lossless": True} if form == "WEBP" else {}
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/">' + SECRET + b"</x:xmpmeta>"
    return small(form, exif=exif(orientation), icc_profile=PROFILE, xmp=xmp, **options)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("orientation", [None, *range(1, 9)])
def test_nothing_but_the_picture_is_left(form, orientation) -> None:
    data = photograph(form, orientation)
    assert SECRET in data

    cleaned = clean(data)

    assert SECRET not in cleaned
    left = Image.open(BytesIO(cleaned))
    assert left.info["icc_profile"] == PROFILE
    assert dict(left.getexif()) == ({0x0112: orientation} if orientation and orientation > 1 else {})
    assert not left.getexif().get_ifd(0x8825)
    assert shown(cleaned) == shown(data)
    assert clean(cleaned) is cleaned


@pytest.mark.parametrize("form", FORMS)
def test_a_file_with_nothing_to_take_out_stays_itself(form) -> None:
    data = small(form)
    assert clean(data) is data


@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"tIME", b"caBX", b"prIv", b"sPLT"])
def test_chunks_that_are_not_the_picture_go(kind) -> None:
    assert without_metadata(png_with(chunk(kind, b"prompt\0" + SECRET)), 1) == small()


@pytest.mark.parametrize("kind", [b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"cICP", b"pHYs", b"sBIT", b"bKGD", b"tRNS"])
def test_chunks_that_say_how_it_looks_stay(kind) -> None:
    data = png_with(chunk(kind, b"\0"))
    assert without_metadata(data, 1) is data


@pytest.mark.parametrize(
    ("marker", "content"),
    [
        (0xE1, b"Exif\0\0" + SECRET),
        (0xE1, b"http://ns.adobe.com/xap/1.0/\0" + SECRET),
        (0xE2, b"MPF\0" + SECRET),
        (0xED, b"Photoshop 3.0\0" + SECRET),
        (0xEB, b"JP\0\0" + SECRET),
        (0xE0, b"JFXX\0" + SECRET),
        (0xE0, b"JFIF\0"),
        (0xFE, SECRET),
    ],
)
def test_segments_that_are_not_the_picture_go(marker, content) -> None:
    plain = small("JPEG")
    after_jfif = 4 + struct.unpack(">H", plain[4:6])[0]
    data = plain[:after_jfif] + segment(marker, content) + plain[after_jfif:]

    assert without_metadata(data, 1) == plain


def test_the_small_picture_in_a_jfif_segment_goes() -> None:
    plain = small("JPEG")
    after_jfif = 4 + struct.unpack(">H", plain[4:6])[0]
    told = segment(0xE0, plain[6 : after_jfif - 2] + b"\x02\x02" + b"pixels of it")
    assert without_metadata(plain[:2] + told + plain[after_jfif:], 1) == plain


def test_the_colours_of_a_cmyk_jpeg_stay() -> None:
    file = BytesIO()
    Image.new("CMYK", (20, 10), (10, 20, 30, 40)).save(file, "JPEG", comment=SECRET)
    cleaned = without_metadata(file.getvalue(), 1)
    assert (SECRET in cleaned, b"Adobe" in cleaned) == (False, True)
    assert shown(cleaned) == shown(file.getvalue())


@pytest.mark.parametrize("form", FORMS)
def test_what_is_behind_the_picture_goes(form) -> None:
    assert without_metadata(small(form) + b"<?php " + SECRET, 1) == small(form)


def test_every_scan_of_a_progressive_jpeg_stays() -> None:
    data = small("JPEG", (300, 200), progressive=True)
    assert without_metadata(data, 1) is data


def test_restarts_and_stuffed_bytes_are_data() -> None:
    file = BytesIO()
    Image.effect_noise((200, 200), 90).save(file, "JPEG", restart_marker_blocks=2, comment=SECRET)
    cleaned = without_metadata(file.getvalue(), 1)
    assert SECRET not in cleaned
    assert shown(cleaned) == shown(file.getvalue())


@pytest.mark.parametrize(
    ("data", "refusal"),
    [
        pytest.param(b"", Refusal.UNKNOWN, id="nothing"),
        pytest.param(PNG_SIGNATURE, Refusal.BROKEN, id="png without chunks"),
        pytest.param(PNG_SIGNATURE + b"\xff" * 12, Refusal.BROKEN, id="chunk of 4 GB"),
        pytest.param(png_with(chunk(b"acTL", bytes(8))), Refusal.ANIMATED, id="png in motion"),
        pytest.param(b"\xff\xd8", Refusal.BROKEN, id="jpeg without segments"),
        pytest.param(b"\xff\xd8\xff\xe1\x00\x01", Refusal.BROKEN, id="segment shorter than its length"),
        pytest.param(b"\xff\xd8\xff\xe1\xff\xff" + b"x" * 9, Refusal.BROKEN, id="segment beyond the end"),
        pytest.param(b"\xff\xd8\xff\xda\x00\x02" + b"x" * 9, Refusal.BROKEN, id="scan without end"),
        pytest.param(b"RIFF\0\0\0\0WEBP", Refusal.BROKEN, id="webp of no bytes"),
        pytest.param(b"RIFF\xff\xff\xff\xffWEBP", Refusal.BROKEN, id="webp of 4 GB"),
        pytest.param(riff((b"VP8 ", b"1234"))[:-1], Refusal.BROKEN, id="webp cut short"),
        pytest.param(riff(canvas(9, 9, 2), (b"ANIM", bytes(6))), Refusal.ANIMATED, id="webp in motion"),
    ],
)
def test_what_cannot_be_taken_apart_is_refused(data, refusal) -> None:
    with pytest.raises(RefusedError) as refused:
        sound(data)
    assert refused.value.refusal == refusal


@given(st.lists(st.tuples(st.sampled_from([b"tEXt", b"eXIf", b"prIv", b"tIME"]), st.binary(max_size=30)), max_size=5))
def test_whatever_is_put_into_a_png_comes_out_again(chunks) -> None:
    assert without_metadata(png_with(*(chunk(kind, content) for kind, content in chunks)), 1) == small()


@given(st.lists(st.tuples(st.sampled_from([0xE1, 0xE3, 0xED, 0xFE]), st.binary(max_size=30)), max_size=5))
def test_whatever_is_put_into_a_jpeg_comes_out_again(segments) -> None:
    plain = small("JPEG")
    after_jfif = 4 + struct.unpack(">H", plain[4:6])[0]
    told = b"".join(segment(marker, content) for marker, content in segments)
    assert without_metadata(plain[:after_jfif] + told + plain[after_jfif:], 1) == plain


@given(st.sampled_from(FORMS), st.data())
def test_a_damaged_file_is_refused_or_taken_apart(form, data) -> None:
    broken = bytearray(photograph(form, 6))
    for place in data.draw(st.lists(st.integers(0, len(broken) - 1), min_size=1, max_size=8)):
        broken[place] = data.draw(st.integers(0, 255))
    try:
        without_metadata(bytes(broken), 6)
    except RefusedError:
        return


def test_the_orientation_of_a_png_is_a_sound_chunk() -> None:
    cleaned = without_metadata(small(), 6)
    at = cleaned.index(b"eXIf")
    (length,) = struct.unpack(">I", cleaned[at - 4 : at])
    content = cleaned[at : at + 4 + length]
    assert struct.unpack(">I", cleaned[at + 4 + length : at + 8 + length]) == (zlib.crc32(content),)
