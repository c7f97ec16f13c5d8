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


async def some_tags(gallery) -> None:
    """Sky (4.5 of two, 7 items), art (3.0 of one, 12 items), oil (no rating, none), in the order of their creation."""
    ada, bob = await gallery.user(), await gallery.user()
    for slug in ("sky", "art", "oil"):
        await gallery.post("/tags", {"slug": slug})
        gallery.clock.now += timedelta(seconds=1)
    for slug, user, rating in (("sky", ada, 4), ("sky", bob, 5), ("art", ada, 3)):
        await gallery.done("POST", f"/tags/{tag_id(slug)}/rate", user_id=user, rating=rating)
    await gallery.count_items("sky", items=5, auto=2)
    await gallery.count_items("art", items=2, auto=10)


async def slugs(gallery, **parameters) -> list[str]:
    return [tag["slug"] for tag in (await gallery.get("/tags", **parameters))["items"]]


SORTED = {
    "name-asc": ["art", "oil", "sky"],
    "name-desc": ["sky", "oil", "art"],
    "created-asc": ["sky", "art", "oil"],
    "created-desc": ["oil", "art", "sky"],
    "updated-asc": ["art", "oil", "sky"],
    "updated-desc": ["sky", "oil", "art"],
    "rating-asc": ["art", "sky", "oil"],
    "rating-desc": ["sky", "art", "oil"],
    "popularity-asc": ["oil", "sky", "art"],
    "popularity-desc": ["art", "sky", "oil"],
}


async def test_the_list_can_be_sorted_and_walked_in_every_way(gallery) -> None:
    await some_tags(gallery)
    await gallery.post("/tags", {"slug": "sky", "parents": ["art"]}, status=200)

    for word, expected in SORTED.items():
        field, _, order = word.partition("-")
        field = {"created": "created_at", "updated": "updated_at"}.get(field, field)
        for sort in ({"sort": word}, {"sort_field": field, "sort_order": order}):
            assert await slugs(gallery, **sort) == expected, sort
            walked, cursor = [], {}
            while True:
                body = await gallery.get("/tags", **sort, page_size=1, **cursor)
                walked += [tag["slug"] for tag in body["items"]]
                if not body["pagination"]["has_next"]:
                    break
                cursor = {"cursor": body["pagination"]["next_cursor"]}
            assert walked == expected, sort


async def test_a_cursor_is_bound_to_the_word_it_was_sorted_by(gallery) -> None:
    await some_tags(gallery)
    cursor = (await gallery.get("/tags", sort="name-asc", page_size=1))["pagination"]["next_cursor"]

    for other in ({"sort": "rating-desc"}, {"sort_field": "name", "sort_order": "asc"}, {}):
        problem = await gallery.problem("GET", "/tags", params={**other, "page_size": 1, "cursor": cursor})
        assert problem == (400, "INVALID_CURSOR")


async def test_the_list_shows_and_is_filtered_by_ratings_and_counts(gallery) -> None:
    await some_tags(gallery)

    sky = (await gallery.get("/tags", search="sky"))["items"][0]
    assert sky == {
        "id": tag_id("sky"),
        "slug": "sky",
        "name": "Sky",
        "cardinality": 7,
        "average_rating": 4.5,
        "rating_count": 2,
        "created_at": "2026-01-02T03:04:05Z",
        "updated_at": "2026-01-02T03:04:05Z",
    }
    assert await slugs(gallery, min_ratings=1) == ["art", "sky"]
    assert await slugs(gallery, min_ratings=2) == ["sky"]
    assert await slugs(gallery, min_count=7) == ["art", "sky"]
    assert await slugs(gallery, min_count=8) == ["art"]
    assert await slugs(gallery, max_count=7) == ["oil", "sky"]
    assert await slugs(gallery, max_count=0) == ["oil"]
    assert await slugs(gallery, min_count=1, max_count=11, min_ratings=1, search="k") == ["sky"]
    assert await slugs(gallery, min_ratings=0, min_count=0) == ["art", "oil", "sky"]


async def test_searching_is_listing(gallery) -> None:
    await some_tags(gallery)

    for parameters in ({"q": "K"}, {"search": "k"}, {"q": "k", "search": "art"}):
        assert await gallery.get("/tags/search", **parameters) == await gallery.get("/tags", search="k")
    found = await gallery.get("/tags/search", min_count=1, sort="popularity-desc")
    assert [tag["slug"] for tag in found["items"]] == ["art", "sky"]


async def test_popular_tags_are_those_of_most_items(gallery) -> None:
    user = await gallery.user()
    await some_tags(gallery)
    await gallery.item(user, tags=["secret"], is_private=True)
    await gallery.count_items("secret", items=99)

    async def popular(**parameters) -> dict[str, int]:
        return {tag["name"]: tag["cardinality"] for tag in await gallery.get("/tags/popular", **parameters)}

    assert list((await popular()).items()) == [("Art", 12), ("Sky", 7)]
    assert list((await popular(content_source="items")).items()) == [("Sky", 5), ("Art", 2)]
    assert await popular(content_source="regular") == await popular(content_source="items")
    assert list((await popular(content_source="auto")).items()) == [("Art", 10), ("Sky", 2)]
    assert await popular(min_cardinality=8) == {"Art": 12}
    assert await popular(limit=1) == {"Art": 12}


async def test_a_tag_has_all_that_is_around_it(gallery) -> None:
    ada, bob = await gallery.user(), await gallery.user()
    await gallery.post("/tags", {"slug": "oil", "parents": ["paint"]})
    await gallery.post("/tags", {"slug": "paint", "parents": ["art"]}, status=200)
    paint = tag_id("paint")
    await gallery.done("POST", f"/tags/{paint}/rate", user_id=ada, rating=4.5)
    await gallery.done("POST", f"/tags/{paint}/favorite", user_id=ada)
    await gallery.count_items("paint", auto=3)

    detail = await gallery.get(f"/tags/{paint}")

    art, oil = ({"id": tag_id(slug), "slug": slug, "name": slug.title()} for slug in ("art", "oil"))
    times = {"created_at": "2026-01-02T03:04:05Z", "updated_at": "2026-01-02T03:04:05Z"}
    rated = {"average_rating": 4.5, "rating_count": 1}
    assert detail == {
        "tag": {"id": paint, "slug": "paint", "name": "Paint", "cardinality": 3, **rated, **times},
        "parents": [art],
        "children": [oil],
        "ancestors": [art | {"depth": 1}],
        "descendants": [oil | {"depth": 1}],
        "aliases": [],
        "implies": [],
        **rated,
        "user_rating": None,
        "is_favorite": None,
    }
    assert await gallery.get(f"/tags/{paint}", user_id=ada) == detail | {"user_rating": 4.5, "is_favorite": True}
    assert await gallery.get(f"/tags/{paint}", user_id=bob) == detail | {"is_favorite": False}


WORDS_OF_PATHS = ["children", "parents", "rating", "aliases", "hierarchy", "popular", "by-name", "autocomplete"]


async def test_a_tag_may_be_called_like_a_part_of_a_path(gallery) -> None:
    for word in WORDS_OF_PATHS:
        await gallery.post("/tags", {"slug": word})

    for word in WORDS_OF_PATHS:
        assert (await gallery.get(f"/tags/by-name/{word}"))["tag"]["slug"] == word
        assert (await gallery.get(f"/tags/by-name/{word}/"))["tag"]["slug"] == word


async def test_a_name_finds_the_oldest_tag_that_has_it_and_a_slug_comes_first(gallery) -> None:
    user = await gallery.user()
    await gallery.item(user, tags=["hidden"], is_private=True)
    for slug, name in (("b-side", "Flip & Side!"), ("a-side", "flip & side!"), ("c", "B-Side")):
        await gallery.post("/tags", {"slug": slug, "name": name})
        gallery.clock.now += timedelta(seconds=1)

    for word, slug in (("FLIP & SIDE!", "b-side"), ("b-side", "b-side"), ("B Side", "b-side"), ("C", "c")):
        assert (await gallery.get(f"/tags/by-name/{word}"))["tag"]["slug"] == slug
    for word in ("hidden", "Hidden", "unheard of", tag_id("c"), "%25", "x" * 2000):
        assert await gallery.problem("GET", f"/tags/by-name/{word}") == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    "query",
    [
        *("?sort=name", "?sort=id-asc", "?sort_field=slug", "?min_ratings=-1", "?min_count=x", "?max_count=-1"),
        *(f"?search={'x' * 101}", f"/search?q={'x' * 101}", "/search?sort=rating"),
        *("/popular?limit=0", "/popular?limit=101", "/popular?content_source=all", "/popular?min_cardinality=0"),
        f"?min_count={2**63}",
    ],
)
async def test_what_cannot_be_listed(bare_gallery, query) -> None:
    assert await bare_gallery.problem("GET", f"/tags{query}") == (422, "VALIDATION_ERROR")


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
