"""The words that tags are known by, kept in memory so that each letter typed can be answered at once.

They are kept in shards, each with the revision it is of, so that a change costs the shard that it is in. Pure: which
revision is current, and how popular the tags are that may be shown, is read from the database for every answer.
"""

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from functools import cached_property
from heapq import nlargest, nsmallest
from uuid import UUID

from rapidfuzz import fuzz, process

from genonaut.content.tags.domain import id_of

SHARD_BITS = 6
SHARDS = 2**SHARD_BITS

LEAST_ALIKE = 70
"""In percent of all letters, those that are in both words in the same order."""
MOST_ALIKE = 50
STARTING = 101
MOST_STARTING = 200
"""Tags of which it is looked up how popular they are. Of more, those that were the most popular when last read."""
REFRESH_SECONDS = 60.0
"""After which a shard is read again for what no revision tells: popularity, and what a rebuild has repaired."""


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
    cardinality: int = 0


@dataclass(frozen=True)
class Match:
    spelling: str
    tag_id: UUID
    alias: str | None
    """The alias that matched, where neither slug nor name did as well."""
    cardinality: int
    """As it was when it was last read."""
    score: float
    """How much of it is like what was typed, in percent; STARTING for what starts with it."""


class Shard:
    """The words of some tags."""

    def __init__(self, tags: Sequence[Known]) -> None:
        self.alias_ids = {id_of(alias) for tag in tags for alias in tag.aliases}
        self._matches = sorted({word for tag in tags for word in _words(tag)}, key=lambda word: word.spelling)
        self._spellings = [match.spelling for match in self._matches]

    def starting(self, typed: str) -> Iterator[Match]:
        """Words that start with what was typed."""
        place = bisect_left(self._spellings, typed)
        while place < len(self._spellings) and self._spellings[place].startswith(typed):
            yield self._matches[place]
            place += 1

    @cached_property
    def tails(self) -> Mapping[int, Sequence[tuple[str, Match]]]:
        """Each word from its beginning, and from the beginning of each part of it on, by the number of letters.

        Any part of a name may be what is mistyped.
        """
        found: dict[int, list[tuple[str, Match]]] = {}
        for match in self._matches:
            for start in (0, *(space.end() for space in re.finditer(" ", match.spelling))):
                tail = match.spelling[start:]
                found.setdefault(len(tail), []).append((tail, match))
        return found


def _words(tag: Known) -> Iterator[Match]:
    for word, alias in ((tag.slug, None), (tag.name, None), *((alias, alias) for alias in tag.aliases)):
        yield Match(spelled(word), tag.tag_id, alias, tag.cardinality, STARTING)


def lengths_like(length: int) -> range:
    """How many letters words have that can be so much alike to one of this length."""
    most_unlike = 200 - LEAST_ALIKE
    return range(-(-length * LEAST_ALIKE // most_unlike), length * most_unlike // LEAST_ALIKE + 1)


@dataclass
class Vocabulary:
    """All words that one process knows."""

    revisions: dict[int, int] = field(default_factory=dict)
    shards: dict[int, Shard] = field(default_factory=dict)
    stood_for: AbstractSet[UUID] = field(default_factory=frozenset)
    """Tags that an alias stands for: who chose one would get another, which is offered in its place."""
    tails: dict[int, tuple[list[str], list[Match]]] = field(default_factory=dict)
    """Of all shards, by their number of letters, as far as they were asked for since anything was learnt."""
    read_at: dict[int, float] = field(default_factory=dict)
    """When each shard was read, in seconds from some moment on."""

    @property
    def revision(self) -> int:
        """The sum of all revisions. Each is of the latest moment that was read, so a later sum is of a later moment."""
        return sum(self.revisions.values())

    def is_current(self, revision: int, now: float) -> bool:
        """Whether there is nothing to read again, when this is the sum of all revisions."""
        return revision <= self.revision and not self._aged(now)

    def outdated(self, current: Mapping[int, int], now: float) -> list[int]:
        """The shards that are older than these revisions; if there are none, one that was read long ago."""
        changed = [shard for shard, revision in current.items() if self.revisions.get(shard, 0) < revision]
        return changed or [shard for shard in self._aged(now) if current.get(shard) == self.revisions[shard]]

    def _aged(self, now: float) -> list[int]:
        oldest = min(self.read_at, key=self.read_at.__getitem__, default=None)
        return [oldest] if oldest is not None and self.read_at[oldest] < now - REFRESH_SECONDS else []

    def learn(self, shard: int, revision: int, tags: Sequence[Known], now: float) -> None:
        """All tags of a shard, as of this revision."""
        self.shards[shard] = Shard(tags)
        self.revisions[shard] = revision
        self.read_at[shard] = now
        self.tails.clear()
        self.stood_for = frozenset().union(*(each.alias_ids for each in self.shards.values()))

    def matching(self, typed: str, wanted: int) -> dict[UUID, Match]:
        """The tags that start with what was typed and, if those are fewer than `wanted`, others that are like it."""
        matches = self.starting(typed)
        return matches if len(matches) >= wanted else matches | self.alike(typed, beside=matches)

    def starting(self, typed: str) -> dict[UUID, Match]:
        """The tags of which a word starts with what was typed, in the order of these words."""
        found = self._best(match for shard in self.shards.values() for match in shard.starting(typed))
        if len(found) > MOST_STARTING:
            found = nlargest(MOST_STARTING, found, key=lambda match: match.cardinality)
        return {match.tag_id: match for match in sorted(found, key=lambda match: match.spelling)}

    def alike(self, typed: str, *, beside: Collection[UUID]) -> dict[UUID, Match]:
        """The MOST_ALIKE other tags that have a word most like what was typed, the most alike first."""
        found = self._best(match for length in lengths_like(len(typed)) for match in self._alike(typed, length))
        others = [match for match in found if match.tag_id not in beside]
        return {match.tag_id: match for match in nsmallest(MOST_ALIKE, others, key=lambda m: (-m.score, m.spelling))}

    def _alike(self, typed: str, length: int) -> Iterator[Match]:
        if length not in self.tails:
            tails = [tail for shard in self.shards.values() for tail in shard.tails.get(length, ())]
            self.tails[length] = [text for text, _ in tails], [match for _, match in tails]
        texts, matches = self.tails[length]
        for _, score, place in process.extract(
            typed, texts, scorer=fuzz.ratio, processor=None, score_cutoff=LEAST_ALIKE, limit=None
        ):
            yield replace(matches[place], score=score)

    def _best(self, matches: Iterable[Match]) -> Collection[Match]:
        """The best match of each tag that is offered; of equals one that is no alias."""
        best: dict[UUID, Match] = {}
        for match in matches:
            known = best.get(match.tag_id)
            if known is None or (match.score, match.alias is None) > (known.score, known.alias is None):
                best[match.tag_id] = match
        return [match for tag_id, match in best.items() if tag_id not in self.stood_for]
