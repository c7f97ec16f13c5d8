"""The user endpoints."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest

NEW = {"username": "ada", "email": "ada@example.org"}


async def test_a_user_is_registered_and_found(gallery) -> None:
    created = await gallery.post(
        "/users", {"username": "Ada_1", "email": " Ada@Example.ORG ", "preferences": {"a": [1]}}
    )

    assert created == {
        "id": created["id"],
        "username": "Ada_1",
        "email": "ada@example.org",
        "is_active": True,
        "preferences": {"a": [1]},
        "created_at": "2026-01-02T03:04:05Z",
        "updated_at": "2026-01-02T03:04:05Z",
    }
    assert await gallery.get(f"/users/{created['id']}") == created
    assert await gallery.get(f"/users/{created['id']}/") == created


@pytest.mark.parametrize(
    ("other", "code"),
    [
        ({"username": "ADA", "email": "other@example.org"}, "USERNAME_TAKEN"),
        ({"username": "other", "email": "ADA@example.org"}, "EMAIL_TAKEN"),
    ],
)
async def test_names_and_addresses_are_unique_in_any_case(gallery, other, code) -> None:
    await gallery.post("/users", NEW)

    assert await gallery.problem("POST", "/users", json=other) == (409, code)
    assert await gallery.rows("SELECT count(*) FROM events") == [(1,)]


async def test_of_many_who_want_a_name_at_once_one_gets_it(gallery) -> None:
    wanted = [{"username": "ada", "email": f"ada{number}@example.org"} for number in range(6)]

    answers = await asyncio.gather(*(gallery.client.post("/api/v1/users", json=body) for body in wanted))

    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409, 409]
    assert await gallery.rows("SELECT count(*) FROM users") == [(1,)]


@pytest.mark.parametrize(
    "wrong",
    [
        {"username": "ab"},
        {"username": "x" * 51},
        {"username": "a b c"},
        {"username": "ada\n"},
        {"username": None},
        {"email": "nobody"},
        {"email": "a@b"},
        {"email": "a b@example.org"},
        {"email": "a@example..org"},
        {"preferences": []},
        {"preferences": None},
    ],
)
async def test_a_user_that_cannot_be(bare_gallery, wrong) -> None:
    assert await bare_gallery.problem("POST", "/users", json={**NEW, **wrong}) == (422, "VALIDATION_ERROR")


async def test_preferences_are_merged_and_not_deeply(gallery) -> None:
    user = await gallery.user(preferences={"theme": "dark", "ui": {"wide": True, "big": 1}})
    gallery.clock.now += timedelta(seconds=1)

    answer = await gallery.client.put(
        f"/api/v1/users/{user}/preferences",
        json={"preferences": {"ui": {"wide": False}, "notifications_enabled": True}},
    )

    assert answer.status_code == 200
    assert answer.json()["preferences"] == {"theme": "dark", "ui": {"wide": False}, "notifications_enabled": True}
    assert answer.json()["updated_at"] == "2026-01-02T03:04:06Z"
    assert await gallery.get(f"/users/{user}") == answer.json()


async def test_preferences_that_are_the_same_leave_no_event(gallery) -> None:
    user = await gallery.user(preferences={"theme": "dark"})

    answer = await gallery.client.put(f"/api/v1/users/{user}/preferences", json={"preferences": {"theme": "dark"}})

    assert answer.status_code == 200
    assert await gallery.rows("SELECT count(*) FROM events") == [(1,)]


async def test_users_are_found_by_parts_of_what_they_are_called(gallery) -> None:
    for name in ("ada_l", "ADA_2", "bob"):
        await gallery.post("/users", {"username": name, "email": f"{name}@{name}.org"})
        gallery.clock.now += timedelta(seconds=1)

    async def found(**filters) -> list[str]:
        return [user["username"] for user in (await gallery.get("/users/search", **filters))["items"]]

    assert await found() == ["bob", "ADA_2", "ada_l"]
    assert await found(username="ada") == ["ADA_2", "ada_l"]
    assert await found(username="a_") == ["ADA_2", "ada_l"]
    assert await found(username="b_b") == []
    assert await found(email="@BOB.org") == ["bob"]
    assert await found(username="ada", email="bob") == []
    assert await found(is_active=False) == []
    assert await found(sort_field="username", sort_order="asc", is_active=True) == ["ADA_2", "ada_l", "bob"]
    assert await gallery.problem("GET", "/users/search?is_active=perhaps") == (422, "VALIDATION_ERROR")


async def test_nobody(bare_gallery) -> None:
    stranger = uuid4()

    assert await bare_gallery.problem("GET", f"/users/{stranger}") == (404, "NOT_FOUND")
    assert await bare_gallery.problem("PUT", f"/users/{stranger}/preferences", json={"preferences": {"a": 1}}) == (
        404,
        "NOT_FOUND",
    )
    assert await bare_gallery.problem("GET", "/users/17") == (422, "VALIDATION_ERROR")
    assert await bare_gallery.problem("PUT", f"/users/{stranger}/preferences", json={"theme": "dark"}) == (
        422,
        "VALIDATION_ERROR",
    )


@pytest.mark.parametrize("path", ["/users", "/content", "/content-auto", "/tags"])
@pytest.mark.parametrize(
    ("content", "content_type", "status", "code"),
    [
        (b'{"title":', "application/json", 400, "INVALID_JSON"),
        (b'{"username": NaN}', "application/json", 400, "INVALID_JSON"),
        (b"{}", "text/plain", 415, "UNSUPPORTED_MEDIA_TYPE"),
        (b'{"title": "\\u0000"}', "application/json", 422, "VALIDATION_ERROR"),
        (b"[]", "application/json", 422, "VALIDATION_ERROR"),
        (b" " * (1024 * 1024 + 1), "application/json", 413, "PAYLOAD_TOO_LARGE"),
    ],
)
async def test_bodies_that_cannot_be_read(bare_gallery, path, content, content_type, status, code) -> None:
    problem = await bare_gallery.problem("POST", path, content=content, headers={"Content-Type": content_type})

    assert problem == (status, code)


@pytest.mark.parametrize("depth", [65, 200, 253, 400])
async def test_what_no_consumer_could_read_is_not_accepted(gallery, depth) -> None:
    """Parsers of JSON have limits of their own: an event that is nested too deep would be poison to everybody."""
    nested: dict[str, object] = {}
    for _ in range(depth):
        nested = {"a": nested}

    status, _ = await gallery.problem("POST", "/users", json=NEW | {"preferences": nested})

    assert status in {400, 422}
    assert (await gallery.get("/users/search?username=ada"))["total"] == 0


async def test_more_than_the_bus_can_carry_is_413(gallery) -> None:
    """Numbers grow when they are written: 9e15 becomes 9000000000000000.0."""
    numbers = ",".join(["9e15"] * 100_000)
    body = '{"username": "ada", "email": "ada@example.org", "preferences": {"a": [' + numbers + "]}}"

    status, _ = await gallery.problem("POST", "/users", content=body, headers={"Content-Type": "application/json"})

    assert status == 413
