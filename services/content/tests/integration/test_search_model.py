"""Whatever happens to items, however much of it is folded: lists show what a plain list would."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest

from genonaut.content.interactions.counting import POPULARITY
from genonaut.content.search import folding, upkeep
from genonaut.content.search import queries as search_queries
from genonaut.content.search.keys import tag_key
from genonaut.content.search.planner import Plan, Strategy
from genonaut.content.search.terms import Except, Has, every

TAGS = ["sea", "sky", "wood", "night", "storm", "gull"]
UNUSED = tag_key(1_000_000)
"""A key that no item has."""
SOURCES = {"/content": "regular", "/content-auto": "auto"}
KINDS = ["user-regular", "user-auto", "community-regular", "community-auto"]
SORTS: dict[str, Callable[["Made"], Any]] = {
    "created_at": lambda made: made.created_at,
    "updated_at": lambda made: made.updated_at,
    "quality_score": lambda made: made.quality,
    "title": lambda made: made.title,
    "popularity": lambda made: made.popularity,
}


@dataclass
class Made:
    """An item as it should be."""

    id: int
    source: str
    creator: str
    created_at: datetime
    updated_at: datetime
    title: str
    prompt: str
    tags: list[str]
    quality: float
    is_private: bool
    popularity: int = 0


@dataclass
class Model:
    """A plain list of items, and everything that can happen to it, here and in the gallery."""

    gallery: Any
    choose: random.Random
    users: list[str]
    made: dict[int, Made] = field(default_factory=dict)
    asked: list[dict[str, Any]] = field(default_factory=list)
    """What was asked before, so that the first page of it may be kept."""

    async def happen(self) -> None:
        """One thing, at random."""
        things = [self.create, self.create, self.create, self.create_late, self.retag, self.judge, self.flip]
        await self.choose.choice([*things, self.rename, self.delete, self.fold, self.like])()

    async def create(self) -> None:
        clock = self.gallery.clock
        clock.now += timedelta(seconds=self.choose.choice([0, 0, 1]))
        creator, path = self.choose.choice(self.users), self.choose.choice(list(SOURCES))
        body = {
            "title": f"{self.choose.choice(['Moon', 'Sun'])} {self.choose.randrange(4)}",
            "prompt": self.choose.choice(["a dark forest", "dark water", "50% light_blue"]),
            "tags": self.choose.sample(TAGS, self.choose.randrange(4)),
            "quality_score": self.choose.choice([0, 0.5, 0.5, 0.25, 0.7531]),
            "is_private": self.choose.random() < 0.25,
        }
        item = await self.gallery.item(creator, path, **body)
        self.made[item["id"]] = Made(
            id=item["id"],
            source=SOURCES[path],
            creator=creator,
            created_at=clock.now,
            updated_at=clock.now,
            title=body["title"],
            prompt=body["prompt"],
            tags=body["tags"],
            quality=body["quality_score"],
            is_private=body["is_private"],
        )

    async def create_late(self) -> None:
        """As if its transaction had taken long, or it were imported: behind it are items that were made after it."""
        clock = self.gallery.clock
        now = clock.now
        clock.now -= timedelta(seconds=self.choose.choice([1, 5, 30, 300]))
        await self.create()
        clock.now = now

    async def retag(self) -> None:
        await self._change(tags=self.choose.sample(TAGS, self.choose.randrange(4)))

    async def flip(self) -> None:
        if made := self._any():
            await self._change(made, is_private=not made.is_private)

    async def rename(self) -> None:
        await self._change(title=f"Star {self.choose.randrange(4)}")

    async def judge(self) -> None:
        if made := self._any():
            made.quality = self.choose.choice([0, 0.001, 0.5, 0.9, round(self.choose.random(), 3)])
            await self._put(made, "/quality", {"quality_score": made.quality})

    async def delete(self) -> None:
        if made := self._any():
            path = f"/api/v1/content/{made.id}"
            response = await self.gallery.client.delete(path, params={"user_id": made.creator})
            assert response.status_code == 200, response.text
            del self.made[made.id]

    async def fold(self) -> None:
        database = self.gallery.runtime.database
        if self.choose.random() < 0.2:
            await upkeep.fold_everything(database)
        else:
            await upkeep.fold_what_is_due(database, self.gallery.clock())

    async def like(self) -> None:
        """By its creator, who sees it in any case."""
        if made := self._any():
            body = {"user_id": made.creator, "content_item_id": made.id, "interaction_type": "like"}
            await self.gallery.post("/interactions", body)
            made.popularity += POPULARITY["like"]

    def _any(self) -> Made | None:
        return self.choose.choice(list(self.made.values())) if self.made else None

    async def _change(self, made: Made | None = None, **changes: Any) -> None:
        if made := made or self._any():
            for name, value in changes.items():
                setattr(made, name, value)
            await self._put(made, "", changes)

    async def _put(self, made: Made, path: str, body: dict[str, Any]) -> None:
        self.gallery.clock.now += timedelta(milliseconds=1)
        response = await self.gallery.client.put(
            f"/api/v1/content/{made.id}{path}", json=body, params={"user_id": made.creator}
        )
        assert response.status_code == 200, response.text
        if datetime.fromisoformat(response.json()["updated_at"]) == self.gallery.clock.now:
            made.updated_at = self.gallery.clock.now

    def question(self) -> dict[str, Any]:
        """Parameters of the unified list."""
        asked: dict[str, Any] = {
            "content_source_types": self.choose.sample(KINDS, self.choose.choice([1, 2, 3, 4, 4, 4])),
            "user_id": self.choose.choice(self.users),
            "tag": self.choose.sample([*TAGS, "unknown"], self.choose.choice([0, 0, 1, 2, 3])),
            "tag_match": self.choose.choice(["any", "all"]),
            "exclude_tag": self.choose.sample(TAGS, self.choose.choice([0, 0, 1, 2])),
            "sort_field": self.choose.choice(list(SORTS)),
            "sort_order": self.choose.choice(["asc", "desc"]),
            "page_size": self.choose.choice([1, 3, 10]),
        }
        if self.choose.random() < 0.2:
            asked["search_term"] = self.choose.choice(["dark", '"dark forest"', "50%", "moon water"])
        if self.choose.random() < 0.2:
            asked["min_quality_score"] = self.choose.choice([0.0, 0.001, 0.25, 0.5, 0.6, 0.7531])
        return asked

    def answer(self, asked: dict[str, Any]) -> list[int]:
        """The ids of the whole list."""
        found = [made for made in self.made.values() if self._meets(made, asked)]
        found.sort(key=lambda made: (SORTS[asked["sort_field"]](made), made.id), reverse=asked["sort_order"] == "desc")
        return [made.id for made in found]

    def _meets(self, made: Made, asked: dict[str, Any]) -> bool:
        viewer = asked["user_id"]
        if made.is_private and made.creator != viewer:
            return False
        kind = f"{'user' if made.creator == viewer else 'community'}-{made.source}"
        tags, wanted = set(made.tags), set(asked["tag"])
        tagged = not wanted or (wanted <= tags if asked["tag_match"] == "all" else bool(wanted & tags))
        text = f"{made.title}\n{made.prompt}".lower()
        phrases = {'"dark forest"': ["dark forest"]}.get(asked.get("search_term", ""))
        words = phrases or asked.get("search_term", "").split()
        return (
            kind in asked["content_source_types"]
            and tagged
            and not tags & set(asked["exclude_tag"])
            and made.quality >= asked.get("min_quality_score", 0)
            and all(word in text for word in words)
        )

    async def look_again(self) -> None:
        """The first page of what was asked before is what it should be now, if it is kept or not."""
        for asked in self.choose.sample(self.asked, min(3, len(self.asked))):
            body, expected = await self.gallery.get("/content/unified", **asked), self.answer(asked)
            assert [item["id"] for item in body["items"]] == expected[: asked["page_size"]], asked
            assert body["pagination"]["total_count"] == len(expected), asked

    async def check_latest(self) -> None:
        """The latest of several terms, found together, are the latest of each of them, whoever may see them."""
        wanted, unwanted, most = self.choose.choice(TAGS), self.choose.choice(TAGS), self.choose.choice([1, 3, 50])
        keys = dict(await self.gallery.rows("SELECT t.slug, k.key FROM search_keys k JOIN tags t ON t.id = k.id"))
        one, other = (Has(keys.get(slug, UNUSED)) for slug in (wanted, unwanted))
        latest = sorted(self.made.values(), key=lambda made: (made.created_at, made.id), reverse=True)
        tests: list[Callable[[set[str]], bool]] = [
            lambda tags: wanted in tags,
            lambda tags: {wanted, unwanted} <= tags,
            lambda tags: wanted in tags and unwanted not in tags,
        ]
        expected = {made.id for test in tests for made in [each for each in latest if test(set(each.tags))][:most]}

        async with self.gallery.runtime.database.reading() as connection:
            terms = [one, every([one, other]), Except(one, other)]
            assert set(await search_queries.latest(connection, terms, most=most)) == expected

    async def check(self, asked: dict[str, Any]) -> None:
        """Every page of the list, by number and by cursor, forwards and backwards, has what it should."""
        self.asked.append(asked)
        expected = self.answer(asked)
        size = asked["page_size"]
        body = await self.gallery.get("/content/unified", **asked)
        walked = list(body["items"])
        assert body["pagination"]["total_count"] == len(expected), asked
        if expected:
            number = self.choose.randrange(-(-len(expected) // size))
            page = await self.gallery.get("/content/unified", **asked, page=number + 1)
            shown = [item["id"] for item in page["items"]]
            assert shown == expected[number * size : (number + 1) * size], asked
            assert page["pagination"]["has_next"] == ((number + 1) * size < len(expected))
            assert page["pagination"]["has_previous"] == (number > 0)
        while cursor := body["pagination"]["next_cursor"]:
            body = await self.gallery.get("/content/unified", **asked, cursor=cursor)
            assert body["pagination"]["total_count"] == len(expected)
            assert body["skip"] == len(walked), asked
            walked += body["items"]
        assert [item["id"] for item in walked] == expected, asked
        back = list(body["items"])
        while cursor := body["pagination"]["prev_cursor"]:
            body = await self.gallery.get("/content/unified", **asked, cursor=cursor)
            back = [*body["items"], *back]
        assert [item["id"] for item in back] == expected, asked
        last = await self.gallery.get("/content/unified", **asked, backward=True)
        assert [item["id"] for item in last["items"]] == expected[-size:], asked


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks that are full after a few items, so that there are many, and limits that are reached."""
    monkeypatch.setattr(folding, "BLOCK_SIZE", 16)
    monkeypatch.setattr(folding, "FULL_AFTER_MERGE", 12)
    monkeypatch.setattr(folding, "KEEP", 3)
    monkeypatch.setattr(folding, "BATCH", 4)
    monkeypatch.setattr(folding, "MERGE", 2)
    monkeypatch.setattr(upkeep, "CHANGED", 3)


@pytest.mark.parametrize("seed", range(4))
async def test_lists_show_what_a_plain_list_would(
    gallery: Any, small: None, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    choose = random.Random(seed)
    monkeypatch.setattr(search_queries, "GATHERED", choose.choice([0, 8, 3000]))
    monkeypatch.setattr(search_queries, "WALKED", choose.choice([0, 10, 30_000]))
    monkeypatch.setattr(search_queries, "STRIDE", choose.choice([1, 4, 256]))
    monkeypatch.setattr(search_queries, "LOOKED_AT", choose.choice([0, 5, 1_000]))
    monkeypatch.setattr(search_queries, "TESTED", choose.choice([0, 8, 20_000]))
    if seed:  # each way of finding has to find the same
        monkeypatch.setattr(search_queries, "plan", lambda *_, **__: Plan(choose.choice(list(Strategy)), 0))
    model = Model(gallery, choose, [await gallery.user() for _ in range(3)])
    for step in range(160):
        await model.happen()
        await model.look_again()
        if step % 20 == 19:
            for _ in range(3):
                await model.check(model.question())
                await model.check_latest()
            assert not await upkeep.recount(gallery.runtime.database, repair=False)
