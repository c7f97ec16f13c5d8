"""Keys: what items are found by, each a number: their tags, creator, class, type and quality.

A key packs a kind and a number of that kind into 31 bits. Tags and creators bring their numbers with the events that
made them.
"""

from collections.abc import Iterable
from enum import IntEnum

from genonaut.contracts.content import ContentType, SourceType


class Kind(IntEnum):
    TAG = 0
    CREATOR = 1
    CLASS = 2
    """Source and privacy together: every item has exactly one of the four."""
    TYPE = 3
    QUALITY = 4
    """One of 512 steps."""
    QUALITY_RANGE = 5
    """16 steps of them at once."""


KINDS = 8
_TAG = int(Kind.TAG)
QUALITY_STEPS = 512
STEPS_IN_RANGE = 16

SOURCES: tuple[SourceType, ...] = ("items", "auto")
TYPES: tuple[ContentType, ...] = ("text", "image", "video", "audio")


def key(kind: Kind, number: int) -> int:
    return number * KINDS + kind


def kind_of(key: int) -> int:
    """The number of its kind. Not the kind itself: making one takes twenty times as long, and there are millions."""
    return key % KINDS


def tag_key(number: int) -> int:
    return key(Kind.TAG, number)


def creator_key(number: int) -> int:
    return key(Kind.CREATOR, number)


def class_key(source_type: SourceType, *, is_private: bool) -> int:
    return key(Kind.CLASS, SOURCES.index(source_type) * 2 + is_private)


def source_of(class_key: int) -> SourceType:
    return SOURCES[class_key // KINDS // 2]


def is_private(class_key: int) -> bool:
    return class_key // KINDS % 2 == 1


def type_key(content_type: ContentType) -> int:
    return key(Kind.TYPE, TYPES.index(content_type))


def quality_step(score: float) -> int:
    """The step that a score from 0 to 1 is in, from 0 to 511. A score of 0 has one of its own."""
    return min(QUALITY_STEPS - 1, max(1, int(score * QUALITY_STEPS))) if score else 0


def quality_keys(score: float) -> list[int]:
    step = quality_step(score)
    return [key(Kind.QUALITY, step), key(Kind.QUALITY_RANGE, step // STEPS_IN_RANGE)]


def tags_among(keys: Iterable[int]) -> list[int]:
    """The keys that are of tags, in their order."""
    return [each for each in keys if each % KINDS == _TAG]  # a page has a thousand keys: no call for each of them


def others_among(keys: Iterable[int]) -> list[int]:
    """The keys that are of no tags, in their order."""
    return [each for each in keys if each % KINDS != _TAG]


def without(keys: Iterable[int], *kinds: Kind) -> list[int]:
    """The keys that are of none of these kinds."""
    return [each for each in keys if kind_of(each) not in kinds]
