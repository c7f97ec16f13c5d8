"""A list that is walked while it changes: what is there all the time is seen once, in its order, whatever happens."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import cycle, pairwise
from typing import Any

import pytest

from genonaut.content.interactions.counting import POPULARITY
from genonaut.content.search import folding, upkeep
from genonaut.content.search import queries as search_queries

SORTS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "created_at": lambda item: datetime.fromisoformat(item["created_at"]),
    "updated_at": lambda item: datetime.fromisoformat(item["updated_at"]),
    "quality_score": lambda item: item["quality_score"],
    "title": lambda item: item["title"],
    "popularity": lambda item: item["popularity"],
}
SHOWN = set(SORTS) - {"popularity"}
"""Sort values that are in the body."""
KINDS = ["create", "retag", "flip", "create", "judge", "delete", "rename", "like"]
"""What the writers do in turn."""
PACE = 4
"""So much of it happens between two pages, so that each walk meets all of it."""
MOMENTS = 6
"""At as few moments everything is made, so that many items are of the same."""


@dataclass
class Crowd:
    """People who write without a pause, each with items of their own, and one who folds."""

    gallery: Any
    begin: datetime
    over: bool = False
    happened: Counter[str] = field(default_factory=Counter)
    _next: Iterator[str] = field(default_factory=lambda: cycle(KINDS))
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def write(self, seed: int) -> None:
        choose, own = random.Random(seed), list[dict[str, Any]]()
        user = await self.gallery.user()
        while not self.over:
            # Items are made before and after those that are there, and between them.
            self.gallery.clock.now = self.begin + timedelta(seconds=choose.randrange(-1, MOMENTS + 1))
            kind = next(self._next) if own else "create"
            await self._happen(kind, choose, user, own)
            await self._tell(kind)

    async def _happen(self, kind: str, choose: random.Random, user: str, own: list[dict[str, Any]]) -> None:
        item = choose.choice(own) if own else {}
        path = f"/content/{item.get('id')}"
        match kind:
            case "create":
                path = choose.choice(["/content", "/content-auto"])
                own.append(await self.gallery.item(user, path, **_features(choose)))
            case "retag":
                await self.gallery.put(
                    f"{path}?user_id={user}", {"tags": choose.choice([["sea"], ["sea", "wood"], ["night"]])}
                )
            case "flip":
                item["is_private"] = not item["is_private"]
                await self.gallery.put(f"{path}?user_id={user}", {"is_private": item["is_private"]})
            case "judge":
                await self.gallery.put(f"{path}/quality?user_id={user}", {"quality_score": choose.random()})
            case "rename":
                await self.gallery.put(f"{path}?user_id={user}", {"title": choose.choice(["Moon", "Star", "Sun"])})
            case "like":
                body = {"user_id": user, "content_item_id": item["id"], "interaction_type": "like"}
                await self.gallery.post("/interactions", body)
            case "delete":
                own.remove(item)
                await self.gallery.delete(item)

    async def fold(self) -> None:
        database = self.gallery.runtime.database
        while not self.over:
            await self.something_else(PACE)
            await upkeep.fold_everything(database)
            await self._tell("fold")

    async def something_else(self, times: int) -> None:
        """Returns when so much has happened since."""
        seen = self.happened.total()
        async with self._news:
            await self._news.wait_for(lambda: self.over or self.happened.total() >= seen + times)

    async def stop(self) -> None:
        self.over = True
        async with self._news:
            self._news.notify_all()

    async def _tell(self, kind: str) -> None:
        self.happened[kind] += 1
        async with self._news:
            self._news.notify_all()


def _features(choose: random.Random) -> dict[str, Any]:
    """Of an item that is asked for, unless it is private."""
    return {
        "title": choose.choice(["Moon", "Sun"]),
        "prompt": "a dark forest",
        "tags": ["sea", *choose.sample(["night", "sky"], choose.randrange(3))],
        "quality_score": choose.choice([0, 0.25, 0.5, 0.7531]),
        "is_private": choose.random() < 0.2,
    }


async def settle(gallery: Any, viewer: str) -> list[dict[str, Any]]:
    """Items that nobody touches, all of which the viewer sees."""
    choose, begin = random.Random(7), gallery.clock.now
    items = []
    for number in range(30):
        gallery.clock.now = begin + timedelta(seconds=number % MOMENTS)
        item = await gallery.item(viewer, choose.choice(["/content", "/content-auto"]), **_features(choose))
        likes = choose.choice([0, 0, 1, 2])
        for _ in range(likes):
            body = {"user_id": viewer, "content_item_id": item["id"], "interaction_type": "like"}
            await gallery.post("/interactions", body)
        items.append({**item, "popularity": likes * POPULARITY["like"]})
    return items


async def walk(crowd: Crowd, *, backward: bool, **asked: Any) -> list[dict[str, Any]]:
    """Every item on the way from one end of the list to the other, in the order of the list."""
    seen: list[dict[str, Any]] = []
    body = await crowd.gallery.get("/content/unified", **asked, backward=backward)
    while True:
        seen = [*body["items"], *seen] if backward else [*seen, *body["items"]]
        cursor = body["pagination"]["prev_cursor" if backward else "next_cursor"]
        if cursor is None:
            return seen
        await crowd.something_else(PACE)
        body = await crowd.gallery.get("/content/unified", **asked, cursor=cursor)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks that are full after a few items, so that folding does all that it can."""
    for name, value in {"BLOCK_SIZE": 16, "FULL_AFTER_MERGE": 12, "KEEP": 3, "BATCH": 4, "MERGE": 2}.items():
        monkeypatch.setattr(folding, name, value)


@dataclass
class Way:
    """How pages are found: by these sorts, with these limits, for a question that has this in it, too."""

    sorts: list[str]
    limits: dict[str, int] = field(default_factory=dict)
    asked: dict[str, Any] = field(default_factory=dict)


WAYS = {
    "all that is found is sorted": Way(list(SORTS)),
    "an index is walked": Way(["updated_at", "quality_score", "title", "popularity"], {"GATHERED": 0, "STRIDE": 4}),
    "steps of quality are looked at": Way(["quality_score"], {"GATHERED": 20, "STRIDE": 4}),
    "now the one, now the other": Way(["quality_score", "title"], {"GATHERED": 34, "STRIDE": 4}),
    "words are looked for": Way(["created_at", "title"], asked={"search_term": "dark forest"}),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
async def test_what_is_there_all_the_time_is_seen_once(
    still_gallery: Any, small: None, monkeypatch: pytest.MonkeyPatch, way: Way
) -> None:
    for name, value in way.limits.items():
        monkeypatch.setattr(search_queries, name, value)
    viewer = await still_gallery.user()
    crowd = Crowd(still_gallery, still_gallery.clock.now)
    staying = await settle(still_gallery, viewer)
    asked = {"user_id": viewer, "tag": "sea", "exclude_tag": "wood", "page_size": 7, **way.asked}
    walks = [(sort, order, backward) for sort in way.sorts for order in ("asc", "desc") for backward in (False, True)]

    async with asyncio.TaskGroup() as tasks:
        for seed in range(3):
            tasks.create_task(crowd.write(seed))
        tasks.create_task(crowd.fold())
        walked = await asyncio.gather(
            *(
                walk(crowd, backward=backward, sort_field=sort, sort_order=order, **asked)
                for sort, order, backward in walks
            )
        )
        await crowd.stop()

    assert crowd.happened.keys() == {*KINDS, "fold"}
    ids = {item["id"] for item in staying}
    for (sort, order, backward), seen in zip(walks, walked, strict=True):
        place = sort, order, backward
        falling = order == "desc"
        ordered = sorted(staying, key=lambda item: (SORTS[sort](item), item["id"]), reverse=falling)
        assert [item["id"] for item in seen if item["id"] in ids] == [item["id"] for item in ordered], place
        if sort in SHOWN:
            # Also of what changes: a page begins beyond the last one, by what both have shown.
            keys = [(SORTS[sort](item), item["id"]) for item in seen]
            assert all((before > after) if falling else (before < after) for before, after in pairwise(keys)), place
        if sort == "created_at":
            assert len({item["id"] for item in seen}) == len(seen), place
    assert {item["id"] for seen in walked for item in seen} - ids, "nothing that came meanwhile was seen"
    assert not await upkeep.recount(still_gallery.runtime.database, repair=False)
