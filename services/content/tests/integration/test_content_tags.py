"""The view `content_tags`, which people know as a table: what it says of items is what they say themselves."""

from typing import Any

from genonaut.content.search.upkeep import fold_everything
from genonaut.content.tags.domain import id_of

SOURCES = {"regular": "items", "auto": "auto"}

Row = tuple[int, str, str]


async def viewed(gallery: Any) -> list[Row]:
    """Its rows, with tags by their slugs, and none for one that there is not."""
    rows = await gallery.rows(
        "SELECT v.content_id, v.content_source, t.slug FROM content_tags v LEFT JOIN tags t ON t.id = v.tag_id"
    )
    return sorted(rows)


async def shown(gallery: Any, viewer: str) -> list[Row]:
    """All items have one creator, who sees each of them."""
    items = (await gallery.get("/content/unified", user_id=viewer, page_size=1000))["items"]
    whole = [await gallery.get(f"/content/{item['id']}", user_id=viewer) for item in items]
    return sorted((item["id"], SOURCES[item["source_type"]], slug) for item in whole for slug in item["tags"])


async def test_the_view_has_the_tags_of_each_item_whatever_becomes_of_it(still_gallery: Any) -> None:
    gallery, ada = still_gallery, await still_gallery.user()
    await gallery.post("/tags", {"slug": "sea", "parents": ["water"]})
    await gallery.post(f"/tags/{id_of('sea')}/aliases", {"alias": "ocean"})
    made = [
        await gallery.item(ada, path, tags=tags, is_private=private)
        for path, tags, private in [
            ("/content", ["sea", "sky"], False),
            ("/content-auto", ["sky", "wood"], False),
            ("/content-auto", ["ocean"], True),
            ("/content", [], False),
            ("/content", ["sky"], False),
        ]
    ]
    before = await viewed(gallery)
    assert before == await shown(gallery, ada)
    assert [row[:2] for row in before].count((made[0]["id"], "items")) == 2

    await gallery.put(f"/content/{made[0]['id']}?user_id={ada}", {"tags": ["wood", "new", "sea"]})
    await gallery.put(f"/content/{made[1]['id']}?user_id={ada}", {"tags": []})
    await gallery.put(f"/content/{made[2]['id']}?user_id={ada}", {"is_private": False})
    await gallery.delete(made[4])

    after = await viewed(gallery)
    assert after == await shown(gallery, ada) != before
    assert {row[0] for row in after} == {made[0]["id"], made[2]["id"]}
    await fold_everything(gallery.runtime.database)
    assert await viewed(gallery) == after
