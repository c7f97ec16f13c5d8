"""Every projection rebuilt from the event log equals the live one, byte for byte."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import text

from genonaut.content.search.upkeep import fold_everything
from genonaut.content.service import service
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
    ids = sorted(await gallery.ids("/content/unified", page_size=100))
    for number, item_id in enumerate(ids[:6]):
        gallery.clock.now += timedelta(milliseconds=1)
        change = [{"title": "New"}, {"tags": ["sky", "new"]}, {"is_private": True}, {"item_metadata": AWKWARD}][
            number % 4
        ]
        response = await gallery.client.put(f"/api/v1/content/{item_id}", json=change)
        assert response.status_code == 200, response.text
    await gallery.client.put(f"/api/v1/content/{ids[1]}/quality", json={"quality_score": 0.9})
    await gallery.client.delete(f"/api/v1/content/{ids[0]}")


async def test_every_projection_rebuilt_equals_the_live_one(gallery, picture) -> None:
    await fill(gallery, picture)

    async with gallery.platform.database("content", as_owner=True) as owner:
        for projection in service.projections:
            rebuild = Rebuild(projection, service="content", database=owner, bus=None)
            report = await rebuild.run(swap=False, progress=lambda *_: None)

            assert report.equal, report
            assert all(table.live_rows == table.rebuilt_rows > 0 for table in report.tables), report


@pytest.mark.parametrize("folded", [False, True])
async def test_a_damaged_projection_is_repaired_by_its_rebuild(gallery, picture, folded) -> None:
    await fill(gallery, picture)
    if folded:
        await fold_everything(gallery.runtime.database)
    whole = [await gallery.get(path, page_size=100) for path in ("/content", "/content-auto", "/tags/hierarchy")]

    async with gallery.platform.database("content", as_owner=True) as owner:
        async with owner.transaction() as connection:
            await connection.execute(text("DELETE FROM content_items_all WHERE id % 3 = 0"))
            await connection.execute(text("UPDATE content_items_all SET title = 'x' WHERE id % 3 = 1"))
            await connection.execute(text("DELETE FROM tag_parents"))
            await connection.execute(text("DELETE FROM search_rows WHERE item_id % 3 = 0"))
            await connection.execute(text("UPDATE search_rows SET keys = '{2}' WHERE item_id % 3 = 1"))
            await connection.execute(text("UPDATE tag_cardinality_stats SET cardinality = 7"))
        if folded:  # the index follows what is swapped in
            await fold_everything(gallery.runtime.database)
        for projection in service.projections:
            rebuild = Rebuild(projection, service="content", database=owner, bus=None)
            await rebuild.run(swap=True, progress=lambda *_: None)
            assert (await rebuild.run(swap=False, progress=lambda *_: None)).equal

    assert [
        await gallery.get(path, page_size=100) for path in ("/content", "/content-auto", "/tags/hierarchy")
    ] == whole
    partitions = await gallery.rows("SELECT DISTINCT tableoid::regclass::text, source_type FROM content_items_all")
    assert sorted(partitions) == [("content_items", "items"), ("content_items_auto", "auto")]
