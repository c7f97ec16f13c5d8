"""A gallery: the running content service, and short ways to fill and ask it."""

import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from io import BytesIO
from typing import Any
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio
from PIL import Image
from sqlalchemy import text

from genonaut.content.interactions.counting import POPULARITY
from genonaut.content.service import service
from genonaut.content.tags.domain import id_of
from genonaut.platform.bus import Bus
from genonaut.platform.service import Runtime, Service
from genonaut.stack.servers import Nats, Postgres
from genonaut.testkit.platforms import FakeClock, Platform
from genonaut.testkit.servers import fresh_database


@dataclass
class Gallery:
    client: httpx.AsyncClient
    runtime: Runtime[Any]
    platform: Platform
    clock: FakeClock
    users: list[str] = field(default_factory=list)
    items: list[dict[str, Any]] = field(default_factory=list)

    async def get(self, path: str, **parameters: Any) -> dict[str, Any]:
        """The body of a 200."""
        response = await self.client.get(f"/api/v1{path}", params=parameters)
        assert response.status_code == 200, response.text
        body: dict[str, Any] = response.json()
        return body

    async def post(self, path: str, body: Any, *, status: int = 201) -> dict[str, Any]:
        response = await self.client.post(f"/api/v1{path}", json=body)
        assert response.status_code == status, response.text
        answer: dict[str, Any] = response.json()
        return answer

    async def put(self, path: str, body: Any) -> dict[str, Any]:
        """The body of a 200."""
        response = await self.client.put(f"/api/v1{path}", json=body)
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    async def user(self, username: str | None = None, **more: Any) -> str:
        """The id of a new user."""
        username = username or f"user-{uuid4().hex[:8]}"
        body = {"username": username, "email": f"{username}@example.org", **more}
        return str((await self.post("/users", body))["id"])

    async def item(self, creator_id: str, path: str = "/content", **more: Any) -> dict[str, Any]:
        body = {"title": "A lighthouse", "content_type": "image", "prompt": "a lighthouse at dusk"}
        return await self.post(path, {**body, "creator_id": creator_id, **more})

    async def image(self, data: bytes, *, user_id: str | None = None, media_type: str = "image/png") -> dict[str, Any]:
        """The answer to an upload."""
        response = await self.client.post(
            "/api/v1/images",
            content=data,
            headers={"Content-Type": media_type},
            params={"user_id": user_id} if user_id else None,
        )
        assert response.status_code == 201, response.text
        answer: dict[str, Any] = response.json()
        return answer

    async def delete(self, item: dict[str, Any]) -> None:
        """By its creator."""
        await self.done("DELETE", f"/content/{item['id']}", user_id=item["creator_id"])

    async def done(self, method: str, path: str, **parameters: Any) -> None:
        """An action that succeeds."""
        response = await self.client.request(method, f"/api/v1{path}", params=parameters)
        assert response.status_code == 200, response.text

    async def count_items(self, slug: str, *, items: int = 0, auto: int = 0) -> None:
        """As if there were so many public items with the tag."""
        async with self.runtime.database.transaction() as connection:
            for source, count in (("items", items), ("auto", auto)):
                row = {"tag_id": id_of(slug), "source": source, "count": count, "now": self.clock.now}
                await connection.execute(
                    text(
                        "INSERT INTO tag_cardinality_stats VALUES (:tag_id, :source, :count, :now)"
                        " ON CONFLICT (tag_id, content_source) DO UPDATE SET cardinality = EXCLUDED.cardinality"
                    ),
                    row,
                )

    async def ids(self, path: str, **parameters: Any) -> list[int]:
        return [item["id"] for item in (await self.get(path, **parameters))["items"]]

    async def rows(self, query: str, **parameters: Any) -> list[tuple[Any, ...]]:
        async with self.runtime.database.reading() as connection:
            return [tuple(row) for row in await connection.execute(text(query), parameters)]

    async def problem(self, method: str, path: str, **options: Any) -> tuple[int, str]:
        """Status and error code of a refusal, which has the agreed body."""
        response = await self.client.request(method, f"/api/v1{path}", **options)
        assert response.headers["content-type"] == "application/problem+json", response.text
        body = response.json()
        assert body["status"] == response.status_code
        assert body["success"] is False
        return response.status_code, body["error_code"]


@asynccontextmanager
async def opened(platform: Platform, service: Service[Any], **settings: Any) -> AsyncIterator[Gallery]:
    clock = FakeClock()
    async with platform.running(service, clock=clock, **settings) as running:
        yield Gallery(running.client, running.runtime, platform, clock)


@pytest.fixture(scope="session")
def gallery_of() -> type[Gallery]:
    return Gallery


@pytest_asyncio.fixture
async def gallery(platform: Platform, valkey: str) -> AsyncIterator[Gallery]:
    """A gallery of this test's own, whole."""
    async with opened(platform, service, redis_url=valkey) as gallery:
        yield gallery


@pytest_asyncio.fixture
async def still_gallery(platform: Platform, valkey: str) -> AsyncIterator[Gallery]:
    """A gallery of this test's own, in which nothing happens but what the test does."""
    async with opened(platform, replace(service, background=()), redis_url=valkey) as gallery:
        yield gallery


@pytest_asyncio.fixture(scope="session")
async def bare_gallery(
    postgres: Postgres, migrated_template: str, nats_server: Nats, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Gallery]:
    """One for all tests that are refused or find nothing: it holds neither items nor tags. HTTP only."""
    async with shared(postgres, migrated_template, nats_server, tmp_path_factory) as gallery:
        yield gallery


@pytest_asyncio.fixture(scope="session")
async def full_gallery(
    postgres: Postgres, migrated_template: str, nats_server: Nats, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Gallery]:
    """One for all tests that only look: `items` of three `users`, many alike in what they are sorted by. HTTP only.

    Of their tags, sea is below water, and that and wood are below nature; ocean is another word for sea. People did
    things with the items, which say beside what is shown of them how popular that made them.
    """
    async with shared(postgres, migrated_template, nats_server, tmp_path_factory) as gallery:
        choose = random.Random(4)
        gallery.users = [await gallery.user() for _ in range(3)]
        for slug, parent in (("water", "nature"), ("sea", "water"), ("wood", "nature")):
            await gallery.post("/tags", {"slug": slug, "parents": [parent]})
        await gallery.post(f"/tags/{id_of('sea')}/aliases", {"alias": "ocean"})
        for number in range(36):
            gallery.clock.now += timedelta(seconds=number % 3)
            item = await gallery.item(
                choose.choice(gallery.users),
                choose.choice(["/content", "/content-auto"]),
                title=f"{choose.choice(['Moon', 'moon', 'Sun'])} {number % 5}",
                prompt=choose.choice(["a dark forest", "DARK  water", "50% light_blue", "forest, not dark"]),
                quality_score=number % 4 / 4,
                tags=choose.sample(["sea", "sky", "wood", "night"], choose.randrange(4)),
                is_private=choose.random() < 0.3,
            )
            gallery.items.append(item)
        await live(gallery, choose)
        yield gallery


async def live(gallery: Gallery, choose: random.Random) -> None:
    """What people do with the items of the gallery, so that every list has rows, many of them at the same time."""
    popularity: Counter[int] = Counter()
    for user in gallery.users:
        seen = [item for item in gallery.items if not item["is_private"] or item["creator_id"] == user]
        for _ in range(4):
            gallery.clock.now += timedelta(seconds=1)
            done = [_interaction(user, item, choose) for item in [seen[0], *choose.choices(seen, k=3)]]
            await gallery.post("/interactions/bulk", done)
            for one in done:
                popularity[one["content_item_id"]] += POPULARITY[one["interaction_type"]]
        recommended = [
            {
                "user_id": user,
                "content_item_id": item["id"],
                "recommendation_score": choose.randrange(4) / 4,
                "algorithm_version": choose.choice(["editors@3", "editors@4"]),
            }
            for item in choose.sample(seen, 12)
        ]
        made = [each["id"] for each in (await gallery.post("/recommendations/bulk", recommended))["items"]]
        for ids in (made[:2], made[2:4]):
            gallery.clock.now += timedelta(seconds=1)
            await gallery.post(f"/recommendations/served?user_id={user}", {"recommendation_ids": ids}, status=200)
        for slug in choose.sample(["sea", "sky", "wood", "night"], 2):
            await gallery.done("POST", f"/tags/{id_of(slug)}/rate", user_id=user, rating=choose.randint(2, 10) / 2)
            await gallery.done("POST", f"/tags/{id_of(slug)}/favorite", user_id=user)
    for source in ("regular", "auto"):
        place, item = next(
            (place, item)
            for place, item in enumerate(gallery.items)
            if item["source_type"] == source and not item["is_private"]
        )
        for quality in (0.9, 0.8, 0.7, item["quality_score"]):
            gallery.clock.now += timedelta(seconds=1)
            path = f"/content/{item['id']}/quality?user_id={item['creator_id']}"
            gallery.items[place] = await gallery.put(path, {"quality_score": quality})
    for item in gallery.items:
        item["popularity"] = popularity[item["id"]]


def _interaction(user: str, item: dict[str, Any], choose: random.Random) -> dict[str, Any]:
    kind = choose.choice(["view", "view", "like", "rate"])
    more = {"rating": choose.randint(1, 5)} if kind == "rate" else {"duration": choose.choice([None, 3, 7])}
    return {"user_id": user, "content_item_id": item["id"], "interaction_type": kind, **more}


@asynccontextmanager
async def shared(
    postgres: Postgres, template: str, nats_server: Nats, folders: pytest.TempPathFactory
) -> AsyncIterator[Gallery]:
    """A gallery that leaves the streams alone, because they are each test's own."""
    bus = await Bus.connect(nats_server.url(), name="test")
    database = fresh_database(postgres, template=template)
    platform = Platform(database, nats_server, bus, folders.mktemp("objects").as_uri())
    async with opened(platform, replace(service, consumers=(), relays=False)) as gallery:
        yield gallery
    await bus.close()


def picture(seed: int, size: tuple[int, int] = (40, 30), form: str = "PNG") -> bytes:
    """A small image that no other seed has."""
    file = BytesIO()
    Image.linear_gradient("L").resize(size).point([(value * seed + seed) % 256 for value in range(256)]).convert(
        "RGB"
    ).save(file, form)
    return file.getvalue()


@pytest.fixture(name="picture", scope="session")
def picture_of() -> Any:
    return picture
