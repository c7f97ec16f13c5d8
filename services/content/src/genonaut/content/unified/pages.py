"""The body of the unified list, of which first pages are kept in the cache.

Two answers are kept for a page: its items, until one that it could show changes, and the statistics of who looks, until
any of their items or anybody's public ones do. Both depend on what words mean as well.
"""

from collections.abc import Collection
from dataclasses import dataclass
from hashlib import sha256
from heapq import nlargest
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakKeyDictionary

from prometheus_client import Counter
from sqlalchemy.ext.asyncio import AsyncEngine

from genonaut.content.images.addresses import Addresses, addresses_of
from genonaut.content.items.queries import with_tags
from genonaut.content.search import queries as search
from genonaut.content.search.domain import Wanted
from genonaut.content.search.guards import NAMES
from genonaut.content.unified import queries
from genonaut.content.unified.schemas import UnifiedItem, UnifiedStats
from genonaut.platform.guards import Entry, Look
from genonaut.platform.http.lists import ListBody, ListQuery
from genonaut.platform.metrics import REGISTRY
from genonaut.platform.service import Runtime

if TYPE_CHECKING:
    from genonaut.platform.cache import GuardedCache

VERSION = 1
"""Of what is kept. Who changes what a body looks like counts it up."""
REMEMBERED = 10_000
"""Of as many lists it is remembered what they depend on."""

QUERIES = 5_000
"""So many query strings are remembered with what they ask for,"""
LONGEST_QUERY = 500
"""of at most so many bytes."""

PAGES = Counter(
    "content_unified_pages_total",
    "Pages of the unified list, by what the cache had to do with them.",
    ["cache"],
    registry=REGISTRY,
)


@dataclass(frozen=True)
class Body:
    json: bytes
    cache: Literal["hit", "miss", "bypass"]
    """A miss when any part of it was read from the database to be kept."""


@dataclass(frozen=True)
class Asked:
    """One page of the list."""

    wanted: Wanted
    query: ListQuery
    bypass: bool = False
    """Whether it is to be read from the database in any case."""

    @property
    def may_be_kept(self) -> bool:
        """Whether it is a first page, in an order that items alone decide."""
        first = self.query.page == 1 or (self.query.page is None and self.query.skip == 0)
        from_the_start = self.query.position is None and not self.query.backward
        return first and from_the_start and self.query.sort != "popularity"

    def key(self, addresses: Addresses) -> str:
        """The same for those whose bodies are the same at any moment. The statistics are under a viewer's own."""
        period = addresses.period() if self.wanted.viewer else ""
        asked = f"{self.query.asked} {self.query.size} {period}"
        return f"unified-{VERSION}-{sha256(asked.encode('utf-8', 'surrogatepass')).hexdigest()}"


@dataclass
class Dependencies:
    """What a page that was asked for depends on, as it is remembered."""

    asked: Asked
    names: bytes
    """The token that NAMES had before it was found out what the page depends on."""
    page: Entry
    stats: Entry
    times: float = 0.0
    """How often it was asked for lately."""


def asked_before(runtime: Runtime[Any], parameters: bytes) -> Asked | None:
    """What a query string asks for, if it was read before."""
    return _asked_before.get(runtime.database.engine, {}).get(parameters)


def remember(runtime: Runtime[Any], parameters: bytes, asked: Asked) -> None:
    """For `asked_before`: it says the same for ever. Of cursors there are too many."""
    if asked.query.position is not None or len(parameters) > LONGEST_QUERY:
        return
    remembered = _asked_before.setdefault(runtime.database.engine, {})
    if len(remembered) >= QUERIES:
        remembered.clear()
    remembered[parameters] = asked


async def body(runtime: Runtime[Any], asked: Asked) -> Body:
    """The page, and the statistics of who looks, as JSON of a `schemas.UnifiedList`."""
    answer = await _body(runtime, asked, times=1)
    PAGES.labels(cache=answer.cache).inc()
    return answer


async def refresh_most_asked(runtime: Runtime[Any], most: int) -> int:
    """Makes those of the `most` pages asked for most by anybody that are not kept any more. How many that were."""
    known = _dependencies.get(runtime.database.engine, {})
    refreshed = 0
    for each in nlargest(most, known.values(), key=lambda each: each.times):
        if each.times >= 1 and each.asked.wanted.viewer is None:
            refreshed += (await _body(runtime, each.asked, times=0)).cache == "miss"
    for each in known.values():
        each.times /= 2
    return refreshed


async def _body(runtime: Runtime[Any], asked: Asked, *, times: int) -> Body:
    cache = runtime.cache
    looks = await _looks(runtime, cache, asked, times) if cache and asked.may_be_kept and not asked.bypass else None
    if cache is None or looks is None:
        page, stats = await _fresh(runtime, asked)
        return Body(_joined(page, stats), "bypass")
    old = [look.value for look in looks]
    if old[0] is not None and old[1] is not None:
        return Body(_joined(old[0], old[1]), "hit")
    if old[0] is not None:
        page, stats = old[0], await _fresh_stats(runtime, asked)
    else:
        page, stats = await _fresh(runtime, asked)
    await cache.keep([(look, value) for look, value in zip(looks, (page, stats), strict=True) if look.value is None])
    return Body(_joined(page, stats), "miss")


async def _looks(runtime: Runtime[Any], cache: "GuardedCache", asked: Asked, times: int) -> list[Look] | None:
    """What is kept of page and statistics; None when nothing may be. So many times it was asked for just now."""
    key = asked.key(addresses_of(runtime))
    known = _dependencies.setdefault(runtime.database.engine, {})
    found = known.get(key)
    for _ in range(3):
        if found is None:
            found = await _found_out(runtime, cache, asked, key)
            if found is None:
                return None
            _remember(known, key, found)
        looks = await cache.look([found.page, found.stats])
        if not all(look.tokens for look in looks):
            return None
        if looks[0].tokens[NAMES] == found.names:
            found.times += times
            return looks
        found = None  # words mean something else by now
    return None


async def _found_out(runtime: Runtime[Any], cache: "GuardedCache", asked: Asked, key: str) -> Dependencies | None:
    """What the page depends on; None when it is not to be kept."""
    (look,) = await cache.look([Entry("names", (NAMES,))])
    if not look.tokens:
        return None
    viewer = asked.wanted.viewer
    async with runtime.database.reading() as connection:
        page, stats = await search.guards(connection, [asked.wanted, Wanted(viewer=viewer)])
    if page is None or stats is None:
        return None
    return Dependencies(asked, look.tokens[NAMES], _entry(key, page), _entry(f"stats-{VERSION}-{viewer}", stats))


def _entry(key: str, guards: Collection[str]) -> Entry:
    return Entry(key, tuple(guards))


def _remember(known: dict[str, Dependencies], key: str, found: Dependencies) -> None:
    if len(known) >= REMEMBERED:
        often = nlargest(REMEMBERED // 2, known.items(), key=lambda each: each[1].times)
        known.clear()
        known.update(often)
    known[key] = found


_asked_before: WeakKeyDictionary[AsyncEngine, dict[bytes, Asked]] = WeakKeyDictionary()
_dependencies: WeakKeyDictionary[AsyncEngine, dict[str, Dependencies]] = WeakKeyDictionary()


async def _fresh(runtime: Runtime[Any], asked: Asked) -> tuple[bytes, bytes]:
    addresses = addresses_of(runtime)
    async with runtime.database.reading() as connection:
        page, stats = await queries.page_and_counts(connection, asked.wanted, asked.query, knobs=runtime.settings.knobs)
        rows = await with_tags(connection, page.rows)
    items = [UnifiedItem.of(row, addresses) for row in rows]
    return ListBody[UnifiedItem].of(page, items).model_dump_json().encode(), _stats(stats)


async def _fresh_stats(runtime: Runtime[Any], asked: Asked) -> bytes:
    async with runtime.database.reading() as connection:
        return _stats(await queries.counts(connection, asked.wanted.viewer))


def _stats(counts: dict[str, int]) -> bytes:
    return UnifiedStats(**counts).model_dump_json().encode()


def _joined(page: bytes, stats: bytes) -> bytes:
    return b'%b,"stats":%b}' % (page[:-1], stats)
