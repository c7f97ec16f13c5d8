"""What a service and its picture processes say to each other: a line of JSON, and the bytes it announces.

No pickles: who has taken over a picture process must not be able to say anything but data.
"""

import json
import struct
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

MAX_PIXELS = 8192 * 8192
MAX_HEAD_BYTES = 64 * 1024
MAX_ANSWER_BYTES = 96 * 1024 * 1024

HEAD = struct.Struct(">I")
"""In front of the JSON: its length."""


class Refusal(StrEnum):
    """Why a file is not taken."""

    UNKNOWN = "unknown"
    BROKEN = "broken"
    PIXELS = "pixels"
    ANIMATED = "animated"
    MEMORY = "memory"
    TIME = "time"
    CRASH = "crash"

    @property
    def reason(self) -> str:
        """In words that can be shown to anybody."""
        return _REASONS[self]


_REASONS = {
    Refusal.UNKNOWN: "the bytes are not a PNG, JPEG or WebP image",
    Refusal.BROKEN: "the image is broken or cut short",
    Refusal.PIXELS: f"the image has more than {MAX_PIXELS} pixels",
    Refusal.ANIMATED: "the image is animated, and only still ones are taken",
    Refusal.MEMORY: "the image takes too much memory to decode",
    Refusal.TIME: "the image takes too long to decode",
    Refusal.CRASH: "the image cannot be decoded safely",
}


class RefusedError(Exception):
    """Raised by the work itself."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.reason)
        self.refusal = refusal


def packed(fields: Mapping[str, Any], parts: Sequence[bytes]) -> bytes:
    """The head of a message; the parts follow it."""
    head = json.dumps({**fields, "parts": [len(part) for part in parts]}).encode()
    return HEAD.pack(len(head)) + head


def unpacked(head: bytes) -> tuple[dict[str, Any], list[int]]:
    """The fields, and the lengths of the parts that follow. Raises ValueError for what nobody of ours says."""
    fields = json.loads(head)
    lengths = fields.pop("parts") if isinstance(fields, dict) and "parts" in fields else None
    if not isinstance(lengths, list) or not all(isinstance(length, int) and length >= 0 for length in lengths):
        raise ValueError("not a message")
    return fields, lengths
