"""Many who record at the same time: nobody waits for whom they need not, nobody in a circle, and all is counted."""

import asyncio
import random
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from genonaut.content.interactions import commands
from genonaut.content.interactions.counting import STRIPES, TYPES, stripe_of_item, stripe_of_user
from genonaut.content.interactions.domain import Draft, Facts
from genonaut.content.interactions.projection import interactions_projection
from genonaut.platform import database
from genonaut.platform.replay import Rebuild
from genonaut.platform.trouble import is_conflict, sqlstate

SECONDS = 20
"""Far more than anything here takes, less than a statement may."""


async def users_of_different_stripes(gallery) -> tuple[str, str]:
    first = await gallery.user()
    for _ in range(20):
        other = await gallery.user()
        if stripe_of_user(UUID(other)) != stripe_of_user(UUID(first)):
            return first, other
    raise AssertionError(f"20 users share one of {STRIPES} stripes")


async def test_who_records_does_not_wait_for_who_has_not_committed_yet(gallery) -> None:
    ada, bob = await users_of_different_stripes(gallery)
    items = [await gallery.item(ada), await gallery.item(ada)]
    assert stripe_of_item(items[0]["id"]) != stripe_of_item(items[1]["id"])
    store = gallery.runtime.store
    draft = Draft(UUID(ada), items[0]["id"], Facts("rate", rating=4, duration=3))

    async with gallery.runtime.database.transaction() as slow:
        await commands.record(store, slow, [draft])
        async with asyncio.timeout(SECONDS):
            answer = await gallery.post(
                "/interactions",
                {
                    "user_id": bob,
                    "content_item_id": items[1]["id"],
                    "interaction_type": "rate",
                    "rating": 4,
                    "duration": 3,
                },
            )
        assert answer["id"]

    assert (await gallery.get("/interactions/analytics/global"))["total_interactions"] == 2


@dataclass
class Crowd:
    """Users who do things with the same few items, and what has been recorded of it."""

    gallery: Any
    users: list[str]
    items: list[int]
    choose: random.Random = field(default_factory=lambda: random.Random(7))
    recorded: list[int] = field(default_factory=list)

    def body(self, user: str) -> dict[str, Any]:
        kind = self.choose.choice(TYPES)
        rating = {"rating": self.choose.randint(1, 5)} if kind == "rate" else {}
        return {
            "user_id": user,
            "content_item_id": self.choose.choice(self.items),
            "interaction_type": kind,
            **rating,
        }

    async def bulks(self) -> None:
        for _ in range(6):
            bodies = [self.body(self.choose.choice(self.users)) for _ in range(40)]
            answer = await self.gallery.post("/interactions/bulk?partial=true", bodies)
            self.recorded += [result["id"] for result in answer["results"] if result["id"]]

    async def single(self, user: str) -> None:
        for _ in range(15):
            answer = await self.gallery.client.post("/api/v1/interactions", json=self.body(user))
            assert answer.status_code in {201, 422}  # the item may be private by now

    async def second_thoughts(self) -> None:
        for number in range(30):
            path = f"/api/v1/interactions/{self.choose.choice(self.recorded)}"
            if number % 2:
                answer = await self.gallery.client.put(path, json={"duration": number})
            else:
                answer = await self.gallery.client.delete(path)
            assert answer.status_code in {200, 404}

    async def privacy(self) -> None:
        """The first item becomes private, public, private …"""
        for number in range(10):
            path = f"/api/v1/content/{self.items[0]}?user_id={self.users[0]}"
            answer = await self.gallery.client.put(path, json={"is_private": number % 2 == 0})
            assert answer.status_code == 200, answer.text


async def test_a_crowd_is_counted_whole_and_never_stuck_in_a_circle(gallery, monkeypatch) -> None:
    """Bulks over the same items in any order, single ones, changes, deletions, and an item that changes its privacy."""
    conflicts: list[str] = []

    def noting(error: BaseException) -> bool:
        conflicts.append(sqlstate(error))
        return is_conflict(error)

    monkeypatch.setattr(database, "is_conflict", noting)
    users = [await gallery.user() for _ in range(4)]
    crowd = Crowd(gallery, users, [(await gallery.item(users[0]))["id"] for _ in range(5)])
    await crowd.bulks()

    async with asyncio.timeout(120):
        await asyncio.gather(
            *(crowd.bulks(), crowd.bulks(), crowd.second_thoughts(), crowd.privacy()),
            *(crowd.single(user) for user in users),
        )

    assert "40P01" not in conflicts
    async with gallery.platform.database("content", as_owner=True) as owner:
        rebuild = Rebuild(interactions_projection, service="content", database=owner, bus=None)
        report = await rebuild.run(swap=False, progress=lambda *_: None)
    assert report.equal, report
    ((there,),) = await gallery.rows("SELECT count(*) FROM user_interactions")
    by_user = [await gallery.get(f"/users/{user}/interactions", user_id=user) for user in users]
    assert sum(listed["total"] for listed in by_user) == there > 0
