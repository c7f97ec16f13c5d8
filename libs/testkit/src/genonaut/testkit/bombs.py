"""Files that are small, and much to decode: what a stranger may send in the place of a picture."""

import struct
import zlib
from collections.abc import Callable, Mapping
from io import BytesIO
from itertools import repeat
from typing import Any

from PIL import Image

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunk(kind: bytes, content: bytes) -> bytes:
    """Of a PNG."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def header(width: int, height: int, *, depth: int = 8, colours: int = 2) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, 0))


def zeros(count: int) -> bytes:
    """So many, compressed by a thousand."""
    packer = zlib.compressobj(9)
    block = bytes(2**20)
    parts = [packer.compress(block) for _ in repeat(None, count >> 20)]
    return b"".join([*parts, packer.compress(bytes(count & 0xFFFFF)), packer.flush()])


def small(form: str = "PNG", size: tuple[int, int] = (64, 48), *, colour: str = "RGB", **options: Any) -> bytes:
    """A sound one."""
    file = BytesIO()
    Image.linear_gradient("L").resize(size).convert(colour).save(file, form, **options)
    return file.getvalue()


def png_with(*chunks: bytes) -> bytes:
    """A sound picture with these behind its header."""
    sound = small()
    behind = len(PNG_SIGNATURE) + len(header(1, 1))
    return sound[:behind] + b"".join(chunks) + sound[behind:]


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    content = b"WEBP" + b"".join(
        kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2) for kind, data in chunks
    )
    return b"RIFF" + struct.pack("<I", len(content)) + content


def canvas(width: int, height: int, flags: int = 0) -> tuple[bytes, bytes]:
    """The chunk that says how large a WebP is."""
    return b"VP8X", struct.pack("<I", flags) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")


def segment(marker: int, content: bytes) -> bytes:
    """Of a JPEG."""
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


def _pixels_png() -> bytes:
    return PNG_SIGNATURE + header(30_000, 30_000) + chunk(b"IDAT", zeros(2**28)) + chunk(b"IEND", b"")


def _claims_png() -> bytes:
    return PNG_SIGNATURE + header(2**31 - 1, 2**31 - 1) + chunk(b"IDAT", zeros(2**20)) + chunk(b"IEND", b"")


def _claims_webp() -> bytes:
    still = small("WEBP")
    return riff(canvas(2**24, 2**24), (b"VP8 ", still[20:]))


def _largest_webp() -> bytes:
    still = small("WEBP")
    return riff(canvas(16_383, 16_383), (b"VP8 ", still[20:]))


def _claims_jpeg() -> bytes:
    data = bytearray(small("JPEG"))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", 65_500, 65_500)
    return bytes(data)


def _frames_png() -> bytes:
    frames = [
        chunk(b"fcTL", struct.pack(">IIIIIHHBB", 2 * number, 64, 48, 0, 0, 1, 1, 0, 0))
        + chunk(b"fdAT", struct.pack(">I", 2 * number + 1) + zlib.compress(bytes(48 * 193)))
        for number in range(10_000)
    ]
    return png_with(chunk(b"acTL", struct.pack(">II", len(frames), 0)))[: -len(chunk(b"IEND", b""))] + b"".join(
        [*frames, chunk(b"IEND", b"")]
    )


def _frames_webp() -> bytes:
    file = BytesIO()
    frames = [Image.new("RGB", (512, 512), (number, 0, 0)) for number in range(200)]
    frames[0].save(file, "WEBP", save_all=True, append_images=frames[1:])
    return file.getvalue()


def many_entries() -> bytes:
    # Every entry another tag: of those that are there twice only the last would be kept.
    entries, size = 20_000, 2**20
    head = b"MM\0*\0\0\0\x08" + struct.pack(">H", entries)
    behind = len(head) + 12 * entries + 4
    listed = b"".join(struct.pack(">HHII", 0x8000 + number, 7, size, behind) for number in range(entries))
    return png_with(chunk(b"eXIf", head + listed + bytes(4 + size)))


def scans(count: int = 5000) -> bytes:
    """Scans of nothing over a large picture: each is a hundred bytes, and a walk through all blocks."""
    data = small("JPEG", (8000, 8000), progressive=True, colour="L", quality=1)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * count + b"\xff\xd9"


def itself() -> bytes:
    """A JPEG that announces a thousand further pictures, every one of which is itself, and has more behind its end."""
    count = 1000
    entries = struct.pack("<IIIHH", 0, 2**24, 0, 0, 0) * count
    index = b"II*\0\x08\0\0\0" + struct.pack("<H", 3)
    index += struct.pack("<HHI4s", 0xB000, 7, 4, b"0100") + struct.pack("<HHII", 0xB001, 4, 1, count)
    index += struct.pack("<HHII", 0xB002, 7, len(entries), 8 + 2 + 36 + 4) + bytes(4)
    data = small("JPEG")
    return (data[:2] + segment(0xE2, b"MPF\0" + index + entries) + data[2:]) * 100


BOMBS: Mapping[str, Callable[[], bytes]] = {
    "900 million pixels in 270 kB": _pixels_png,
    "a PNG that claims 4 billion times a billion pixels": _claims_png,
    "a WebP that claims all pixels there can be": _claims_webp,
    "a WebP of the largest canvas that decoders take": _largest_webp,
    "a JPEG that claims 4 billion pixels": _claims_jpeg,
    "a PNG of 10,000 frames": _frames_png,
    "a WebP of 200 frames": _frames_webp,
    "128 MiB in zTXt": lambda: png_with(chunk(b"zTXt", b"prompt\0\0" + zeros(2**27))),
    "128 MiB in iTXt": lambda: png_with(chunk(b"iTXt", b"workflow\0\1\0\0\0" + zeros(2**27))),
    "128 MiB in a colour profile": lambda: png_with(chunk(b"iCCP", b"sRGB\0\0" + zeros(2**27))),
    "a hundred texts of a megabyte": lambda: png_with(*repeat(chunk(b"zTXt", b"prompt\0\0" + zeros(2**20)), 100)),
    "5,000 scans": scans,
}
"""Not one of these is taken. The names say what makes them so large."""

HARMLESS: Mapping[str, Callable[[], bytes]] = {
    "30 MB of text": lambda: png_with(*repeat(chunk(b"tEXt", b"prompt\0" + b"x" * 2**20), 30)),
    "20,000 times the same megabyte in EXIF": many_entries,
    "a JPEG of itself": itself,
}
"""These are taken, for what they show: the rest of them is not looked at."""
