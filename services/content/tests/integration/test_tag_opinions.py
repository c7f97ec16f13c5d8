"""Ratings and favorites over HTTP."""

import asyncio
from uuid import uuid4

import pytest

from genonaut.content.tags.domain import id_of

SKY, SEA = id_of("sky"), id_of("sea")


async def tags_and_users(gallery, count: int = 1) -> list[str]:
    for slug in ("sky", "sea"):
        await gallery.post("/tags", {"slug": slug})
    return [await gallery.user() for _ in range(count)]


async def rated(gallery, tag_id) -> tuple[float | None, int]:
    tag = await gallery.get(f"/tags/{tag_id}")
    return tag["average_rating"], tag["rating_count"]


async def test_a_rating_is_given_changed_and_taken_back(gallery) -> None:
    (ada,) = await tags_and_users(gallery)

    for rating in (4.5, 4.5, 1, 5):
        response = await gallery.client.post(f"/api/v1/tags/{SKY}/rate", params={"user_id": ada, "rating": rating})
        assert response.json() == {"tag_id": str(SKY), "user_id": ada, "rating": rating}
        assert await gallery.get(f"/tags/{SKY}/rating", user_id=ada) == {"rating": rating}
        assert await rated(gallery, SKY) == (rating, 1)

    await gallery.done("DELETE", f"/tags/{SKY}/rate", user_id=ada)
    assert await gallery.get(f"/tags/{SKY}/rating", user_id=ada) == {"rating": None}
    assert await rated(gallery, SKY) == (None, 0)
    problem = await gallery.problem("DELETE", f"/tags/{SKY}/rate", params={"user_id": ada})
    assert problem == (404, "NOT_FOUND")


async def test_an_average_is_over_those_who_rate_at_once_and_has_two_decimals(gallery) -> None:
    users = await tags_and_users(gallery, count=6)
    given = [5, 4.5, 4, 1, 1.5, 3.5]

    async def rate(user: str, rating: float) -> None:
        await gallery.done("POST", f"/tags/{SKY}/rate", user_id=user, rating=6 - rating)
        await gallery.done("POST", f"/tags/{SKY}/rate", user_id=user, rating=rating)

    await asyncio.gather(*map(rate, users, given))
    assert await rated(gallery, SKY) == (3.25, 6)

    await asyncio.gather(*(gallery.done("DELETE", f"/tags/{SKY}/rate", user_id=user) for user in users[3:]))
    assert await rated(gallery, SKY) == (4.5, 3)
    await gallery.done("POST", f"/tags/{SKY}/rate", user_id=users[0], rating=4)
    assert await rated(gallery, SKY) == (4.17, 3)


async def test_the_same_rating_sent_many_times_at_once_counts_once(gallery) -> None:
    (ada,) = await tags_and_users(gallery)

    await asyncio.gather(*(gallery.done("POST", f"/tags/{SKY}/rate", user_id=ada, rating=3) for _ in range(6)))

    assert await rated(gallery, SKY) == (3, 1)
    assert await gallery.rows("SELECT count(*) FROM events WHERE type = 'content.tag.rated'") == [(1,)]


async def test_many_ratings_of_one_user_are_asked_for_at_once(gallery) -> None:
    ada, bob = await tags_and_users(gallery, count=2)
    await gallery.done("POST", f"/tags/{SKY}/rate", user_id=ada, rating=2.5)
    await gallery.done("POST", f"/tags/{SEA}/rate", user_id=bob, rating=4)
    asked = [str(SKY), str(SEA), str(uuid4())]

    for parameters in ({"tag_ids[]": asked}, {"tag_ids": asked}, {"tag_ids": asked[1:], "tag_ids[]": asked[:1]}):
        assert await gallery.get("/tags/ratings", user_id=ada, **parameters) == {"ratings": {str(SKY): 2.5}}
    assert await gallery.get("/tags/ratings", user_id=ada) == {"ratings": {}}
    assert await gallery.get("/tags/ratings", user_id=str(uuid4()), tag_ids=asked) == {"ratings": {}}


async def test_favorites_are_what_was_said_last_however_often(gallery) -> None:
    ada, bob = await tags_and_users(gallery, count=2)
    sea, sky = ({"id": str(id_of(slug)), "slug": slug, "name": slug.title()} for slug in ("sea", "sky"))

    for tag_id in (SKY, SEA, SKY):
        await gallery.done("POST", f"/tags/{tag_id}/favorite", user_id=ada)
    assert await gallery.get("/tags/favorites", user_id=ada) == [sea, sky]
    assert await gallery.get("/tags/favorites", user_id=bob) == []

    for _ in range(2):
        await gallery.done("DELETE", f"/tags/{SKY}/favorite", user_id=ada)
    assert await gallery.get("/tags/favorites", user_id=ada) == [sea]
    assert await gallery.rows("SELECT count(*) FROM events WHERE type LIKE 'content.tag.%favorited'") == [(3,)]


async def test_an_opinion_takes_an_active_user(gallery) -> None:
    await tags_and_users(gallery)
    idle = await gallery.user()
    async with gallery.platform.database("content", as_owner=True) as owner, owner.transaction() as connection:
        await connection.exec_driver_sql("UPDATE users SET is_active = false")

    for user in (idle, str(uuid4())):
        for path, more in (("rate", {"rating": 3}), ("favorite", {})):
            problem = await gallery.problem("POST", f"/tags/{SKY}/{path}", params={"user_id": user, **more})
            assert problem == (422, "VALIDATION_ERROR")
    assert await gallery.rows("SELECT count(*) FROM tag_ratings") == [(0,)]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("POST", f"{SKY}/rate?user_id={SKY}&rating={wrong}") for wrong in ("", "0.5", "5.5", "3.3", "nan", "inf")),
        *(("POST", f"{SKY}/rate?{given}") for given in ("rating=3", "user_id=ada&rating=3", f"user_id={SKY}")),
        *(("DELETE", f"{SKY}/rate"), ("GET", f"{SKY}/rating"), ("GET", "favorites"), ("GET", "ratings")),
        *(("POST", f"{SKY}/favorite"), ("DELETE", f"{SKY}/favorite?user_id=ada")),
        *(("GET", f"ratings?user_id={SKY}&{name}=x") for name in ("tag_ids", "tag_ids[]")),
    ],
)
async def test_what_cannot_be_said(bare_gallery, method, path) -> None:
    assert await bare_gallery.problem(method, f"/tags/{path}") == (422, "VALIDATION_ERROR")


async def test_nobody_has_an_opinion_of_what_is_not_there(bare_gallery) -> None:
    for method, path in (("POST", "rate?rating=3"), ("DELETE", "rate"), ("POST", "favorite"), ("GET", "rating")):
        problem = await bare_gallery.problem(
            method, f"/tags/{uuid4()}/{path}{'&' if '?' in path else '?'}user_id={uuid4()}"
        )
        assert problem == (404, "NOT_FOUND"), path
