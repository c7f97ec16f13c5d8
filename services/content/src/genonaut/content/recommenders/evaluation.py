"""How well algorithms do on what people did: the log up to a time is what they know, the rest is what they shall find.

The log is replayed through the projections themselves into temporary tables, which stand before the live ones for this
one connection and are gone with it. Asked are people who then did something with items that were there already, were
public, not theirs and new to them.
"""

import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import combinations
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.interactions.projection import interactions_projection
from genonaut.content.items.projection import items_projection
from genonaut.content.recommendations.projection import recommendations_projection
from genonaut.content.recommenders import log, queries
from genonaut.content.recommenders.algorithms import called
from genonaut.content.recommenders.domain import Algorithm
from genonaut.content.search.folding import fold
from genonaut.content.search.projection import search_projection
from genonaut.content.search.tables import search_blocks, search_positions, search_segments, search_tail
from genonaut.content.tag_opinions.projection import tag_opinions_projection
from genonaut.platform.database import Database, driver_of

PROJECTIONS = (
    items_projection,
    search_projection,
    interactions_projection,
    tag_opinions_projection,
    recommendations_projection,
)
"""Whose tables the evidence is read from."""
INDEX = (search_blocks, search_positions, search_segments, search_tail)
BATCH = 1000
PAIRS = 2000
"""Of users whose lists are compared for the overlap."""
RANDOM = "random"

Progress = Callable[[int, int], None]


class NothingToEvaluateError(Exception):
    """Nobody did anything after the split that could have been recommended."""


@dataclass(frozen=True)
class Result:
    """Of one algorithm. All are shares from 0 to 1."""

    algorithm: str
    recall: float
    """Of what a user did afterwards, the share that is among their k, averaged over users."""
    hit_rate: float
    """Of users, those with at least one of it among their k."""
    coverage: float
    """Of the public items, those that are recommended to somebody."""
    overlap: float
    """Of two users' lists, the share in common of all that is in either, averaged."""
    answered: float
    """Of users, those who are recommended anything."""
    answered_new: float | None
    """Of those of them who had done nothing before; None when there are none."""


@dataclass(frozen=True)
class Evaluation:
    k: int
    users: int
    new_users: int
    items: int
    events: int
    """Replayed."""
    results: Sequence[Result]


@dataclass(frozen=True)
class _Lists:
    """What was recommended to each user, and what they did then."""

    lists: Mapping[UUID, Sequence[int]]
    truth: Mapping[UUID, AbstractSet[int]]
    new: AbstractSet[UUID]
    items: int

    def result(self, name: str, choose: random.Random) -> Result:
        found = {user: len(self.truth[user] & set(items)) for user, items in self.lists.items()}
        return Result(
            algorithm=name,
            recall=_mean([found[user] / len(self.truth[user]) for user in self.lists]),
            hit_rate=_mean([found[user] > 0 for user in self.lists]),
            coverage=len({item for items in self.lists.values() for item in items}) / self.items,
            overlap=self._overlap(choose),
            answered=_mean([bool(items) for items in self.lists.values()]),
            answered_new=_mean([bool(self.lists[user]) for user in self.new]) if self.new else None,
        )

    def _overlap(self, choose: random.Random) -> float:
        lists = [set(items) for items in self.lists.values() if items]
        pairs = list(combinations(range(len(lists)), 2)) if len(lists) < 100 else []  # noqa: PLR2004 - else drawn
        pairs = pairs or [(choose.randrange(len(lists)), choose.randrange(len(lists))) for _ in range(PAIRS)]
        common = [len(lists[a] & lists[b]) / len(lists[a] | lists[b]) for a, b in pairs if a != b]
        return _mean(common)


async def evaluate(
    database: Database,
    algorithms: Sequence[Algorithm],
    *,
    split: float,
    k: int,
    users: int,
    progress: Progress = lambda *_: None,
    seed: int = 1,
) -> Evaluation:
    """Each of the algorithms and chance, on up to so many users. `database` is connected as the schema's owner.

    Raises NothingToEvaluateError.
    """
    choose = random.Random(seed)  # noqa: S311 - a sample
    async with _scratch(database) as connection:
        cut = await log.cut(connection, split)
        total = await log.count_until(connection, cut, _types())
        done = 0
        async for done in _replay(connection, cut):
            progress(done, total)
        await _index(connection)
        async with connection.begin():
            truth = await log.done_after(connection, cut)
            catalog = await log.catalog(connection)
        asked = sorted(truth)
        if not asked:
            raise NothingToEvaluateError("Nobody did anything after the split that could have been recommended.")
        asked = sorted(choose.sample(asked, min(users, len(asked))))
        lists: dict[str, dict[UUID, list[int]]] = {name: {} for name in (*map(called, algorithms), RANDOM)}
        new = set()
        for number, user in enumerate(asked):
            async with connection.begin():
                known = await queries.evidence(connection, user)
                seen = await log.seen(connection, user)
            if not seen:
                new.add(user)
            for algorithm in algorithms:
                lists[called(algorithm)][user] = [pick.item_id for pick in algorithm.rank(known, k)]
            lists[RANDOM][user] = _by_chance(catalog, seen, user, k, choose)
            progress(total + number + 1, total + len(asked))
    results = [_Lists(found, truth, new, len(catalog)).result(name, choose) for name, found in lists.items()]
    return Evaluation(k, len(asked), len(new), len(catalog), done, results)


def _types() -> list[str]:
    return sorted({type_ for projection in PROJECTIONS for type_ in projection.event_types})


@asynccontextmanager
async def _scratch(database: Database) -> AsyncIterator[AsyncConnection]:
    """A connection on which the tables of the projections are empty ones of its own."""
    async with database.engine.connect() as connection:
        tables = [*(table for projection in PROJECTIONS for table in projection.tables), *INDEX]
        async with connection.begin():
            await log.stand_before(connection, tables)
        try:
            yield connection
        finally:
            await connection.invalidate()  # so that the pool gives the temporary tables to nobody


async def _replay(connection: AsyncConnection, cut: int) -> AsyncIterator[int]:
    """How many events are done, now and then."""
    position = done = 0
    while True:
        async with connection.begin():
            recorded, position = await log.log_after(connection, position, cut, _types(), BATCH)
            if not recorded:
                return
            for projection in PROJECTIONS:
                await projection.apply(connection, recorded)
        done += len(recorded)
        yield done


async def _index(connection: AsyncConnection) -> None:
    """What triggers and the upkeep of search do with the live tables."""
    async with connection.begin():
        await log.note_all(connection)
    while True:
        async with connection.begin():  # each by itself: folding keeps others from adding items meanwhile
            if not await log.unfolded(connection):
                break
            await fold(await driver_of(connection), keep=0, batch=BATCH)
    async with connection.begin():
        await log.analyze(connection)


def _by_chance(
    catalog: Mapping[int, UUID], seen: AbstractSet[int], user: UUID, k: int, choose: random.Random
) -> list[int]:
    new = [item_id for item_id, creator in catalog.items() if creator != user and item_id not in seen]
    return choose.sample(new, min(k, len(new)))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
