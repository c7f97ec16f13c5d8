"""Every projection rebuilt from the event log equals the live one, byte for byte."""

import asyncio
from datetime import timedelta
from uuid import UUID

from sqlalchemy import text

from genonaut.content.interactions.counting import TYPES
from genonaut.content.service import service
from genonaut.contracts.content import ItemDeleted, ItemMadePrivate, ItemMadePublic
from genonaut.platform.replay import Rebuild

AWKWARD = {
    "numbers": [0, -0.0, 1e22, 1e-7, 0.1, 2**64 - 1, -(2**63), 1.5e300, 123456789.123456789],
    "text": "Ä \u2028 🙂 \\ \" '",
    "nested": [[], {}, {"b": None, "a": [True, False]}],
}


async def fill(gallery, picture) -> None:
    """Something of everything, partly at once."""
    ada, bob = await gallery.user("ada", preferences=AWKWARD), await gallery.user("bob")
    for changes in ({"theme": "dark"}, AWKWARD, {"theme": None}):
        gallery.clock.now += timedelta(milliseconds=1)
        await gallery.client.put(f"/api/v1/users/{bob}/preferences", json={"preferences": changes})
    await gallery.post("/tags", {"slug": "sky", "parents": ["nature", "air"]})
    await gallery.post("/tags", {"name": "Night Sky", "parents": ["sky", "night"]})
    images = [await gallery.image(picture(n % 3 + 1), user_id=[None, ada, bob][n % 3]) for n in range(6)]
    await asyncio.gather(
        *(
            gallery.item(
                [ada, bob][number % 2],
                ["/content", "/content-auto"][number % 3 == 0],
                title=f"Title {number}",
                item_metadata=AWKWARD,
                tags=[f"tag-{number % 5}", "sky"],
                quality_score=number / 17,
                is_private=number % 4 == 0,
                # An image of a private item is its creator's.
                **({"image": images[0]["sha256"]} if number % 4 == 1 else {}),
            )
            for number in range(12)
        )
    )
    await interact(gallery, [ada, bob])


async def interact(gallery, users: list[str]) -> None:
    """All kinds of interactions with items of all kinds, some changed, some taken back; items come to other states."""
    items = {user: (await gallery.get("/content", user_id=user))["items"] for user in users}
    bodies = [
        {
            "user_id": user,
            "content_item_id": item["id"],
            "interaction_type": TYPES[number % 7],
            "rating": number % 5 + 1,
            "duration": number,
            "metadata": AWKWARD,
            "client_id": f"{number}",
        }
        for user in users
        for number, item in enumerate(items[user] * 2)
    ]
    gallery.clock.now += timedelta(hours=5)
    answer = await gallery.post("/interactions/bulk", bodies)
    for number, result in enumerate(answer["results"][::3]):
        gallery.clock.now += timedelta(hours=5)
        path = f"/api/v1/interactions/{result['id']}"
        user = bodies[number * 3]["user_id"]
        if number % 2:
            assert (await gallery.client.delete(path, params={"user_id": user})).status_code == 200
        else:
            changes = {"interaction_type": "like", "rating": None, "metadata": {"a": -0.0}}
            changed = await gallery.client.put(path, params={"user_id": user}, json=changes)
            assert changed.status_code == 200
    first, second, third = [item["id"] for item in items[users[0]][:3]]
    for item_id, event in (
        (first, ItemMadePrivate(item_id=first)),
        (second, ItemMadePublic(item_id=second)),
        (third, ItemDeleted(item_id=third, creator_id=UUID(users[0]))),
    ):
        async with gallery.runtime.database.transaction() as connection:
            await gallery.runtime.store.append(connection, "item", str(item_id), 1, [event])


async def test_every_projection_rebuilt_equals_the_live_one(gallery, picture) -> None:
    await fill(gallery, picture)

    async with gallery.platform.database("content", as_owner=True) as owner:
        for projection in service.projections:
            rebuild = Rebuild(projection, service="content", database=owner, bus=None)
            report = await rebuild.run(swap=False, progress=lambda *_: None)

            assert report.equal, report
            assert all(table.live_rows == table.rebuilt_rows > 0 for table in report.tables), report


async def test_a_damaged_projection_is_repaired_by_its_rebuild(gallery, picture) -> None:
    await fill(gallery, picture)
    whole = [await gallery.get(path, page_size=100) for path in ("/content", "/content-auto", "/tags/hierarchy")]

    async with gallery.platform.database("content", as_owner=True) as owner:
        async with owner.transaction() as connection:
            await connection.execute(text("DELETE FROM content_items_all WHERE id % 3 = 0"))
            await connection.execute(text("UPDATE content_items_all SET title = 'x' WHERE id % 3 = 1"))
            await connection.execute(text("DELETE FROM tag_parents"))
            await connection.execute(text("DELETE FROM user_interactions WHERE id % 2 = 0"))
            await connection.execute(text("UPDATE interaction_totals SET total = total + 1"))
            await connection.execute(text("DELETE FROM item_popularity"))
        for projection in service.projections:
            rebuild = Rebuild(projection, service="content", database=owner, bus=None)
            await rebuild.run(swap=True, progress=lambda *_: None)
            assert (await rebuild.run(swap=False, progress=lambda *_: None)).equal

    assert [
        await gallery.get(path, page_size=100) for path in ("/content", "/content-auto", "/tags/hierarchy")
    ] == whole
    partitions = await gallery.rows("SELECT DISTINCT tableoid::regclass::text, source_type FROM content_items_all")
    assert sorted(partitions) == [("content_items", "items"), ("content_items_auto", "auto")]
