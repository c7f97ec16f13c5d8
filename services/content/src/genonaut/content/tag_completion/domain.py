"""The words that tags are known by, kept in memory so that each letter typed can be answered at once.

They are kept in shards, each with the revision it is of, so that a change costs the shard that it is in. Pure: which
revision is current, which tags are shown and how popular they are is read from the database for every answer.
"""

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from heapq import nsmallest
from uuid import UUID

from rapidfuzz import fuzz, process

from genonaut.content.tags.domain import id_of

SHARD_BITS = 6
SHARDS = 2**SHARD_BITS

LEAST_ALIKE = 65
"""In percent of all letters, those that are in both words in the same order."""
MOST_ALIKE = 50
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
    spelling: str
    tag_id: UUID
    alias: str | None
    """The alias that matched, where neither slug nor name did as well."""
    score: float = 100
    """In percent."""


class Shard:
    """The words of some tags."""

    def __init__(self, tags: Sequence[Known]) -> None:
        self.alias_ids = {id_of(alias) for tag in tags for alias in tag.aliases}
        self._matches = sorted({word for tag in tags for word in _words(tag)}, key=lambda word: word.spelling)
        self._spellings = [match.spelling for match in self._matches]
        # What somebody mistypes may be any word of a name, not the first one only.
        beginnings = [
            (match.spelling[start:], match)
            for match in self._matches
            for start in (0, *(space.end() for space in re.finditer(" ", match.spelling)))
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
            yield replace(self._begun[place], score=score)


def _words(tag: Known) -> Iterator[Match]:
    yield Match(spelled(tag.slug), tag.tag_id, None)
    yield Match(spelled(tag.name), tag.tag_id, None)
    for alias in tag.aliases:
        yield Match(spelled(alias), tag.tag_id, alias)


@dataclass
class Vocabulary:
    """All words that one process knows."""

    revisions: dict[int, int] = field(default_factory=dict)
    shards: dict[int, Shard] = field(default_factory=dict)
    stood_for: AbstractSet[UUID] = field(default_factory=frozenset)
    """Tags that an alias stands for: who chose one would get another, which is offered in its place."""

    @property
    def revision(self) -> int:
        """The sum of all revisions. Each is of the latest moment that was read, so a later sum is of a later moment."""
        return sum(self.revisions.values())

    def outdated(self, current: Mapping[int, int]) -> list[int]:
        """The shards that are older than these revisions."""
        return [shard for shard, revision in current.items() if self.revisions.get(shard, 0) < revision]

    def learn(self, shard: int, revision: int, tags: Sequence[Known]) -> None:
        """All tags of a shard, as of this revision."""
        self.shards[shard] = Shard(tags)
        self.revisions[shard] = revision
        self.stood_for = frozenset().union(*(each.alias_ids for each in self.shards.values()))

    def starting(self, typed: str) -> dict[UUID, Match]:
        """The tags of which a word starts with what was typed, in the order of these words."""
        found = self._best(match for shard in self.shards.values() for match in shard.starting(typed))
        return {match.tag_id: match for match in sorted(found, key=lambda match: match.spelling)}

    def alike(self, typed: str, *, beside: Collection[UUID]) -> dict[UUID, Match]:
        """The MOST_ALIKE other tags that have a word most like what was typed, the most alike first."""
        found = self._best(match for shard in self.shards.values() for match in shard.alike(typed))
        others = [match for match in found if match.tag_id not in beside]
        return {match.tag_id: match for match in nsmallest(MOST_ALIKE, others, key=lambda m: (-m.score, m.spelling))}

    def _best(self, matches: Iterable[Match]) -> Collection[Match]:
        """The best match of each tag that is offered; of equals one that is no alias."""
        best: dict[UUID, Match] = {}
        for match in matches:
            known = best.get(match.tag_id)
            if known is None or (match.score, match.alias is None) > (known.score, known.alias is None):
                best[match.tag_id] = match
        return [match for tag_id, match in best.items() if tag_id not in self.stood_for]
