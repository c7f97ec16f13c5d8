"""What tags mean to items: other words for them, what is below them, and what they bring along."""

import asyncio
from typing import Any

from genonaut.content.items.implications import apply_implications_once
from genonaut.content.search.upkeep import fold_everything
from genonaut.content.tags.domain import id_of


async def put(gallery, item: dict[str, Any], **body: Any) -> dict[str, Any]:
    response = await gallery.client.put(f"/api/v1/content/{item['id']}", json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def imply(gallery, tag: str, implied: str) -> None:
    for slug in (tag, implied):
        await gallery.client.post("/api/v1/tags", json={"slug": slug})
    response = await gallery.client.post(f"/api/v1/tags/{id_of(tag)}/implications", json={"implied": implied})
    assert response.status_code in {200, 201}, response.text


async def test_a_filter_may_mean_what_is_below_a_tag(gallery) -> None:
    ada = await gallery.user()
    for slug, parents in [("cat", ["animal"]), ("tabby", ["cat"]), ("dog", ["animal"])]:
        await gallery.post("/tags", {"slug": slug, "parents": parents})
    animal, cat, tabby, dog, sea = [
        (await gallery.item(ada, tags=tags))["id"] for tags in (["animal"], ["cat"], ["tabby", "sea"], ["dog"], ["sea"])
    ]

    async def found(**asked: Any) -> set[int]:
        return set(await gallery.ids("/content/unified", **asked))

    for _ in range(2):  # unfolded and folded
        assert await found(tag="animal") == {animal}
        assert await found(tag="animal~descendants") == {animal, cat, tabby, dog}
        assert await found(tag="cat~descendants", exclude_tag="tabby") == {cat}
        assert await found(tag="animal~descendants", exclude_tag="cat~descendants") == {animal, dog}
        assert await found(tag=["animal~descendants", "sea"], tag_match="all") == {tabby}
        assert await found(tag=["animal~descendants", "sea"]) == {animal, cat, tabby, dog, sea}
        assert await found(tag=f"{id_of('cat')}~descendants") == {cat, tabby}
        assert await found(tag="nothing~descendants") == set()
        await fold_everything(gallery.runtime.database)


async def test_another_word_for_a_tag_is_that_tag(gallery) -> None:
    ada = await gallery.user()
    old = await gallery.item(ada, tags=["kitty"])
    await gallery.post("/tags", {"slug": "cat"})
    await gallery.post(f"/tags/{id_of('cat')}/aliases", {"alias": "kitty"})

    new = await gallery.item(ada, tags=["kitty", "cat", "sea"])

    assert new["tags"] == ["cat", "sea"]
    for word in ("cat", "kitty", str(id_of("cat"))):
        assert await gallery.ids("/content", tag=word) == [new["id"], old["id"]]
    assert await gallery.ids("/content", exclude_tag="kitty") == []


async def test_a_tag_brings_along_what_it_implies_and_the_history_says_why(gallery) -> None:
    ada = await gallery.user()
    await imply(gallery, "tabby", "cat")
    await imply(gallery, "cat", "animal")

    item = await gallery.item(ada, tags=["sea", "tabby"])

    assert item["tags"][:2] == ["sea", "tabby"]
    assert set(item["tags"]) == {"sea", "tabby", "cat", "animal"}
    assert await gallery.ids("/content", tag="animal") == [item["id"]]
    history = (await gallery.get(f"/content/{item['id']}/history"))["items"]
    assert history[0]["event"] == "content.item.tags_implied"
    implied = sorted(history[0]["data"]["implied"], key=lambda each: str(each["tag"]))
    assert implied == [{"tag": "animal", "because_of": "tabby"}, {"tag": "cat", "because_of": "tabby"}]

    assert (await put(gallery, item, tags=["sea"]))["tags"] == ["sea"]
    assert set((await put(gallery, item, tags=["cat"]))["tags"]) == {"cat", "animal"}
    counted = await gallery.rows("SELECT cardinality FROM tag_cardinality_stats WHERE tag_id = :id", id=id_of("animal"))
    assert counted == [(1,)]


async def test_what_a_private_item_brings_along_is_nobody_elses(gallery) -> None:
    ada = await gallery.user()
    await imply(gallery, "tabby", "cat")

    item = await gallery.item(ada, tags=["tabby"], is_private=True)

    assert set(item["tags"]) == {"tabby", "cat"}
    assert await gallery.ids("/content", tag="cat") == []
    assert await gallery.ids("/content", tag="cat", user_id=ada) == [item["id"]]
    assert await gallery.rows("SELECT count(*) FROM tag_cardinality_stats WHERE cardinality <> 0") == [(0,)]


async def test_items_that_were_there_before_get_what_is_implied_now(gallery) -> None:
    ada = await gallery.user()
    items = [await gallery.item(ada, tags=["tabby"], is_private=number == 0) for number in range(5)]
    await gallery.delete(items[4])
    await imply(gallery, "tabby", "cat")
    assert await gallery.ids("/content", tag="cat") == []

    done = list(await asyncio.gather(*(apply_implications_once(gallery.runtime, most=2) for _ in range(2))))
    while given := await apply_implications_once(gallery.runtime, most=2):
        done.append(given)

    assert sum(done) == 4  # each once, whoever did it
    assert await gallery.ids("/content", tag="cat", user_id=ada) == [item["id"] for item in items[3::-1]]
    for item in items[:4]:
        history = (await gallery.get(f"/content/{item['id']}/history", user_id=ada))["items"]
        assert [entry["event"] for entry in history] == ["content.item.tags_implied", "content.item.created"]
    assert await apply_implications_once(gallery.runtime) == 0
