"""The hierarchy over HTTP: what is around a tag, and changes of it."""

import asyncio
from uuid import UUID, uuid4

import pytest

from genonaut.content.tags.domain import id_of


def names(rows) -> list[str]:
    return [row["slug"] for row in rows]


async def build(gallery, *edges: str) -> None:
    """From `tag<parent`."""
    for edge in edges:
        tag, parent = edge.split("<")
        await gallery.client.post("/api/v1/tags", json={"slug": tag, "parents": [parent]})


async def test_what_is_around_a_tag_has_the_depth_of_the_shortest_way(gallery) -> None:
    await build(gallery, "oil<paint", "paint<medium", "medium<art", "oil<art", "tempera<paint")

    assert names(await gallery.get(f"/tags/{id_of('oil')}/parents")) == ["art", "paint"]
    assert names(await gallery.get(f"/tags/{id_of('paint')}/children")) == ["oil", "tempera"]
    above = await gallery.get(f"/tags/{id_of('oil')}/ancestors")
    assert [(each["slug"], each["depth"]) for each in above] == [("art", 1), ("paint", 1), ("medium", 2)]
    assert above[0] == {"id": str(id_of("art")), "slug": "art", "name": "Art", "depth": 1}
    below = await gallery.get(f"/tags/{id_of('art')}/descendants")
    expected = [("medium", 1), ("oil", 1), ("paint", 2), ("tempera", 3)]
    assert [(each["slug"], each["depth"]) for each in below] == expected
    assert names(await gallery.get(f"/tags/{id_of('art')}/descendants", max_depth=2)) == ["medium", "oil", "paint"]
    assert names(await gallery.get(f"/tags/{id_of('oil')}/ancestors", max_depth=1)) == ["art", "paint"]
    assert names(await gallery.get("/tags/roots")) == ["art"]
    statistics = {"totalNodes": 5, "totalRelationships": 5, "rootCategories": 1}
    assert await gallery.get("/tags/statistics") == statistics
    metadata = (await gallery.get("/tags/hierarchy"))["metadata"]
    assert statistics.items() <= metadata.items()


async def test_the_hierarchy_has_ratings_when_they_are_asked_for(gallery) -> None:
    ada = await gallery.user()
    await build(gallery, "oil<art")
    await gallery.done("POST", f"/tags/{id_of('oil')}/rate", user_id=ada, rating=2.5)

    rated = (await gallery.get("/tags/hierarchy", include_ratings=True))["nodes"]

    assert [(node["average_rating"], node["rating_count"]) for node in rated] == [(None, 0), (2.5, 1)]
    plain = (await gallery.get("/tags/hierarchy"))["nodes"]
    assert plain == [{name: value for name, value in node.items() if "rating" not in name} for node in rated]


async def test_parents_are_added_and_removed(gallery) -> None:
    await build(gallery, "oil<paint", "paint<art")
    parents = f"/tags/{id_of('oil')}/parents"

    assert names(await gallery.post(parents, {"parents": ["medium", "Art"]}, status=200)) == ["art", "medium", "paint"]
    await gallery.done("DELETE", f"{parents}/{id_of('paint')}")
    await gallery.done("DELETE", f"{parents}/{id_of('art')}")

    assert names(await gallery.get(parents)) == ["medium"]
    assert names(await gallery.get(f"/tags/{id_of('oil')}/ancestors")) == ["medium"]
    assert names(await gallery.get(f"/tags/{id_of('art')}/descendants")) == ["paint"]
    assert await gallery.problem("DELETE", f"{parents}/{id_of('art')}") == (404, "NOT_FOUND")
    # What is not below it any more may be above it.
    assert names(await gallery.post(f"/tags/{id_of('art')}/parents", {"parents": ["oil"]}, status=200)) == ["oil"]


async def test_a_circle_is_refused_whichever_way_it_is_asked_for(gallery) -> None:
    await build(gallery, "oil<paint", "paint<art")
    await gallery.post(f"/tags/{id_of('oil')}/aliases", {"alias": "oils"})
    before = await gallery.rows("SELECT count(*) FROM events")

    for parents in (["oil"], ["fresh", "oil"], ["art"], ["oils"], [str(id_of("oil"))]):
        problem = await gallery.problem("POST", f"/tags/{id_of('art')}/parents", json={"parents": parents})
        assert problem == (409, "TAG_CYCLE")
    assert await gallery.rows("SELECT count(*) FROM events") == before


async def test_of_two_who_close_a_circle_at_once_one_is_refused(gallery) -> None:
    for number in range(5):
        one, other = f"one-{number}", f"other-{number}"
        await gallery.post("/tags", {"slug": one})
        await gallery.post("/tags", {"slug": other})

        answers = await asyncio.gather(
            gallery.client.post(f"/api/v1/tags/{id_of(one)}/parents", json={"parents": [other]}),
            gallery.client.post(f"/api/v1/tags/{id_of(other)}/parents", json={"parents": [one]}),
        )

        assert sorted(answer.status_code for answer in answers) == [200, 409]
    assert await gallery.rows("SELECT count(*) FROM tag_closure") == [(5,)]


async def test_refreshing_is_always_done(gallery) -> None:
    await build(gallery, "oil<art")

    answer = await gallery.post("/tags/hierarchy/refresh", None, status=200)

    assert answer == {"success": True, "message": "The hierarchy is up to date: 2 tags"}


READS = ["", "/parents", "/children", "/ancestors", "/descendants", "/aliases", "/implications"]


@pytest.mark.parametrize("path", READS)
async def test_a_private_tag_is_answered_like_one_that_is_not_there(gallery, path) -> None:
    user = await gallery.user()
    await gallery.item(user, tags=["secret"], is_private=True)

    private, unheard_of = [
        await gallery.client.get(f"/api/v1/tags/{id_of(slug)}{path}", params={"user_id": user})
        for slug in ("secret", "unheard-of")
    ]

    assert private.status_code == unheard_of.status_code == 404
    assert private.json()["detail"] == f"There is no tag {id_of('secret')}"
    assert unheard_of.json()["detail"] == f"There is no tag {id_of('unheard-of')}"


@pytest.mark.parametrize(
    ("method", "path", "options"),
    [
        ("POST", "/parents", {"json": {"parents": ["art"]}}),
        ("DELETE", f"/parents/{UUID(int=7)}", {}),
        ("POST", "/aliases", {"json": {"alias": "hidden"}}),
        ("DELETE", "/aliases/hidden", {}),
        ("POST", "/implications", {"json": {"implied": "art"}}),
        ("DELETE", f"/implications/{UUID(int=7)}", {}),
        ("POST", "/rate", {"params": {"rating": 4}}),
        ("DELETE", "/rate", {}),
        ("GET", "/rating", {}),
        ("POST", "/favorite", {}),
        ("DELETE", "/favorite", {}),
    ],
)
async def test_nobody_does_anything_to_a_private_tag(gallery, method, path, options) -> None:
    user = await gallery.user()
    await gallery.item(user, tags=["secret"], is_private=True)
    before = await gallery.rows("SELECT count(*) FROM events")
    options = {**options, "params": {"user_id": user, **options.get("params", {})}}

    problem = await gallery.problem(method, f"/tags/{id_of('secret')}{path}", **options)

    assert problem == (404, "NOT_FOUND")
    assert await gallery.rows("SELECT count(*) FROM events") == before


@pytest.mark.parametrize(
    ("method", "path", "options"),
    [
        ("GET", "/tags/no-id", {}),
        ("GET", "/tags/no-id/children", {}),
        ("GET", "/tags/{id}/ancestors?max_depth=0", {}),
        ("GET", "/tags/{id}/descendants?max_depth=99999999999", {}),
        ("POST", "/tags/{id}/parents", {"json": {}}),
        ("POST", "/tags/{id}/parents", {"json": {"parents": []}}),
        ("POST", "/tags/{id}/parents", {"json": {"parents": ["a/b"]}}),
        ("POST", "/tags/{id}/parents", {"json": {"parents": "art"}}),
        ("DELETE", "/tags/{id}/parents/no-id", {}),
        ("GET", "/tags/hierarchy?include_ratings=perhaps", {}),
    ],
)
async def test_what_cannot_be_asked_for(bare_gallery, method, path, options) -> None:
    problem = await bare_gallery.problem(method, path.format(id=uuid4()), **options)
    assert problem == (422, "VALIDATION_ERROR")


async def test_an_id_that_names_no_tag_is_no_parent(gallery) -> None:
    await gallery.post("/tags", {"slug": "oil"})

    problem = await gallery.problem("POST", f"/tags/{id_of('oil')}/parents", json={"parents": [str(uuid4())]})

    assert problem == (422, "VALIDATION_ERROR")
