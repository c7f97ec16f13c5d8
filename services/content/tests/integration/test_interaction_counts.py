"""Every counter of interactions against a plain recount, whatever happens in whatever batches."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from genonaut.content.interactions.counting import EVERYONE, POPULARITY, STRIPES, TYPES
from genonaut.content.interactions.projection import interactions_projection
from genonaut.content.interactions.tables import (
    interactions,
    item_counts,
    item_facts,
    pairs,
    popularity,
    totals,
    user_counts,
    user_creators,
)
from genonaut.contracts import Envelope, Event
from genonaut.contracts.content import (
    InteractionChanged,
    InteractionDeleted,
    InteractionRecorded,
    ItemCreated,
    ItemDeleted,
    ItemMadePrivate,
    ItemMadePublic,
)
from genonaut.platform.projections import Recorded
from genonaut.testkit.envelopes import enveloped
from genonaut.testkit.projections import HOUR

PEOPLE = [UUID(int=number) for number in (1, 2, 2 + STRIPES)]
"""Two of them share a stripe."""
ITEMS = range(1, 5)

WISH = st.tuples(
    st.sampled_from(["record", "record", "record", "change", "change", "delete", "private", "public", "delete item"]),
    st.integers(0, 1000),
    st.sampled_from(PEOPLE),
    st.sampled_from(ITEMS),
    st.fixed_dictionaries(
        {
            "interaction_type": st.sampled_from(TYPES),
            "rating": st.none() | st.integers(1, 5),
            "duration": st.none() | st.integers(0, 3),
        }
    ),
)


class World:
    """What there is, in plain Python, and the events that lead to it."""

    def __init__(self) -> None:
        self.events: list[Recorded] = []
        self.items: dict[int, dict[str, Any]] = {}
        self.there: dict[int, dict[str, Any]] = {}
        self.recorded = 0
        for number in ITEMS:
            source, kind = [("items", "image"), ("auto", "image"), ("items", "text"), ("auto", "video")][number % 4]
            creator = PEOPLE[number % 3]
            item = {"creator": creator, "kind": f"{source}/{kind}", "private": number == 1, "deleted": False}
            self.items[number] = item
            created = ItemCreated(
                item_id=number,
                source_type=source,
                content_type=kind,
                title="t",
                prompt="p",
                creator_id=creator,
                is_private=item["private"],
            )
            self.say(created)

    def say(self, event: Event) -> None:
        time = HOUR + timedelta(hours=7 * len(self.events))
        self.events.append(Recorded.of(Envelope.from_json(enveloped(event, time=time).to_json())))

    def grant(self, wish: tuple[str, int, UUID, int, dict[str, Any]]) -> None:
        verb, which, user, item_id, facts = wish
        item = self.items[item_id]
        if verb == "record":
            self.recorded += 1
            self.say(InteractionRecorded(interaction_id=self.recorded, user_id=user, content_item_id=item_id, **facts))
            at = self.events[-1].envelope.time
            self.there[self.recorded] = {"user": user, "item": item_id, "at": at, **facts}
        elif verb in {"change", "delete"} and self.there:
            interaction_id = sorted(self.there)[which % len(self.there)]
            one = self.there[interaction_id]
            who = {"interaction_id": interaction_id, "user_id": one["user"], "content_item_id": one["item"]}
            if verb == "change":
                self.say(InteractionChanged(**who, **facts))
                one.update(facts)
            else:
                self.say(InteractionDeleted(**who))
                del self.there[interaction_id]
        elif verb in {"private", "public"} and item["private"] != (verb == "private"):
            item["private"] = verb == "private"
            self.say((ItemMadePrivate if item["private"] else ItemMadePublic)(item_id=item_id))
        elif verb == "delete item" and not item["deleted"]:
            item["deleted"] = True
            self.say(ItemDeleted(item_id=item_id, creator_id=item["creator"]))

    def recounted(self) -> dict[str, Counter[Any]]:
        found: dict[str, Counter[Any]] = {
            name: Counter() for name in ("user", "pair", "creator", "item", "total", "popularity")
        }
        for one in self.there.values():
            item = self.items[one["item"]]
            sees = ["total"] if item["private"] else ["total", "shown"]
            at = one["at"]
            of_item = [("all", "", 1), ("type", one["interaction_type"], 1), ("day", str(at.date()), 1)]
            if one["rating"] is not None:
                of_item.append(("rating", str(one["rating"]), 1))
            if one["duration"] is not None:
                of_item += [("duration", "count", 1), ("duration", "seconds", one["duration"])]
            of_user = [
                *of_item,
                ("kind", item["kind"], 1),
                ("hour", str(at.hour), 1),
                ("weekday", str(at.weekday()), 1),
            ]
            for column in sees:
                for facet, value, count in of_user:
                    found["user"][one["user"], facet, value, column] += count
                found["pair"][one["user"], one["item"], column] += 1
                found["creator"][one["user"], item["creator"], column] += 1
            for facet, value, count in of_item:
                found["item"][one["item"], facet, value] += count
                if facet in {"type", "rating"} or (facet == "day" and not item["private"]):
                    found["total"][item["creator"] if item["private"] else EVERYONE, facet, value] += count
            if not item["deleted"]:
                found["popularity"][one["item"]] += POPULARITY[one["interaction_type"]]
        for item_id in ITEMS:
            users = {one["user"] for one in self.there.values() if one["item"] == item_id}
            found["item"][item_id, "users", ""] = len(users)
        shown = [one for one in self.there.values() if not self.items[one["item"]]["private"]]
        found["total"][EVERYONE, "users", ""] = len({one["user"] for one in shown})
        found["total"][EVERYONE, "items", ""] = len({one["item"] for one in shown})
        return {name: Counter({key: count for key, count in counts.items() if count}) for name, counts in found.items()}


async def counted(connection: Any) -> dict[str, Counter[Any]]:
    """The tables in the same shape. A row that counts nothing shows as a 0, which no recount has."""

    async def rows(table: Any) -> Sequence[Any]:
        return [tuple(row) for row in await connection.execute(select(table))]

    found: dict[str, Counter[Any]] = {}
    for name, table in (("user", user_counts), ("pair", pairs), ("creator", user_creators)):
        counts: Counter[Any] = Counter()
        for *key, shown, total in await rows(table):
            counts[*key, "total"] = total
            if shown:
                counts[*key, "shown"] = shown
        found[name] = counts
    found["item"] = Counter({tuple(key): total for *key, total in await rows(item_counts)})
    summed: Counter[Any] = Counter()
    for audience, facet, value, _, total in await rows(totals):
        assert total != 0
        summed[audience, facet, value] += total
    found["total"] = Counter({key: total for key, total in summed.items() if total})
    found["popularity"] = Counter({item_id: score for item_id, score in await rows(popularity) if score})
    return found


@pytest_asyncio.fixture
async def connection(tables_of):
    async with tables_of("content") as tables:
        yield tables.connection


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(wishes=st.lists(WISH, max_size=40), sizes=st.lists(st.integers(1, 12), min_size=1))
async def test_every_counter_is_what_a_recount_finds(connection, wishes, sizes) -> None:
    world = World()
    for wish in wishes:
        world.grant(wish)

    trial = await connection.begin_nested()
    left, number = list(world.events), 0
    while left:
        size = sizes[number % len(sizes)]
        await interactions_projection.apply(connection, left[:size])
        left, number = left[size:], number + 1

    try:
        assert await counted(connection) == world.recounted()
        rows = (await connection.execute(select(interactions))).mappings()
        assert {row["id"]: row["audience"] for row in rows} == {
            interaction_id: world.items[one["item"]]["creator"] if world.items[one["item"]]["private"] else EVERYONE
            for interaction_id, one in world.there.items()
        }
        ranked = {row.item_id for row in await connection.execute(select(popularity))}
        assert ranked == {item_id for item_id, item in world.items.items() if not item["deleted"]}
        assert len((await connection.execute(select(item_facts))).all()) == len(ITEMS)
    finally:
        await trial.rollback()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(wishes=st.lists(WISH, max_size=30))
async def test_what_is_taken_back_leaves_no_row_behind(connection, wishes) -> None:
    world = World()
    for wish in wishes:
        world.grant(wish)
    while world.there:
        world.grant(("delete", 0, PEOPLE[0], 1, {}))

    trial = await connection.begin_nested()
    try:
        for each in world.events:
            await interactions_projection.apply(connection, [each])
        for table in (interactions, user_counts, pairs, user_creators, item_counts, totals):
            assert (await connection.execute(select(table))).all() == []
    finally:
        await trial.rollback()
