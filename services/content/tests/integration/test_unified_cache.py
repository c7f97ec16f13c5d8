"""First pages of the unified list that are kept: until something happens that they could show, and no longer."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from fastapi.routing import APIRoute
from sqlalchemy import text

from genonaut.content.images.addresses import LIFETIME_SECONDS
from genonaut.content.items.projection import items_projection
from genonaut.content.search import upkeep
from genonaut.content.service import service
from genonaut.content.tags.domain import id_of
from genonaut.content.unified import queries
from genonaut.content.unified.api import page_router
from genonaut.content.unified.pages import PAGES as PAGES_TOTAL
from genonaut.content.unified.pages import refresh_most_asked
from genonaut.platform import cache as cache_module
from genonaut.platform.replay import Rebuild
from genonaut.stack.servers import Valkey
from genonaut.testkit.waiting import eventually

UNIFIED = "/api/v1/content/unified"


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is not a lost cache: what is claimed here is of one that answers, or one that is gone."""
    monkeypatch.setattr(cache_module, "TIMEOUT_SECONDS", 30.0)


async def ask(gallery: Any, **parameters: Any) -> tuple[str, Any]:
    """What the cache had to do with it, and the body, which is what it would be without."""
    answer = await gallery.client.get(UNIFIED, params=parameters)
    fresh = await gallery.client.get(UNIFIED, params={**parameters, "cache_bypass": True})
    assert (answer.status_code, fresh.status_code) == (200, 200), answer.text
    assert answer.headers["content-type"] == fresh.headers["content-type"] == "application/json"
    assert answer.content == fresh.content
    assert fresh.headers["x-cache"] == "bypass"
    return answer.headers["x-cache"], answer.json()


async def kept(gallery: Any, **parameters: Any) -> bool:
    state, _ = await ask(gallery, **parameters)
    return state == "hit"


@pytest_asyncio.fixture
async def sea(still_gallery: Any) -> Any:
    """A gallery with two users, three items by the first and one by the other."""
    gallery = still_gallery
    gallery.users = [await gallery.user("ada"), await gallery.user("bob")]
    ada, bob = gallery.users
    await gallery.post("/tags", {"name": "heaven"})
    gallery.items = [
        await gallery.item(ada, title="Pier", tags=["sea", "night"]),
        await gallery.item(ada, "/content-auto", title="Gull", tags=["sea", "bird"]),
        await gallery.item(ada, title="Own", tags=["wood"], is_private=True),
        await gallery.item(bob, title="Forest", tags=["wood"]),
    ]
    return gallery


async def test_a_page_is_kept_until_something_happens_that_it_could_show(sea: Any) -> None:
    assert (await ask(sea, tag="sea"))[0] == "miss"
    state, body = await ask(sea, tag="sea")
    assert (state, body["pagination"]["total_count"]) == ("hit", 2)

    await sea.item(sea.users[1], title="Wave", tags=["sea"])

    state, body = await ask(sea, tag="sea")
    assert (state, body["pagination"]["total_count"]) == ("miss", 3)
    assert await kept(sea, tag="sea")


@pytest.mark.parametrize(
    "other",
    [
        {"tag": ["night", "sea"], "page": 1},
        {"tag_names": ["sea", "night"]},
        {"tag": ["Sea ", "sea", "NIGHT", ""]},
        {"tag": "sea", "tag_names": "night", "tag_match": "any", "creator_filter": "all"},
        {"tag": ["sea", "night"], "content_types": "regular,auto", "public_only": False, "nonsense": 1},
        {"tag": ["sea", "night"], "sort_field": "created_at", "sort_order": "desc", "page_size": 10},
        {"tag": ["sea", "night"], "skip": 0, "limit": 10},
    ],
)
async def test_the_same_question_in_other_words_is_the_same_page(sea: Any, other: dict[str, Any]) -> None:
    await ask(sea, tag=["sea", "night"])

    assert await kept(sea, **other)


async def test_a_cursor_goes_with_other_words_for_the_same_list(sea: Any) -> None:
    first = await sea.get("/content/unified", tag="sea", page_size=1)
    cursor = first["pagination"]["next_cursor"]

    second = await sea.get("/content/unified", tag_names="Sea", page_size=1, cursor=cursor)
    assert second["items"][0]["title"] == "Pier"
    other = await sea.client.get(UNIFIED, params={"tag": "wood", "page_size": 1, "cursor": cursor})
    assert other.json()["error_code"] == "INVALID_CURSOR"


PAGES: dict[str, dict[str, Any]] = {
    "all": {},
    "sea": {"tag": "sea"},
    "wood": {"tag": "wood"},
    "sea and bird": {"tag": ["sea", "bird"], "tag_match": "all"},
    "not wood": {"exclude_tag": "wood"},
    "regular": {"content_types": "regular"},
    "auto": {"content_types": "auto"},
    "by ada": {"creator_id": "ada"},
    "by bob": {"creator_id": "bob"},
    "ada's": {"user_id": "ada", "content_source_types": ["user-regular", "user-auto"]},
    "for ada": {"user_id": "ada"},
    "for bob": {"user_id": "bob"},
}

Happening = Callable[[Any], Any]


def put(index: int, path: str = "", **body: Any) -> Happening:
    """A change of one of the items, by its creator."""

    def happens(gallery: Any) -> Any:
        item = gallery.items[index]
        return gallery.put(f"/content/{item['id']}{path}?user_id={item['creator_id']}", body)

    return happens


# What happens, and which of the PAGES are not to be had any more afterwards.
HAPPENINGS: dict[str, tuple[Happening, set[str]]] = {
    "nothing": (lambda _: asyncio.sleep(0), set()),
    "another user": (lambda gallery: gallery.user(), set()),
    "another tag": (lambda gallery: gallery.post("/tags", {"name": "Storm"}), set()),
    "a rating of a tag": (
        lambda gallery: gallery.done("POST", f"/tags/{id_of('sea')}/rate", user_id=gallery.users[0], rating=3),
        set(),
    ),
    "another address": (
        lambda gallery: gallery.put(f"/users/{gallery.users[1]}", {"email": "rob@example.org"}),
        set(),
    ),
    "preferences": (
        lambda gallery: gallery.put(f"/users/{gallery.users[0]}/preferences", {"preferences": {"a": 1}}),
        set(),
    ),
    # Nobody else sees it, nor that something happens to it.
    "a private item of ada's is edited": (put(2, title="Mine"), {"ada's", "for ada"}),
    "a private item of ada's gets a tag": (put(2, tags=["wood", "sea"]), {"ada's", "for ada"}),
    "ada makes a private item": (
        lambda gallery: gallery.item(gallery.users[0], tags=["wood"], is_private=True),
        {"ada's", "for ada"},
    ),
    "bob's is edited": (put(3, title="Wood"), {"all", "wood", "regular", "by bob", "for ada", "for bob", "not wood"}),
    "bob's is judged": (
        put(3, "/quality", quality_score=0.9),
        {"all", "wood", "regular", "by bob", "for ada", "for bob", "not wood"},
    ),
    "ada's gull loses a tag": (
        put(1, tags=["sea"]),
        {"all", "sea", "sea and bird", "auto", "by ada", "ada's", "for ada", "for bob", "not wood"},
    ),
    "ada's gull gets a tag": (
        put(1, tags=["sea", "bird", "wood"]),
        {"all", "sea", "sea and bird", "wood", "auto", "by ada", "ada's", "for ada", "for bob", "not wood"},
    ),
    "words get another meaning": (
        lambda gallery: gallery.post(f"/tags/{id_of('sea')}/aliases", {"alias": "ocean"}),
        set(PAGES),
    ),
    "a tag gets a parent": (
        lambda gallery: gallery.post("/tags", {"slug": "bird", "parents": ["animal"]}, status=200),
        set(PAGES),
    ),
    "a user has another name": (
        lambda gallery: gallery.put(f"/users/{gallery.users[1]}", {"username": "rob"}),
        set(PAGES),
    ),
}


@pytest.mark.parametrize("name", HAPPENINGS)
async def test_what_happens_ends_the_pages_that_could_show_it_and_no_others(sea: Any, name: str) -> None:
    users = dict(zip(("ada", "bob"), sea.users, strict=True))
    pages = {
        each: {key: users[value] if key in {"user_id", "creator_id"} else value for key, value in asked.items()}
        for each, asked in PAGES.items()
    }
    for asked in pages.values():
        await ask(sea, **asked)
    assert {each for each, asked in pages.items() if not await kept(sea, **asked)} == set()

    happens, ended = HAPPENINGS[name]
    await happens(sea)

    # The statistics are a part of all pages, and kept apart: whatever is public ends them, but not the items with them.
    for viewer in ({}, *({"user_id": user} for user in sea.users)):
        await ask(sea, tag="heaven", **viewer)
    assert {each for each, asked in pages.items() if not await kept(sea, **asked)} == ended


async def test_what_is_public_and_new_leaves_the_items_of_other_pages_alone(
    sea: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their statistics are new, and read alone."""
    await ask(sea, tag="sea")
    await sea.item(sea.users[1], tags=["wood"])

    with monkeypatch.context() as without:
        without.delattr(queries, "page_and_counts")
        answer = await sea.client.get(UNIFIED, params={"tag": "sea"})

    assert answer.headers["x-cache"] == "miss"
    assert answer.json()["stats"]["community_regular_count"] == 3
    assert (await ask(sea, tag="sea"))[0] == "hit"


@pytest.mark.parametrize(
    "asked",
    [
        {"page": 2, "page_size": 1},
        {"skip": 1},
        {"backward": True},
        {"sort_field": "popularity"},
        {"tag": "unheard-of"},
        {"tag": ["sea", "unheard-of"]},
        {"exclude_tag": "unheard-of"},
        {"user_id": "018f0000-0000-7000-8000-000000000000"},
        {"creator_id": "018f0000-0000-7000-8000-000000000000"},
    ],
)
async def test_what_nobody_could_say_the_end_of_is_not_kept(sea: Any, asked: dict[str, Any]) -> None:
    assert [(await ask(sea, **asked))[0] for _ in range(2)] == ["bypass", "bypass"]


async def test_a_cursor_is_not_the_first_page(sea: Any) -> None:
    first = await sea.get("/content/unified", page_size=1)
    cursor = first["pagination"]["next_cursor"]
    assert (await ask(sea, page_size=1, cursor=cursor))[0] == "bypass"


async def test_each_viewer_has_pages_of_their_own(sea: Any) -> None:
    ada, bob = sea.users
    for _ in range(2):
        totals = [(await ask(sea, user_id=user))[1]["pagination"]["total_count"] for user in (ada, bob)]
        assert totals == [4, 3]
    await put(0, is_private=True)(sea)
    for _ in range(2):
        totals = [(await ask(sea, user_id=user))[1]["pagination"]["total_count"] for user in (ada, bob)]
        assert totals == [4, 2]


async def test_addresses_of_private_images_are_never_older_than_they_may_be(sea: Any, picture: Any) -> None:
    ada = sea.users[0]
    image = await sea.image(picture(1), user_id=ada)
    await sea.item(ada, image=image["sha256"], is_private=True)
    await ask(sea, user_id=ada)
    before = (await ask(sea, user_id=ada))[1]["items"][0]["path_thumb"]
    assert "signature=" in before

    for _ in range(8):
        sea.clock.now += timedelta(seconds=LIFETIME_SECONDS / 8)
        state, body = await ask(sea, user_id=ada)
        path = body["items"][0]["path_thumb"]
        assert (await sea.client.get(path)).status_code == 200, state
    assert path != before


async def test_hits_and_misses_are_counted(sea: Any) -> None:
    def counted() -> dict[str, float]:
        return {state: PAGES_TOTAL.labels(cache=state)._value.get() for state in ("hit", "miss", "bypass")}

    before = counted()
    for _ in range(3):
        await sea.client.get(UNIFIED)
    await sea.client.get(UNIFIED, params={"cache_bypass": True})

    assert {state: total - before[state] for state, total in counted().items()} == {"hit": 2, "miss": 1, "bypass": 1}


async def test_pages_are_kept_for_as_long_as_is_set(platform: Any, valkey: str, gallery_of: Any) -> None:
    still = replace(service, background=())
    async with platform.running(still, redis_url=valkey, cache_seconds=0.05) as running:
        gallery = gallery_of(running.client, running.runtime, platform, None)
        assert (await ask(gallery))[0] == "miss"

        async def is_gone() -> bool:
            return (await ask(gallery))[0] == "miss"

        await eventually(is_gone, reason="it is kept for longer")


async def test_what_is_asked_for_often_is_kept_warm(platform: Any, valkey: str, gallery_of: Any) -> None:
    async with platform.running(service, redis_url=valkey, cache_warm_seconds=0.05) as running:
        gallery = gallery_of(running.client, running.runtime, platform, None)
        ada = await gallery.user("ada")
        for _ in range(200):
            await gallery.client.get(UNIFIED)
        await gallery.item(ada)

        await eventually(lambda: kept(gallery), reason="nobody makes it")


async def test_an_admin_can_have_everything_forgotten(sea: Any) -> None:
    await ask(sea)
    answer = await sea.client.post("/api/v1/admin/cache/clear")
    assert (answer.status_code, answer.json()["success"]) == (200, True)
    assert not await kept(sea)
    assert await kept(sea)


async def test_what_is_asked_for_most_is_made_before_it_is_asked_for_again(sea: Any) -> None:
    for times, asked in ((3, {"tag": "sea"}), (2, {"tag": "wood"}), (4, {"user_id": sea.users[0]})):
        for _ in range(times):
            await sea.client.get(UNIFIED, params=asked)
    await sea.item(sea.users[0], tags=["sea", "wood"])

    assert await refresh_most_asked(sea.runtime, 1 + 1) == 1  # the first is ada's, and is not for others to make

    assert await kept(sea, tag="sea")
    assert not await kept(sea, tag="wood")


async def test_pages_that_nobody_asks_for_any_more_are_not_made(sea: Any) -> None:
    await sea.client.get(UNIFIED)
    await sea.item(sea.users[0])
    assert await refresh_most_asked(sea.runtime, 20) == 1
    await sea.item(sea.users[0])
    for _ in range(3):
        await refresh_most_asked(sea.runtime, 20)
    await sea.item(sea.users[0])
    assert await refresh_most_asked(sea.runtime, 20) == 0


async def test_a_repair_ends_all_pages(sea: Any) -> None:
    await upkeep.fold_everything(sea.runtime.database)
    assert (await ask(sea, tag="wood"))[1]["pagination"]["total_count"] == 1
    async with sea.runtime.database.transaction() as connection:
        await connection.execute(text("DELETE FROM search_segments"))
    await upkeep.recount(sea.runtime.database)
    assert not await kept(sea, tag="wood")
    assert (await ask(sea, tag="wood"))[1]["pagination"]["total_count"] == 1


async def test_a_rebuild_ends_all_pages(sea: Any) -> None:
    async with sea.platform.database("content", as_owner=True) as owner:
        cache = service.cache(sea.runtime.settings, owner)
        async with owner.transaction() as connection:
            await connection.execute(text("UPDATE content_items_all SET title = 'x' WHERE id % 2 = 1"))
        _, damaged = await ask(sea)
        assert "x" in {item["title"] for item in damaged["items"]}
        assert await kept(sea)

        rebuild = Rebuild(items_projection, service="content", database=owner, bus=sea.platform.bus)
        assert (await rebuild.run(swap=True, progress=lambda *_: None)).swapped
        await cache.close()

    state, whole = await ask(sea)
    assert state == "miss"
    assert "x" not in {item["title"] for item in whole["items"]}


@pytest_asyncio.fixture
async def other(sea: Any) -> AsyncIterator[Any]:
    """A second process of the same service."""
    settings = sea.runtime.settings
    async with sea.platform.running(
        replace(service, background=()), clock=sea.clock, redis_url=settings.redis_url.get_secret_value()
    ) as running:
        yield type(sea)(running.client, running.runtime, sea.platform, sea.clock)


async def test_what_happens_in_one_process_ends_the_pages_of_the_other(sea: Any, other: Any) -> None:
    await ask(other, tag="sea")
    assert await kept(sea, tag="sea")

    await put(0, title="New")(sea)

    assert not await kept(other, tag="sea")
    await other.post(f"/tags/{id_of('sea')}/aliases", {"alias": "ocean"})
    assert not await kept(sea, tag="sea")


@pytest.mark.parametrize("seed", range(3))
async def test_pages_are_as_they_would_be_without_under_concurrent_writes(sea: Any, other: Any, seed: int) -> None:
    choose = random.Random(seed)
    galleries = [sea, other]
    ids = [item["id"] for item in sea.items]
    words = ["sea", "wood", "night", "bird", "ocean", "animal"]
    questions: list[dict[str, Any]] = [
        {
            **choose.choice([{}, {"user_id": choose.choice(sea.users)}, {"creator_id": choose.choice(sea.users)}]),
            "tag": choose.sample(words[:4], choose.randrange(3)),
            "exclude_tag": choose.sample(words[:4], choose.choice([0, 0, 1])),
            "tag_match": choose.choice(["any", "all"]),
            "sort_field": choose.choice(["created_at", "quality_score", "title"]),
            "page_size": choose.choice([2, 10]),
        }
        for _ in range(8)
    ]
    states = set()

    async def write() -> None:
        gallery = choose.choice(galleries)
        body: dict[str, Any] = choose.choice(
            [
                {"title": f"Title {choose.randrange(9)}"},
                {"tags": choose.sample(words[:4], choose.randrange(4))},
                {"is_private": choose.random() < 0.5},
            ]
        )
        kind = choose.randrange(6)
        if kind == 0:
            made = await gallery.item(choose.choice(sea.users), tags=choose.sample(words[:4], 2))
            ids.append(made["id"])
        elif kind == 1:
            body = {"quality_score": choose.random()}
            await gallery.client.put(f"/api/v1/content/{choose.choice(ids)}/quality", json=body)
        elif kind == 2 and len(ids) > 3:
            await gallery.client.delete(f"/api/v1/content/{ids.pop(choose.randrange(len(ids)))}")
        else:
            await gallery.client.put(f"/api/v1/content/{choose.choice(ids)}", json=body)

    async def read() -> None:
        answer = await choose.choice(galleries).client.get(UNIFIED, params=choose.choice(questions))
        assert answer.status_code == 200, answer.text
        states.add(answer.headers["x-cache"])

    for _ in range(12):
        works = [write() for _ in range(4)] + [read() for _ in range(12)]
        choose.shuffle(works)
        await asyncio.gather(*works)
        for asked in questions:
            for gallery in galleries:
                await ask(gallery, **asked)
    assert states >= {"hit", "miss"}


async def test_a_lost_cache_costs_time_alone(
    platform: Any, own_valkey: Valkey, gallery_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_module, "REST_SECONDS", 0.01)
    async with platform.running(service, redis_url=own_valkey.url()) as running:
        gallery = gallery_of(running.client, running.runtime, platform, None)
        ada = await gallery.user("ada")
        await gallery.item(ada, tags=["sea"])
        await ask(gallery)
        assert await kept(gallery)

        own_valkey.stop()
        assert (await ask(gallery))[0] == "bypass"
        await gallery.item(ada, tags=["sea"])
        assert (await ask(gallery))[1]["pagination"]["total_count"] == 2
        assert await gallery.problem("POST", "/admin/cache/clear") == (503, "UNAVAILABLE")

        own_valkey.start()
        await eventually(lambda: kept(gallery), reason="it does not come back")


async def test_without_a_cache_nothing_is_kept(platform: Any, gallery_of: Any) -> None:
    async with platform.running(service) as running:
        gallery = gallery_of(running.client, running.runtime, platform, None)
        assert [(await ask(gallery))[0] for _ in range(2)] == ["bypass", "bypass"]
        answer = await gallery.client.post("/api/v1/admin/cache/clear")
        assert "no cache" in answer.json()["message"]


def test_what_is_asked_for_is_said_by_the_query_string_alone() -> None:
    """Or the same query string could not be read once for all who ask: see `_QuickRoute`."""
    (route,) = page_router.routes
    assert isinstance(route, APIRoute)
    left = [route.dependant]
    while left:
        dependant = left.pop()
        elsewhere = [dependant.path_params, dependant.header_params, dependant.cookie_params, dependant.body_params]
        assert not any(elsewhere), dependant.call
        left += dependant.dependencies
