"""Passwords over the internal endpoints: set, verified, hashed anew; and nowhere to be found afterwards."""

import asyncio
import io
import time
from contextlib import asynccontextmanager
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from genonaut.content.credentials import api
from genonaut.content.credentials.hashing import NoRoomError
from genonaut.content.service import service
from genonaut.platform import logs, telemetry
from genonaut.platform.provisioning import SERVICES, Passwords, provision_database
from genonaut.platform.replay import Rebuild
from genonaut.testkit.platforms import PASSWORD
from genonaut.testkit.waiting import eventually

CANARY = "cänary-7f3e9b-correct-horse"
CHEAP = {"password_memory_kib": 64, "password_passes": 1, "password_lanes": 1}
VERIFY = "/internal/v1/credentials/verify"


@asynccontextmanager
async def cheap(gallery, **parameters):
    """A client of another process of the same gallery, which spends less on a hash."""
    async with gallery.platform.running(service, **CHEAP | parameters) as running:
        yield running.client


@pytest.fixture
async def client(gallery):
    async with cheap(gallery) as client:
        yield client


async def set_password(client, user_id, password=CANARY):
    answer = await client.put(f"/internal/v1/users/{user_id}/password", json={"password": password})
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"success": True, "message": "The password is changed"}


async def verify(client, login, password=CANARY):
    return await client.post(VERIFY, json={"login": login, "password": password})


async def hashes(gallery):
    return dict(await gallery.rows("SELECT user_id::text, password_hash FROM credentials"))


def is_refusal(answer) -> bool:
    assert answer.status_code == 401, answer.text
    body = answer.json()
    assert body["error_code"] == "INVALID_CREDENTIALS"
    assert body["detail"] == "These are nobody's name and password"
    return True


@pytest.mark.parametrize("login", ["Ada", "ADA", "ada@example.org", "Ada@Example.ORG"])
async def test_a_user_is_told_by_their_name_or_address_and_their_password(gallery, client, login) -> None:
    ada, bob = await gallery.user("Ada"), await gallery.user("bob")
    await set_password(client, ada)
    await set_password(client, bob, "another password")

    answer = await verify(client, login)

    assert (answer.status_code, answer.json()) == (200, {"user_id": ada, "username": "Ada", "is_active": True})
    assert is_refusal(await verify(client, login, "another password"))


async def test_nobody_learns_what_was_wrong(gallery, client) -> None:
    ada = await gallery.user("ada")
    await gallery.user("silent")
    await set_password(client, ada)

    refusals = [
        await verify(client, "ada", "wrong password"),
        await verify(client, "ada", "x"),
        await verify(client, "ada", CANARY + " "),
        await verify(client, "nobody"),
        await verify(client, "nobody@example.org"),
        await verify(client, "silent"),
        await verify(client, "ada' OR true --"),
    ]

    told = {"timestamp", "request_id"}
    bodies = [{key: value for key, value in answer.json().items() if key not in told} for answer in refusals]
    assert all(map(is_refusal, refusals))
    assert all(body == bodies[0] for body in bodies)
    headers = [{key: value for key, value in answer.headers.items() if key != "x-request-id"} for answer in refusals]
    assert all(each == headers[0] for each in headers)


async def test_nobody_learns_it_from_the_time_either(gallery) -> None:
    """Hashing costs so much that all else does not matter. Of each the fastest: others are at work here, too."""
    ada = await gallery.user("ada")
    async with cheap(gallery, password_memory_kib=16 * 1024, password_passes=3) as client:
        await set_password(client, ada)
        times = {"ada": [], "nobody": []}
        for _ in range(9):
            for login, taken in times.items():
                begun = time.perf_counter()
                await verify(client, login, "wrong password")
                taken.append(time.perf_counter() - begun)

    known, unknown = (min(taken) for taken in times.values())
    assert 0.5 < known / unknown < 2, times


async def test_the_password_is_the_last_one_that_was_set(gallery, client) -> None:
    ada = await gallery.user("ada")
    await set_password(client, ada, "first password")
    await set_password(client, ada, "second password")

    assert is_refusal(await verify(client, "ada", "first password"))
    assert (await verify(client, "ada", "second password")).status_code == 200


async def test_of_many_changes_at_once_the_last_in_the_log_holds(gallery, client) -> None:
    ada = await gallery.user("ada")
    many = [f"password-{number}" for number in range(6)]

    await asyncio.gather(*(set_password(client, ada, password) for password in many))

    answers = [(await verify(client, "ada", password)).status_code for password in many]
    assert sorted(answers) == [200, *[401] * 5]
    kept = await gallery.rows(
        "SELECT changed_at = (SELECT time FROM events WHERE stream = 'user-' || user_id ORDER BY version DESC LIMIT 1)"
        " FROM credentials"
    )
    assert kept == [(True,)]
    changes = "SELECT count(*) FROM events WHERE type = 'content.user.password_changed'"
    assert await gallery.rows(changes) == [(6,)]


async def test_a_user_who_is_not_active_is_told_as_such(gallery, client) -> None:
    ada = await gallery.user("ada")
    await set_password(client, ada)
    await gallery.client.delete(f"/api/v1/users/{ada}")

    assert (await verify(client, "ada")).json()["is_active"] is False


async def test_after_a_change_of_name_the_new_one_counts(gallery, client) -> None:
    ada = await gallery.user("ada")
    await set_password(client, ada)
    await gallery.put(f"/users/{ada}", {"username": "eve", "email": "eve@example.org"})

    assert is_refusal(await verify(client, "ada"))
    assert is_refusal(await verify(client, "ada@example.org"))
    assert (await verify(client, "eve")).json()["user_id"] == ada
    assert (await verify(client, "eve@example.org")).json()["user_id"] == ada


async def test_a_keyboard_that_writes_it_in_another_way_writes_the_same(gallery, client) -> None:
    ada = await gallery.user("ada")
    await set_password(client, ada, "Ame\u0301lie-①②③")

    assert (await verify(client, "ada", "Amélie-123")).status_code == 200


async def test_a_hash_is_made_again_when_the_parameters_have_changed_and_the_password_is_right(gallery, client) -> None:
    ada = await gallery.user("ada")
    await set_password(client, ada)
    before = await hashes(gallery)
    events = await gallery.rows("SELECT count(*) FROM events")
    assert (await verify(client, "ada")).status_code == 200
    assert await hashes(gallery) == before

    async with cheap(gallery, password_passes=2) as stronger:
        assert is_refusal(await verify(stronger, "ada", "wrong password"))
        assert await hashes(gallery) == before
        assert (await verify(stronger, "ada")).status_code == 200
        after = await hashes(gallery)
        assert after[ada].startswith("$argon2id$v=19$m=64,t=2,p=1$")
        assert (await verify(stronger, "ada")).status_code == 200
        assert await hashes(gallery) == after
    assert await gallery.rows("SELECT count(*) FROM events") == events


async def test_a_hash_that_is_made_again_does_not_bring_back_an_old_password(gallery, client, monkeypatch) -> None:
    ada = await gallery.user("ada")
    await set_password(client, ada, "first password")
    check = api.Hashing.check

    async def meanwhile(self, password, hashed):
        result = await check(self, password, hashed)
        await set_password(client, ada, "second password")
        return result

    monkeypatch.setattr(api.Hashing, "check", meanwhile)
    async with cheap(gallery, password_passes=2) as stronger:
        assert (await verify(stronger, "ada", "first password")).status_code == 200
    monkeypatch.undo()

    assert is_refusal(await verify(client, "ada", "first password"))
    assert (await verify(client, "ada", "second password")).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"password": None},
        {"password": 12345678},
        {"password": "x" * 7},
        {"password": "x" * 1025},
        {"password": "e\u0301" * 7},
        {"password": "ﷺ" * 100},
        {"password": "x" * 8 + "\u0000"},
        [],
    ],
)
async def test_what_is_no_password_is_refused(gallery, client, body) -> None:
    ada = await gallery.user("ada")

    answer = await client.put(f"/internal/v1/users/{ada}/password", json=body)

    assert (answer.status_code, answer.json()["error_code"]) == (422, "VALIDATION_ERROR")
    assert await hashes(gallery) == {}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"login": "ada"},
        {"password": CANARY},
        {"login": "", "password": CANARY},
        {"login": "x" * 255, "password": CANARY},
        {"login": "ada", "password": "x" * 1025},
        {"login": ["ada"], "password": CANARY},
        {"login": "a\u0000", "password": CANARY},
    ],
)
async def test_what_cannot_be_verified_is_refused(gallery, client, body) -> None:
    answer = await client.post(VERIFY, json=body)

    assert (answer.status_code, answer.json()["error_code"]) == (422, "VALIDATION_ERROR")


async def test_nobody_has_no_password(gallery, client) -> None:
    for user_id, status in [(uuid4(), 404), ("17", 422)]:
        answer = await client.put(f"/internal/v1/users/{user_id}/password", json={"password": CANARY})
        assert answer.status_code == status
    assert await hashes(gallery) == {}
    assert await gallery.rows("SELECT count(*) FROM events") == [(0,)]


async def test_who_finds_no_room_is_told_to_come_again(gallery, client, monkeypatch) -> None:
    ada = await gallery.user("ada")

    async def full(*_):
        raise NoRoomError

    monkeypatch.setattr(api.Hashing, "_in_thread", full)
    answers = [
        await verify(client, "ada"),
        await client.put(f"/internal/v1/users/{ada}/password", json={"password": CANARY}),
    ]

    for answer in answers:
        assert (answer.status_code, answer.json()["error_code"]) == (503, "NO_ROOM")
        assert answer.headers["retry-after"] == "2"


async def test_the_event_and_the_hash_are_there_together_or_not_at_all(gallery, client, monkeypatch) -> None:
    ada = await gallery.user("ada")

    async def broken(*_):
        raise RuntimeError("broken")

    monkeypatch.setattr(api.commands.queries, "put", broken)
    answer = await client.put(f"/internal/v1/users/{ada}/password", json={"password": CANARY})

    assert answer.status_code == 500
    assert await hashes(gallery) == {}
    assert await gallery.rows("SELECT type FROM events") == [("content.user.registered",)]


async def test_a_rebuild_of_everything_leaves_passwords_alone(gallery, client) -> None:
    ada = await gallery.user("ada")
    await set_password(client, ada)
    before = await hashes(gallery)

    async with gallery.platform.database("content", as_owner=True) as owner:
        async with owner.transaction() as connection:
            await connection.execute(text("DELETE FROM users"))
        for projection in service.projections:
            if projection.source is None:
                rebuild = Rebuild(projection, service="content", database=owner, bus=None)
                await rebuild.run(swap=True, progress=lambda *_: None)

    assert await hashes(gallery) == before
    assert (await verify(client, "ada")).status_code == 200


async def test_a_password_is_nowhere(gallery, monkeypatch) -> None:
    """Neither it nor its hash: in no answer, log line, event, message or span, whatever goes wrong."""
    ada = await gallery.user("ada")
    out = io.StringIO()
    logs.configure(service="content", level="DEBUG", out=out)
    answers = []
    with telemetry.recording() as exporter:
        async with cheap(gallery) as client:
            url = f"/internal/v1/users/{ada}/password"
            bodies = [
                {"password": CANARY[:7]},
                {"password": CANARY * 100},
                {"password": [CANARY]},
                {"password": {"x": CANARY}},
                {"passwort": CANARY},
                CANARY,
            ]
            for path, method in ((url, "PUT"), (VERIFY, "POST")):
                answers += [await client.request(method, path, json=body) for body in bodies]
                raw = f'{{"password": "{CANARY}"'
                for media_type in ("application/json", "text/plain"):
                    answers.append(
                        await client.request(method, path, content=raw, headers={"Content-Type": media_type})
                    )
            await set_password(client, ada)
            for login, password in (("ada", CANARY), ("nobody", CANARY), ("ada", f"{CANARY}x")):
                answers.append(await verify(client, login, password))

            async def broken(*_):
                raise RuntimeError("broken")

            monkeypatch.setattr(api.commands.queries, "put", broken)
            answers.append(await client.put(url, json={"password": CANARY}))
            await eventually(lambda: _outbox_is_empty(gallery))
    assert answers[-1].status_code == 500

    (kept,) = (await hashes(gallery)).values()
    events = await gallery.rows("SELECT row_to_json(events)::text FROM events")
    places = {
        "answers": "\n".join(f"{answer.headers} {answer.text}" for answer in answers),
        "logs": out.getvalue(),
        "events": "\n".join(row[0] for row in events),
        "bus": "\n".join([str(message) async for message in _messages(gallery)]),
        "spans": "\n".join(span.to_json() for span in exporter.get_finished_spans()),
        "tables": "\n".join([str(row) async for row in _rows_but_credentials(gallery)]),
    }
    assert "password_changed" in places["events"]
    assert "password_changed" in places["bus"]
    assert "broken" in places["logs"]
    assert all(places.values())
    for place, found in places.items():
        for secret in (CANARY[:7], "nary-7f3e9b", kept, kept[-20:]):
            assert secret not in found, place


async def _outbox_is_empty(gallery) -> bool:
    return await gallery.rows("SELECT count(*) FROM outbox") == [(0,)]


async def _messages(gallery):
    jetstream = gallery.platform.bus.jetstream
    for sequence in range(1, (await jetstream.stream_info("CONTENT")).state.messages + 1):
        message = await jetstream.get_msg("CONTENT", sequence)
        yield message.subject, message.headers, message.data.decode()


async def _rows_but_credentials(gallery):
    tables = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'content'"
    for (table,) in await gallery.rows(tables):
        if table != "credentials":
            for row in await gallery.rows(f"SELECT row_to_json(t)::text FROM {table} AS t"):
                yield row


@pytest.mark.parametrize("again", [False, True], ids=["migrated", "provisioned again"])
async def test_hashes_are_for_the_service_alone(gallery, postgres, again) -> None:
    """Whoever else may read the database, to look or to work on it, does not need them."""
    if again:
        passwords = Passwords(PASSWORD, PASSWORD, PASSWORD, dict.fromkeys(SERVICES, PASSWORD))
        name = make_url(gallery.platform.superuser_url).database
        await provision_database(postgres.url(), database=name, passwords=passwords)
    for role in ("genonaut_ro", "genonaut_rw", "genonaut_generation"):
        url = make_url(gallery.platform.superuser_url).set(drivername="postgresql", username=role, password=PASSWORD)
        connection = await asyncpg.connect(url.render_as_string(hide_password=False))
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch("SELECT * FROM content.credentials")
        await connection.close()


async def test_internal_paths_are_not_advertised(bare_gallery) -> None:
    paths = (await bare_gallery.client.get("/openapi.json")).json()["paths"]

    assert "/api/v1/users/{id}/stats" in paths
    assert not [path for path in paths if "internal" in path or "password" in path]
