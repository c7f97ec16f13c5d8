"""Completion over HTTP: in order, and fresh."""

import asyncio

import pytest

from genonaut.content.service import service
from genonaut.content.tags.domain import id_of


async def completed(gallery, typed: str, **parameters) -> list[str]:
    return [tag["slug"] for tag in await gallery.get("/tags/autocomplete", q=typed, **parameters)]


async def test_what_starts_with_it_comes_first_and_the_most_popular_of_that(gallery) -> None:
    for slug, name in (("landscape", "Landscape"), ("lantern", "Lantern"), ("l-1", "Lana"), ("island", "Island")):
        await gallery.post("/tags", {"slug": slug, "name": name})
    await gallery.count_items("lantern", items=3, auto=4)
    await gallery.count_items("l-1", auto=5)
    await gallery.count_items("island", items=100)

    assert await completed(gallery, "LAN") == ["lantern", "l-1", "landscape"]
    assert await completed(gallery, "LAN", limit=2) == ["lantern", "l-1"]
    assert await completed(gallery, "lands") == ["landscape", "island"]
    assert await completed(gallery, "landcsape") == ["landscape"]
    assert await completed(gallery, "xyz") == []
    assert await completed(gallery, " - ") == []
    await gallery.count_items("landscape", items=50)
    assert await completed(gallery, "lan", limit=3) == ["landscape", "lantern", "l-1"]


async def test_a_completion_says_what_there_is_to_choose(gallery) -> None:
    await gallery.post("/tags", {"slug": "cat"})
    await gallery.post(f"/tags/{id_of('cat')}/aliases", {"alias": "kitty"})
    await gallery.count_items("cat", items=2, auto=1)
    cat = {"id": str(id_of("cat")), "slug": "cat", "name": "Cat", "cardinality": 3}

    assert await gallery.get("/tags/autocomplete", q="ca") == [{**cat, "alias": None}]
    assert await gallery.get("/tags/autocomplete", q="kit") == [{**cat, "alias": "kitty"}]
    assert await gallery.get("/tags/autocomplete", q="kitti") == [{**cat, "alias": "kitty"}]


async def test_a_tag_that_an_alias_stands_for_is_not_offered(gallery) -> None:
    await gallery.post("/tags", {"slug": "kitty"})
    await gallery.post("/tags", {"slug": "cat"})
    assert await completed(gallery, "kit") == ["kitty"]

    await gallery.post(f"/tags/{id_of('cat')}/aliases", {"alias": "kitty"})
    assert await completed(gallery, "kit") == ["cat"]

    await gallery.done("DELETE", f"/tags/{id_of('cat')}/aliases/kitty")
    assert await completed(gallery, "kit") == ["kitty"]


async def test_what_another_process_wrote_is_there_at_once(gallery) -> None:
    """The other one has its own memory of words, on the same database."""
    async with gallery.platform.running(service) as other:

        async def there(typed: str) -> list[str]:
            return [tag["slug"] for tag in (await other.client.get(f"/api/v1/tags/autocomplete?q={typed}")).json()]

        assert await there("sk") == []
        for slug in ("sky", "skin", "skate"):
            await gallery.post("/tags", {"slug": slug})
            assert slug in await there("sk")
        await gallery.post(f"/tags/{id_of('sky')}/aliases", {"alias": "heaven"})
        assert await there("hea") == ["sky"]
        await gallery.done("DELETE", f"/tags/{id_of('sky')}/aliases/heaven")
        assert await there("hea") == []


async def test_a_private_tag_is_offered_to_nobody_until_it_is_everybodys(gallery) -> None:
    user = await gallery.user()
    await gallery.post("/tags", {"slug": "seaside"})
    await gallery.item(user, tags=["seaweed"], is_private=True)
    assert await completed(gallery, "sea", user_id=user) == ["seaside"]
    assert await completed(gallery, "seawed") == await completed(gallery, "seaweed") == []

    await gallery.item(user, tags=["seaweed"])
    assert await completed(gallery, "seaw") == ["seaweed"]


async def test_many_who_type_at_once_while_others_write_miss_nothing(gallery) -> None:
    words = [f"word-{number}" for number in range(20)]

    async def write_and_look(slug: str) -> bool:
        await gallery.post("/tags", {"slug": slug})
        return slug in await completed(gallery, slug)

    assert all(await asyncio.gather(*map(write_and_look, words)))
    assert len(await completed(gallery, "word", limit=50)) == 20


@pytest.mark.parametrize("query", ["", "?q=", f"?q={'x' * 101}", "?q=a&limit=0", "?q=a&limit=51", "?q=a&limit=x"])
async def test_what_cannot_be_completed(bare_gallery, query) -> None:
    assert await bare_gallery.problem("GET", f"/tags/autocomplete{query}") == (422, "VALIDATION_ERROR")
