"""The content endpoints."""

from datetime import timedelta
from uuid import NAMESPACE_DNS, uuid4, uuid5

import pytest

ITEM = {"title": "A lighthouse", "content_type": "image", "prompt": "a lighthouse at dusk"}
SOURCES = {"/content": "regular", "/content-auto": "auto"}


@pytest.mark.parametrize("path", SOURCES)
async def test_an_item_with_all_there_is(gallery, picture, path) -> None:
    ada = await gallery.user("ada")
    image = await gallery.image(picture(1))

    created = await gallery.item(
        ada,
        path,
        title="  Night  ",
        content_data="text",
        item_metadata={"steps": 28, "deep": [{"x": None}]},
        tags=["Night Sky", str(uuid5(NAMESPACE_DNS, "night-sky")), "art"],
        quality_score=0.75,
        image=image["sha256"],
    )

    thumb = f"/api/v1/images/{image['sha256']}?size="
    assert created == {
        "id": created["id"],
        "title": "Night",
        "content_type": "image",
        "content_data": "text",
        "prompt": "a lighthouse at dusk",
        "source_type": SOURCES[path],
        "creator_id": ada,
        "creator_username": "ada",
        "item_metadata": {"steps": 28, "deep": [{"x": None}]},
        "tags": ["night-sky", "art"],
        "quality_score": 0.75,
        "is_public": True,
        "is_private": False,
        "image": image,
        "path_thumb": f"{thumb}300",
        "path_thumbs_alt_res": {"150": f"{thumb}150", "600": f"{thumb}600"},
        "job_id": None,
        "created_at": "2026-01-02T03:04:05Z",
        "updated_at": "2026-01-02T03:04:05Z",
    }
    assert await gallery.get(f"{path}/{created['id']}") == created
    assert (await gallery.get(path))["items"] == [created]


async def test_an_item_with_the_least(gallery) -> None:
    created = await gallery.item(await gallery.user(), content_type="text")

    assert (created["quality_score"], created["tags"], created["image"], created["path_thumb"]) == (0.5, [], None, None)
    assert (created["is_private"], created["path_thumbs_alt_res"], created["content_data"]) == (False, {}, None)


async def test_ids_are_unique_over_both_sources(gallery) -> None:
    ada = await gallery.user()
    regular, auto = await gallery.item(ada), await gallery.item(ada, "/content-auto")

    assert regular["id"] != auto["id"]
    assert await gallery.get(f"/content/{auto['id']}") == auto
    assert await gallery.problem("GET", f"/content-auto/{regular['id']}") == (404, "NOT_FOUND")
    assert await gallery.ids("/content") == [regular["id"]]
    assert await gallery.ids("/content-auto") == [auto["id"]]


async def test_a_new_tag_is_created_in_the_same_transaction(gallery) -> None:
    ada = await gallery.user()

    refused = {**ITEM, "creator_id": ada, "tags": ["brand-new", str(uuid4())]}
    assert await gallery.problem("POST", "/content", json=refused) == (422, "VALIDATION_ERROR")
    assert await gallery.rows("SELECT count(*) FROM tags") == [(0,)]

    await gallery.item(ada, tags=["brand-new"])
    assert await gallery.rows("SELECT slug, name FROM tags") == [("brand-new", "Brand New")]
    types = await gallery.rows("SELECT type FROM events WHERE type NOT LIKE '%user%' ORDER BY position")
    assert types == [("content.tag.created",), ("content.item.created",)]


@pytest.mark.parametrize(
    "wrong",
    [
        {"title": ""},
        {"title": "   "},
        {"title": "x" * 256},
        {"content_type": "sculpture"},
        {"prompt": ""},
        {"prompt": "x" * 20_001},
        {"prompt": None},
        {"creator_id": str(uuid4())},
        {"creator_id": 7},
        {"item_metadata": []},
        {"tags": [f"t{number}" for number in range(101)]},
        {"tags": ["a/b"]},
        {"tags": [7]},
        {"quality_score": 1.1},
        {"quality_score": "NaN"},
        {"is_private": True, "is_public": True},
        {"image": "f" * 64},
        {"image": "../../etc/passwd"},
    ],
)
@pytest.mark.parametrize("path", SOURCES)
async def test_an_item_that_cannot_be(bare_gallery, path, wrong) -> None:
    creator = await bare_gallery.user()
    body = {**ITEM, "creator_id": creator, **wrong}

    assert await bare_gallery.problem("POST", path, json=body) == (422, "VALIDATION_ERROR")


async def test_the_longest_item_fits(gallery) -> None:
    tags = [f"{number:0>100}" for number in range(100)]
    created = await gallery.item(await gallery.user(), title="ä" * 255, prompt="🙂" * 20_000, tags=tags)

    assert (len(created["title"]), len(created["prompt"]), created["tags"]) == (255, 20_000, tags)


async def test_an_inactive_user_creates_nothing(gallery) -> None:
    ada = await gallery.user()
    async with gallery.runtime.database.transaction() as connection:
        await connection.exec_driver_sql("UPDATE users SET is_active = false")

    assert await gallery.problem("POST", "/content", json={**ITEM, "creator_id": ada}) == (422, "VALIDATION_ERROR")


async def test_filters(gallery) -> None:
    ada, bob = await gallery.user(), await gallery.user()
    one = (await gallery.item(ada, tags=["sea", "night"]))["id"]
    two = (await gallery.item(bob, tags=["sea"], content_type="video"))["id"]
    three = (await gallery.item(bob, tags=["wood"]))["id"]

    assert await gallery.ids("/content", creator_id=bob) == [three, two]
    assert await gallery.ids("/content", content_type="video") == [two]
    assert await gallery.ids("/content", tag="Sea") == [two, one]
    assert await gallery.ids("/content", tag=["night", "wood", "unheard-of", "a/b"]) == [three, one]
    assert await gallery.ids("/content", tag=str(uuid5(NAMESPACE_DNS, "sea")), creator_id=ada) == [one]
    assert await gallery.ids("/content", tag="unheard-of") == []
    assert await gallery.ids("/content", creator_id=str(uuid4())) == []


@pytest.mark.parametrize("field", ["created_at", "updated_at", "quality_score", "title"])
@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_every_sort_pages_through_everything_once(full_gallery, field, order) -> None:
    everything = (await full_gallery.get("/content", page_size=1000))["items"]
    expected = sorted(everything, key=lambda item: (item[field], item["id"]), reverse=order == "desc")

    seen, cursor = [], None
    while len(seen) < len(expected):
        more = {"cursor": cursor} if cursor else {}
        body = await full_gallery.get("/content", sort_field=field, sort_order=order, page_size=3, **more)
        seen += body["items"]
        cursor = body["pagination"]["next_cursor"]

    assert seen == expected
    assert cursor is None


@pytest.mark.parametrize("path", [*SOURCES, "/content/unified"])
@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("cursor=nonsense", 400, "INVALID_CURSOR"),
        ("page_size=1001", 422, "INVALID_PAGE_SIZE"),
        ("page_size=0", 422, "INVALID_PAGE_SIZE"),
        ("page=2", 404, "PAGE_OUT_OF_RANGE"),
        ("page=0", 422, "VALIDATION_ERROR"),
        ("sort_field=creator_id", 422, "VALIDATION_ERROR"),
        ("sort_field=id%3Bdrop+table+users", 422, "VALIDATION_ERROR"),
        ("user_id=nobody", 422, "VALIDATION_ERROR"),
    ],
)
async def test_a_list_that_cannot_be(bare_gallery, path, query, status, code) -> None:
    assert await bare_gallery.problem("GET", f"{path}?{query}") == (status, code)


async def test_a_cursor_belongs_to_its_list(full_gallery) -> None:
    body = await full_gallery.get("/content", page_size=3)
    cursor = body["pagination"]["next_cursor"]

    assert await full_gallery.problem("GET", f"/content-auto?cursor={cursor}") == (400, "INVALID_CURSOR")
    assert await full_gallery.problem("GET", f"/content?cursor={cursor}&content_type=text") == (400, "INVALID_CURSOR")


@pytest.mark.parametrize("item_id", ["0", "-1", "abc", "9223372036854775808"])
@pytest.mark.parametrize("path", SOURCES)
async def test_ids_that_cannot_be(bare_gallery, path, item_id) -> None:
    assert await bare_gallery.problem("GET", f"{path}/{item_id}") == (422, "VALIDATION_ERROR")


@pytest.mark.parametrize("path", SOURCES)
async def test_an_item_that_is_not_there(bare_gallery, path) -> None:
    assert await bare_gallery.problem("GET", f"{path}/9223372036854775807") == (404, "NOT_FOUND")


async def test_the_prompt_of_an_item_never_changes(gallery) -> None:
    await gallery.item(await gallery.user())

    async with gallery.platform.database("content") as database:
        with pytest.raises(Exception, match="never changes"):
            async with database.transaction() as connection:
                await connection.exec_driver_sql("UPDATE content_items_all SET prompt = 'other'")
        async with database.transaction() as connection:
            await connection.exec_driver_sql("UPDATE content_items_all SET title = 'other'")


async def test_times_are_those_of_the_events(gallery) -> None:
    ada = await gallery.user()
    gallery.clock.now += timedelta(microseconds=123_456)

    created = await gallery.item(ada)

    assert created["created_at"] == "2026-01-02T03:04:05.123456Z"
    assert await gallery.rows("SELECT time FROM events WHERE stream LIKE 'item-%'") == [(gallery.clock.now,)]
