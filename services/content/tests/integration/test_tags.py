"""The tag endpoints."""

import asyncio
from datetime import timedelta
from uuid import NAMESPACE_DNS, uuid5

import pytest


def tag_id(slug: str) -> str:
    return str(uuid5(NAMESPACE_DNS, slug))


async def test_a_tag_is_declared_with_its_parents(gallery) -> None:
    answer = await gallery.post("/tags", {"name": "Oil Painting", "parents": ["Medium", "art"]})

    assert (answer["id"], answer["slug"], answer["name"]) == (tag_id("oil-painting"), "oil-painting", "Oil Painting")
    assert [(parent["slug"], parent["name"]) for parent in answer["parents"]] == [("art", "Art"), ("medium", "Medium")]


async def test_declaring_again_adds_parents_and_changes_nothing_else(gallery) -> None:
    await gallery.post("/tags", {"slug": "oil", "name": "Oil!", "parents": ["art"]})

    more = {"slug": "oil", "name": "Oil", "parents": [tag_id("art"), "medium"]}
    again = await gallery.post("/tags", more, status=200)

    assert again["name"] == "Oil!"
    assert [parent["slug"] for parent in again["parents"]] == ["art", "medium"]
    before = await gallery.rows("SELECT count(*) FROM events")
    assert await gallery.post("/tags", {"slug": "oil", "parents": ["art", "medium"]}, status=200) == again
    assert await gallery.rows("SELECT count(*) FROM events") == before


@pytest.mark.parametrize("parents", [["oil"], ["water"], ["free", "water"]])
async def test_a_circle_is_refused_and_leaves_nothing(gallery, parents) -> None:
    await gallery.post("/tags", {"slug": "colour", "parents": ["oil"]})
    await gallery.post("/tags", {"slug": "water", "parents": ["colour"]})
    before = await gallery.rows("SELECT count(*) FROM events")

    assert await gallery.problem("POST", "/tags", json={"slug": "oil", "parents": parents}) == (409, "TAG_CYCLE")
    assert await gallery.rows("SELECT count(*) FROM events") == before


async def test_two_who_close_a_circle_at_once_do_not(gallery) -> None:
    for _ in range(3):
        await asyncio.gather(
            gallery.client.post("/api/v1/tags", json={"slug": "a", "parents": ["b"]}),
            gallery.client.post("/api/v1/tags", json={"slug": "b", "parents": ["c"]}),
            gallery.client.post("/api/v1/tags", json={"slug": "c", "parents": ["a"]}),
        )

    assert len(await gallery.rows("SELECT * FROM tag_parents")) == 2


async def test_the_same_tags_created_by_many_at_once_are_created_once(gallery) -> None:
    user = await gallery.user()
    words = [f"tag-{number}" for number in range(8)]

    await asyncio.gather(*(gallery.item(user, tags=words[start:] + words[:start]) for start in range(8)))

    created = await gallery.rows("SELECT count(*), count(DISTINCT stream) FROM events WHERE stream LIKE 'tag-%'")
    assert created == [(8, 8)]


async def test_the_list_is_by_name_and_can_be_searched(gallery) -> None:
    for slug in ("night-sky", "sky", "art"):
        await gallery.post("/tags", {"slug": slug})
        gallery.clock.now += timedelta(seconds=1)

    assert [tag["name"] for tag in (await gallery.get("/tags"))["items"]] == ["Art", "Night Sky", "Sky"]
    assert [tag["slug"] for tag in (await gallery.get("/tags", search="SKY"))["items"]] == ["night-sky", "sky"]
    assert (await gallery.get("/tags", search="%"))["items"] == []
    newest = await gallery.get("/tags", sort_field="created_at", sort_order="desc", page_size=2)
    assert [tag["slug"] for tag in newest["items"]] == ["art", "sky"]
    rest = await gallery.get(
        "/tags", sort_field="created_at", sort_order="desc", page_size=2, cursor=newest["pagination"]["next_cursor"]
    )
    assert [tag["slug"] for tag in rest["items"]] == ["night-sky"]


async def test_the_hierarchy(gallery) -> None:
    await gallery.post("/tags", {"slug": "water-colour", "parents": ["medium", "art"]})
    gallery.clock.now += timedelta(seconds=1)
    await gallery.post("/tags", {"slug": "medium", "parents": ["art"]}, status=200)

    hierarchy = await gallery.get("/tags/hierarchy")

    art, medium, water = (tag_id(slug) for slug in ("art", "medium", "water-colour"))
    assert hierarchy == {
        "nodes": [
            {"id": art, "slug": "art", "name": "Art", "parent": None, "parents": []},
            {"id": medium, "slug": "medium", "name": "Medium", "parent": art, "parents": [art]},
            {"id": water, "slug": "water-colour", "name": "Water Colour", "parent": art, "parents": [art, medium]},
        ],
        "metadata": {
            "totalNodes": 3,
            "totalRelationships": 3,
            "rootCategories": 1,
            "lastUpdated": "2026-01-02T03:04:06Z",
            "format": "flat_array",
            "version": "2.0",
        },
    }


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"slug": ""},
        {"slug": "a/b"},
        {"name": "🙂"},
        {"slug": "x" * 101},
        {"slug": "oil", "name": ""},
        {"slug": "oil", "parents": "art"},
        {"slug": "oil", "parents": ["a/b"]},
        {"slug": "oil", "parents": [tag_id("unheard-of")]},
        {"slug": "oil", "parents": [f"p{number}" for number in range(101)]},
    ],
)
async def test_a_tag_that_cannot_be(bare_gallery, wrong) -> None:
    assert await bare_gallery.problem("POST", "/tags", json=wrong) == (422, "VALIDATION_ERROR")
    assert await bare_gallery.rows("SELECT count(*) FROM tags") == [(0,)]


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("cursor=nonsense", 400, "INVALID_CURSOR"),
        ("page_size=1001", 422, "INVALID_PAGE_SIZE"),
        ("page=2", 404, "PAGE_OUT_OF_RANGE"),
        ("sort_field=id;drop", 422, "VALIDATION_ERROR"),
    ],
)
async def test_a_list_that_cannot_be(bare_gallery, query, status, code) -> None:
    assert await bare_gallery.problem("GET", f"/tags?{query}") == (status, code)
