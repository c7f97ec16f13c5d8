"""The words that tags are known by, kept in memory so that each letter typed can be answered at once.

They are kept in shards, each with the revision it is of, so that a change costs the shard that it is in. Pure: which
revision is current, which tags are shown and how popular they are is read from the database for every answer.
"""

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import nlargest
from uuid import UUID

from rapidfuzz import fuzz, process

SHARD_BITS = 6
SHARDS = 2**SHARD_BITS

LEAST_ALIKE = 65
"""In percent of all letters, those that are in both words in the same order."""
MOST_ALIKE = 100
"""Tags of which it is looked up how popular they are."""


def shard_of(tag_id: UUID) -> int:
    """From 0 on. It rises with the id: who changes several tags in the order of their ids locks shards in one order."""
    return tag_id.int >> (128 - SHARD_BITS)


def range_of(shard: int) -> tuple[UUID, UUID]:
    """The first and the last id in it."""
    first = shard << (128 - SHARD_BITS)
    return UUID(int=first), UUID(int=first + (1 << (128 - SHARD_BITS)) - 1)


def spelled(text: str) -> str:
    """As words are compared: without case, and with one space for all that separates words in slugs and names."""
    return " ".join(re.split(r"[\s_-]+", unicodedata.normalize("NFKC", text).casefold())).strip()


@dataclass(frozen=True)
class Known:
    """A tag that everybody sees, with its words."""

    tag_id: UUID
    slug: str
    name: str
    aliases: Sequence[str] = ()


@dataclass(frozen=True)
class Match:
    tag_id: UUID
    alias: str | None
    """The alias that matched, where neither slug nor name did as well."""
    score: float = 100


class Shard:
    """The words of some tags."""

    def __init__(self, tags: Iterable[Known]) -> None:
        words = sorted(
            {word for tag in tags for word in _words(tag)}, key=lambda word: (word[0], word[1] or "", word[2].int)
        )
        self._spellings = [spelling for spelling, _, _ in words]
        self._matches = [Match(tag_id, alias) for _, alias, tag_id in words]
        # What somebody mistypes may be any word of a name, not the first one only.
        beginnings = [
            (spelling[start:], match)
            for spelling, match in zip(self._spellings, self._matches, strict=True)
            for start in (0, *(found.end() for found in re.finditer(" ", spelling)))
        ]
        self._beginnings = [beginning for beginning, _ in beginnings]
        self._begun = [match for _, match in beginnings]

    def starting(self, typed: str) -> Iterator[Match]:
        """Words that start with what was typed."""
        place = bisect_left(self._spellings, typed)
        while place < len(self._spellings) and self._spellings[place].startswith(typed):
            yield self._matches[place]
            place += 1

    def alike(self, typed: str) -> Iterator[Match]:
        """Words that are much like what was typed, or have a word in them that is."""
        found = process.extract(
            typed, self._beginnings, scorer=fuzz.ratio, processor=None, score_cutoff=LEAST_ALIKE, limit=None
        )
        for _, score, place in found:
            match = self._begun[place]
            yield Match(match.tag_id, match.alias, score)


def _words(tag: Known) -> Iterator[tuple[str, str | None, UUID]]:
    yield spelled(tag.slug), None, tag.tag_id
    yield spelled(tag.name), None, tag.tag_id
    for alias in tag.aliases:
        yield spelled(alias), alias, tag.tag_id


@dataclass
class Vocabulary:
    """All words that one process knows."""

    revisions: dict[int, int] = field(default_factory=dict)
    shards: dict[int, Shard] = field(default_factory=dict)

    def outdated(self, current: Mapping[int, int]) -> list[int]:
        """The shards that are older than these revisions."""
        return [shard for shard, revision in current.items() if self.revisions.get(shard, 0) < revision]

    def learn(self, shard: int, revision: int, tags: Iterable[Known]) -> None:
        """All tags of a shard, as of this revision."""
        self.shards[shard] = Shard(tags)
        self.revisions[shard] = revision

    def starting(self, typed: str) -> dict[UUID, Match]:
        """The tags of which a word starts with what was typed."""
        return _by_tag(match for shard in self.shards.values() for match in shard.starting(typed))

    def alike(self, typed: str) -> dict[UUID, Match]:
        """The MOST_ALIKE tags that have a word most like what was typed."""
        matches = _by_tag(match for shard in self.shards.values() for match in shard.alike(typed))
        best = nlargest(MOST_ALIKE, matches.values(), key=lambda match: (match.score, match.tag_id.int))
        return {match.tag_id: match for match in best}


def _by_tag(matches: Iterable[Match]) -> dict[UUID, Match]:
    """The best match of each tag; of equals one that is no alias."""
    best: dict[UUID, Match] = {}
    for match in matches:
        known = best.get(match.tag_id)
        if known is None or (match.score, match.alias is None) > (known.score, known.alias is None):
            best[match.tag_id] = match
    return best
