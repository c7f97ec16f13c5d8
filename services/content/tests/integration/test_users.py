"""The user endpoints."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import func, text
from sqlalchemy.dialects import postgresql

from genonaut.content.users import queries
from genonaut.content.users.projection import users_projection
from genonaut.contracts.gateway import FREE_TEXT
from genonaut.testkit.waiting import eventually

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


async def test_users_are_found_by_what_they_prefer(gallery) -> None:
    for name, preferences in {
        "ada": {"theme": "dark", "page_size": 50, "content_types": ["image", "text"], "ui": {"wide": True, "big": 1}},
        "bob": {"theme": "light", "page_size": "50", "deep": {"theme": "dark"}},
        "eve": {"theme": None, "a.b": "c", "page_size": True, "big": 1e40},
    }.items():
        await gallery.user(name, preferences=preferences)

    async def found(key: str, value: str | None = None, **more) -> set[str]:
        asked = {"preference_key": key} | ({} if value is None else {"preference_value": value}) | more
        return {user["username"] for user in (await gallery.get("/users/search", **asked))["items"]}

    assert await found("theme") == {"ada", "bob", "eve"}
    assert await found("deep") == {"bob"}
    assert await found("theme", "dark") == {"ada"}
    assert await found("theme", '"dark"') == {"ada"}
    assert await found("theme", "null") == {"eve"}
    assert await found("theme", "DARK") == set()
    assert await found("page_size", "50") == {"ada", "bob"}
    assert await found("page_size", '"50"') == {"bob"}
    assert await found("page_size", "true") == {"eve"}
    assert await found("content_types", '["text"]') == {"ada"}
    assert await found("ui", '{"wide": true}') == {"ada"}
    assert await found("a.b", "c") == {"eve"}
    assert await found("big", "1e40") == {"eve"}
    assert await found("theme", "dark", username="bo") == set()
    assert await found("page_size", "50", is_active=True, username="b") == {"bob"}
    for key, value in [('"}', "x"), ("theme", "'; DROP TABLE users --"), ("theme", '{"a":'), ("", ""), ("theme", "")]:
        assert await found(key, value) == set()


ODD_PARTS = ["'", "''", "a' OR true --", "\\", "%", "_", "/", "/%", ":x", "$1", "%(x)s", "{}", "ü", "🙂" * 10, "a\nb"]


@pytest.mark.parametrize("part", ODD_PARTS)
async def test_what_is_searched_is_found_as_it_is_written_and_never_understood(gallery, part) -> None:
    odd = f"{part.replace(' ', '').replace(chr(10), '')}x@example.org"
    await gallery.post("/users", {"username": "odd", "email": odd})
    await gallery.post("/users", {"username": "even", "email": "abc@example.org"})

    found = await gallery.get("/users/search", email=odd[:-12])

    assert [user["username"] for user in found["items"]] == ["odd"]
    assert (await gallery.get("/users/search", email=f"{part}{part}zzz"))["total"] == 0
    assert (await gallery.get("/users/search", username=f"{part}{part}zzz"))["total"] == 0


@pytest.mark.parametrize(
    "asked",
    [
        "username=%00",
        "username=" + "x" * 51,
        "email=a%00b",
        "email=" + "x" * 255,
        "preference_value=dark",
        "preference_key=%00",
        "preference_key=" + "x" * 201,
        "preference_key=a&preference_value=" + "x" * 1001,
        "preference_key=a&preference_value=%00",
        "preference_key=a&preference_value=%22%5Cu0000%22",
        "sort_field=email",
        "sort_field=preferences",
    ],
)
async def test_a_search_that_cannot_be(bare_gallery, asked) -> None:
    assert await bare_gallery.problem("GET", f"/users/search?{asked}") == (422, "VALIDATION_ERROR")


@pytest.mark.parametrize("sort_field", ["created_at", "updated_at", "username"])
@pytest.mark.parametrize("sort_order", ["asc", "desc"])
async def test_a_search_is_walked_by_cursors_in_every_order_and_back(full_gallery, sort_field, sort_order) -> None:
    asked = {"email": "@example.org", "sort_field": sort_field, "sort_order": sort_order, "page_size": 1}
    whole = await full_gallery.get("/users/search", **asked | {"page_size": 100})
    key = [(user[sort_field], user["id"]) for user in whole["items"]]
    assert key == sorted(key, reverse=sort_order == "desc")

    walked, page = [], await full_gallery.get("/users/search", **asked)
    while True:
        walked += page["items"]
        if not page["pagination"]["next_cursor"]:
            break
        page = await full_gallery.get("/users/search", **asked, cursor=page["pagination"]["next_cursor"])
    back = await full_gallery.get("/users/search", **asked, cursor=page["pagination"]["prev_cursor"])

    assert walked == whole["items"]
    assert back["items"] == [walked[-2]]
    other = asked | {"email": "@example"}
    cursor = page["pagination"]["prev_cursor"]
    assert (
        await full_gallery.client.get("/api/v1/users/search", params={**other, "cursor": cursor})
    ).status_code == 400


async def users_in_bulk(gallery) -> None:
    async with gallery.platform.database("content", as_owner=True) as owner, owner.transaction() as connection:
        await connection.execute(
            text("""
                INSERT INTO users
                SELECT gen_random_uuid(), 'user_' || md5(n::text), md5(n::text) || '@example.org', true,
                    jsonb_build_object('theme', CASE n % 1000 WHEN 0 THEN 'rare' ELSE 'usual' END), now(), now()
                FROM generate_series(1, 5000) AS n
            """)
        )
        await connection.execute(text("ANALYZE users"))


async def test_searches_need_not_read_all_users(gallery) -> None:
    await users_in_bulk(gallery)

    async def plan(**wanted) -> str:
        statement = queries.found(queries.Wanted(**wanted)).with_only_columns(func.count())
        written = statement.compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True})
        async with gallery.runtime.database.reading() as connection:
            return "\n".join(await connection.scalars(text(f"EXPLAIN {written}".replace(":", "\\:"))))

    assert "ix_users_grams" in await plan(username="c4ca4238")
    assert "ix_users_grams" in await plan(email="c4ca4238")
    assert "ix_users_preferences_gin" in await plan(preference="theme", value="rare")
    found = (await gallery.get("/users/search", username="C4CA4238"))["items"]
    assert [user["username"] for user in found] == ["user_c4ca4238a0b923820dcc509a6f75849b"]


async def test_a_search_that_is_often_made_is_planned_for_what_is_looked_for(gallery) -> None:
    """After five times the server would rather have one plan for any value, which is cheap only as it sees it."""
    await users_in_bulk(gallery)
    for _ in range(12):
        usual = {"username": "user_", "preference_key": "theme", "preference_value": "usual", "page_size": 1}
        assert (await gallery.get("/users/search", **usual))["total"] == 4_995

    planned = "SELECT generic_plans, custom_plans >= 12 FROM pg_prepared_statements WHERE statement ~ 'grams.*[$]1'"
    assert set(await gallery.rows(planned)) == {(0, True)}


async def test_what_is_typed_into_a_search_is_told_to_no_measurement(bare_gallery) -> None:
    document = (await bare_gallery.client.get("/openapi.json")).json()
    names = {each["name"] for each in document["paths"]["/api/v1/users/search"]["get"]["parameters"]}
    listing = {"page", "page_size", "skip", "limit", "sort_field", "sort_order", "cursor", "backward"}

    assert names - listing - {"is_active"} == {"username", "email", "preference_key", "preference_value"}
    assert names - listing - {"is_active"} <= FREE_TEXT


async def test_a_profile_is_changed(gallery) -> None:
    user = await gallery.user("ada", preferences={"theme": "dark"})
    gallery.clock.now += timedelta(seconds=1)

    changed = await gallery.put(f"/users/{user}", {"username": "Countess", "email": " Ada@Example.COM "})

    assert changed == {
        "id": user,
        "username": "Countess",
        "email": "ada@example.com",
        "is_active": True,
        "preferences": {"theme": "dark"},
        "created_at": "2026-01-02T03:04:05Z",
        "updated_at": "2026-01-02T03:04:06Z",
    }
    assert await gallery.get(f"/users/{user}") == changed
    assert (await gallery.get("/users/search", username="countess"))["items"] == [changed]
    await gallery.user("ada")  # a name that was left is free


async def test_what_is_not_changed_leaves_no_event(gallery) -> None:
    user = await gallery.user("ada")
    for body in ({}, {"username": None}, {"username": "ada", "email": "ADA@example.org", "is_active": True}):
        assert (await gallery.put(f"/users/{user}", body))["username"] == "ada"
    await gallery.put(f"/users/{user}/status", {"is_active": True})

    assert await gallery.rows("SELECT count(*) FROM events") == [(1,)]


async def test_the_case_of_ones_own_name_may_change(gallery) -> None:
    user = await gallery.user("ada")

    assert (await gallery.put(f"/users/{user}", {"username": "ADA"}))["username"] == "ADA"


@pytest.mark.parametrize(
    ("change", "code"),
    [({"username": "BOB"}, "USERNAME_TAKEN"), ({"email": "Bob@example.org", "is_active": False}, "EMAIL_TAKEN")],
)
async def test_a_change_to_what_is_somebody_elses_is_refused_whole(gallery, change, code) -> None:
    ada, bob = await gallery.user("ada"), await gallery.user("bob")
    await gallery.client.delete(f"/api/v1/users/{bob}")  # who is gone keeps their name
    before = await gallery.get(f"/users/{ada}")

    assert await gallery.problem("PUT", f"/users/{ada}", json={"username": "eve"} | change) == (409, code)
    assert await gallery.get(f"/users/{ada}") == before


async def test_an_address_that_reads_like_an_index_is_still_an_address(gallery) -> None:
    await gallery.post("/users", {"username": "ada", "email": "ix_users_username@example.org"})
    again = {"username": "bob", "email": "ix_users_username@example.org"}

    assert await gallery.problem("POST", "/users", json=again) == (409, "EMAIL_TAKEN")


async def test_of_many_who_change_to_a_name_at_once_one_gets_it(gallery) -> None:
    many = [await gallery.user() for _ in range(6)]

    answers = await asyncio.gather(
        *(gallery.client.put(f"/api/v1/users/{user}", json={"username": "ada"}) for user in many)
    )

    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409, 409, 409]
    assert {answer.json()["error_code"] for answer in answers if answer.is_error} == {"USERNAME_TAKEN"}
    assert await gallery.rows("SELECT count(*) FROM users WHERE username = 'ada'") == [(1,)]


async def test_two_changes_of_one_user_at_once_are_both_made(gallery) -> None:
    user = await gallery.user("ada")

    await asyncio.gather(
        gallery.put(f"/users/{user}", {"username": "eve"}),
        gallery.put(f"/users/{user}", {"email": "eve@example.org"}),
        gallery.put(f"/users/{user}/status", {"is_active": False}),
        gallery.put(f"/users/{user}/preferences", {"preferences": {"theme": "dark"}}),
    )

    changed = await gallery.get(f"/users/{user}")
    assert (changed["username"], changed["email"], changed["is_active"]) == ("eve", "eve@example.org", False)
    assert changed["preferences"] == {"theme": "dark"}


async def test_who_takes_a_name_is_in_the_log_behind_who_left_it(gallery, monkeypatch) -> None:
    """Otherwise a rebuild, which goes by the log, would find the name taken."""
    ada, bob = await gallery.user("ada"), await gallery.user("bob")
    begun, free = asyncio.Event(), asyncio.Event()
    apply = users_projection.apply

    async def held_up(connection, recorded):
        if str(recorded[0].event.user_id) == bob:
            begun.set()  # the event is in the log, the name not yet taken
            await free.wait()
        await apply(connection, recorded)

    monkeypatch.setattr(users_projection, "apply", held_up)
    takes = asyncio.create_task(gallery.client.put(f"/api/v1/users/{bob}", json={"username": "ada"}))
    await begun.wait()
    leaves = asyncio.create_task(gallery.client.put(f"/api/v1/users/{ada}", json={"username": "eve"}))
    waiting = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    await eventually(lambda: leaves.done() or gallery.rows(waiting))
    free.set()

    assert ((await takes).status_code, (await leaves).status_code) == (409, 200)


async def test_a_user_is_deleted_as_often_as_somebody_likes_and_creates_nothing_any_more(gallery, picture) -> None:
    user = await gallery.user("ada")
    item = await gallery.item(user)
    await gallery.image(picture(1), user_id=user)

    for _ in range(2):
        answer = await gallery.client.delete(f"/api/v1/users/{user}")
        assert (answer.status_code, answer.json()) == (200, {"success": True, "message": f"User {user} is deleted"})

    assert (await gallery.get(f"/users/{user}"))["is_active"] is False
    assert await gallery.get(f"/content/{item['id']}") == item
    body = {"title": "x", "content_type": "text", "prompt": "x", "creator_id": user}
    for path in ("/content", "/content-auto"):
        assert await gallery.problem("POST", path, json=body) == (422, "VALIDATION_ERROR")
    upload = {"content": picture(2), "headers": {"Content-Type": "image/png"}}
    assert await gallery.problem("POST", f"/images?user_id={user}", **upload) == (422, "VALIDATION_ERROR")
    assert await gallery.rows("SELECT count(*) FROM images") == [(1,)]
    assert [each["username"] for each in (await gallery.get("/users/search", is_active=False))["items"]] == ["ada"]

    await gallery.put(f"/users/{user}/status", {"is_active": True})
    await gallery.item(user)


@pytest.mark.parametrize(
    "wrong",
    [
        {"username": "ab"},
        {"username": "x" * 51},
        {"username": 7},
        {"username": "ada\u0000"},
        {"email": "nobody"},
        {"email": "x" * 250 + "@x.org"},
        {"is_active": "perhaps"},
        {"is_active": 2**70},
    ],
)
async def test_a_change_that_cannot_be(bare_gallery, wrong) -> None:
    assert await bare_gallery.problem("PUT", f"/users/{uuid4()}", json=wrong) == (422, "VALIDATION_ERROR")


async def test_stats_count_what_the_viewer_may_see(gallery) -> None:
    ada, bob = await gallery.user("ada"), await gallery.user("bob")
    for creator, path, is_private in [
        *[(ada, "/content", False)] * 3,
        *[(ada, "/content", True)] * 2,
        (ada, "/content-auto", True),
        *[(bob, "/content", False)] * 4,
        (bob, "/content-auto", False),
        (bob, "/content-auto", True),
    ]:
        item = await gallery.item(creator, path, is_private=is_private)
        if creator == ada and path == "/content":
            act = {"user_id": ada, "content_item_id": item["id"], "interaction_type": "rate", "rating": 4}
            await gallery.post("/interactions", act)
            await gallery.post("/interactions", {**act, "interaction_type": "view", "rating": None})

    no_jobs = dict.fromkeys(("pending", "running", "completed", "failed", "cancelled", "total"), 0)
    for viewer, regular, auto in [(None, 3, 0), (bob, 3, 0), (str(uuid4()), 3, 0), (ada, 5, 1)]:
        assert await gallery.get(f"/users/{ada}/stats", **({"user_id": viewer} if viewer else {})) == {
            "user_id": ada,
            "content": {"regular": regular, "auto": auto, "total": regular + auto},
            "interactions": 2 * regular,
            "ratings": regular,
            "generation_jobs": no_jobs,
        }
    assert (await gallery.get(f"/users/{bob}/stats", user_id=bob))["content"]["auto"] == 2


async def test_nobody(bare_gallery) -> None:
    stranger = uuid4()
    asked = [
        ("GET", "", None),
        ("PUT", "", {}),
        ("PUT", "", {"username": "ada"}),
        ("DELETE", "", None),
        ("PUT", "/preferences", {"preferences": {"a": 1}}),
        ("PUT", "/status", {"is_active": False}),
        ("GET", "/stats", None),
    ]

    for method, path, body in asked:
        assert await bare_gallery.problem(method, f"/users/{stranger}{path}", json=body) == (404, "NOT_FOUND")
        assert await bare_gallery.problem(method, f"/users/17{path}", json=body) == (422, "VALIDATION_ERROR")
    for path, body in [("/preferences", {"theme": "dark"}), ("/status", {}), ("/status", {"is_active": None})]:
        assert await bare_gallery.problem("PUT", f"/users/{stranger}{path}", json=body) == (422, "VALIDATION_ERROR")
    assert await bare_gallery.problem("GET", f"/users/{stranger}/stats?user_id=7") == (422, "VALIDATION_ERROR")


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
