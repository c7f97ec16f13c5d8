"""Files without what they say beside their picture, by taking pieces out: pixels and colour profile stay as they are.

What stays is listed, all else goes: EXIF with places and cameras, XMP, comments, the prompts and workflows of image
generators, further pictures behind the first. Of EXIF the orientation stays, because the picture would fall over. Each
function gives the pieces of the new file, and raises RefusedError for a file that is not put together soundly, or is
animated.
"""

import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

from genonaut.platform.pictures.protocol import Refusal, RefusedError

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

Pieces = Iterator[bytes | memoryview]

_TURNED = range(2, 9)
"""The orientations that are not the usual one."""

_PNG_KEPT = {
    *(b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"bKGD", b"pHYs"),
    *(b"cHRM", b"gAMA", b"iCCP", b"sBIT", b"sRGB", b"cICP", b"mDCV", b"mDCv", b"cLLI", b"cLLi"),
}
_PNG_ANIMATION = {b"acTL", b"fcTL", b"fdAT"}

_WEBP_KEPT = {b"VP8 ", b"VP8L", b"ALPH", b"ICCP"}
_WEBP_ANIMATION = {b"ANIM", b"ANMF"}
_WEBP_EXIF, _WEBP_XMP = 0x08, 0x04

_SOI, _EOI, _SOS = b"\xff\xd8", b"\xff\xd9", 0xDA
_JPEG_MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])", re.DOTALL)
"""Neither a byte of entropy-coded data nor a restart within it."""
_JPEG_KEPT = {*range(0xC0, 0xD0), _SOS, 0xDB, 0xDC, 0xDD} - {0xC8}
"""Frames, tables, scans. Of the application segments some are kept for what they begin with."""
_JFIF, _ICC, _ADOBE = b"JFIF\0", b"ICC_PROFILE\0", b"Adobe"
_JFIF_THUMBNAIL_AT = 12


def without_metadata(data: bytes, orientation: int) -> bytes:
    """The file without; `data` itself when there is nothing to take out. `orientation` is EXIF's, from 1 to 8."""
    taken = b"".join(_pieces(data, orientation if orientation in _TURNED else None))
    return data if taken == data else taken


def sound(data: bytes) -> None:
    """Raises RefusedError for what `without_metadata` could not take apart."""
    for _ in _pieces(data, None):
        pass


def _pieces(data: bytes, orientation: int | None) -> Pieces:
    if data.startswith(PNG_SIGNATURE):
        return _png(data, orientation)
    if data.startswith(_SOI):
        return _jpeg(data, orientation)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _webp(data, orientation)
    raise RefusedError(Refusal.UNKNOWN)


def _png(data: bytes, orientation: int | None) -> Pieces:
    yield PNG_SIGNATURE
    view, position, kind = memoryview(data), len(PNG_SIGNATURE), b""
    while kind != b"IEND":
        length, kind = _unpacked(">I4s", data, position)
        end = position + 12 + length
        if end > len(data):
            raise RefusedError(Refusal.BROKEN)
        if kind in _PNG_ANIMATION:
            raise RefusedError(Refusal.ANIMATED)
        if kind in _PNG_KEPT:
            yield view[position:end]
        if kind == b"IHDR" and orientation:
            exif = b"eXIf" + _exif(orientation)
            yield struct.pack(">I", len(exif) - 4) + exif + struct.pack(">I", zlib.crc32(exif))
        position = end


def _jpeg(data: bytes, orientation: int | None) -> Pieces:
    yield _SOI
    view, position = memoryview(data), len(_SOI)
    if orientation:
        exif = b"Exif\0\0" + _exif(orientation)
        exif = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    else:
        exif = b""
    while True:
        found = _JPEG_MARKER.search(data, position)
        if not found:
            raise RefusedError(Refusal.BROKEN)
        marker, start = found[1][0], found.end() - 2
        if marker == _EOI[1]:
            yield exif
            yield _EOI
            return
        (length,) = _unpacked(">H", data, start + 2)
        position = start + 2 + length
        if length < 2 or position > len(data):  # noqa: PLR2004 - the length counts itself
            raise RefusedError(Refusal.BROKEN)
        kept = _jpeg_segment(view[start:position], marker)
        if marker != 0xE0 or not kept:  # noqa: PLR2004 - JFIF's own segment is the first, where there is one
            yield exif
            exif = b""
        yield kept
        if marker == _SOS:
            following = _JPEG_MARKER.search(data, position)
            if not following:
                raise RefusedError(Refusal.BROKEN)
            yield view[position : following.start()]
            position = following.start()


def _jpeg_segment(segment: memoryview, marker: int) -> bytes | memoryview:
    """What stays of it."""
    content = segment[4:]
    if marker in _JPEG_KEPT:
        return segment
    if marker == 0xE0 and content[:5] == _JFIF and len(content) > _JFIF_THUMBNAIL_AT + 1:  # noqa: PLR2004 - APP0
        kept = bytes(content[:_JFIF_THUMBNAIL_AT]) + b"\0\0"
        return b"\xff\xe0" + struct.pack(">H", len(kept) + 2) + kept
    if (marker == 0xE2 and content[:12] == _ICC) or (marker == 0xEE and content[:5] == _ADOBE):  # noqa: PLR2004 - APP2, APP14
        return segment
    return b""


def _webp(data: bytes, orientation: int | None) -> Pieces:
    (size,) = _unpacked("<I", data, 4)
    end = 8 + size
    view, position = memoryview(data), 12
    if not position <= end <= len(data):
        raise RefusedError(Refusal.BROKEN)
    chunks: list[bytes | memoryview] = []
    extended = False
    while position < end:
        kind, length = _unpacked("<4sI", data, position)
        following = position + 8 + length + length % 2
        if position + 8 + length > end:
            raise RefusedError(Refusal.BROKEN)
        if kind in _WEBP_ANIMATION:
            raise RefusedError(Refusal.ANIMATED)
        if kind == b"VP8X" and length:
            extended = True
            flags = data[position + 8] & ~(_WEBP_EXIF | _WEBP_XMP) | (_WEBP_EXIF if orientation else 0)
            chunks += [view[position : position + 8], bytes([flags]), view[position + 9 : following]]
        elif kind in _WEBP_KEPT:
            chunks.append(view[position:following])
        position = following
    if orientation and extended:
        exif = _exif(orientation)
        chunks.append(b"EXIF" + struct.pack("<I", len(exif)) + exif)
    yield b"RIFF" + struct.pack("<I", 4 + sum(map(len, chunks))) + b"WEBP"
    yield from chunks


def _exif(orientation: int) -> bytes:
    """A TIFF directory with this one entry."""
    return b"MM\0*\0\0\0\x08" + struct.pack(">HHHIHHI", 1, 0x0112, 3, 1, orientation, 0, 0)


def _unpacked(form: str, data: bytes, position: int) -> Sequence[Any]:
    try:
        fields: Sequence[Any] = struct.unpack_from(form, data, position)
    except struct.error:
        raise RefusedError(Refusal.BROKEN) from None
    return fields
