"""Passwords: what one is, and how they are hashed: off the event loop, and a few at a time."""

import asyncio
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genonaut.content.credentials import hashing as module
from genonaut.content.credentials.domain import BadPasswordError, acceptable, normal
from genonaut.content.credentials.hashing import Hashing, NoRoomError, Parameters, hashing
from genonaut.content.settings import ContentSettings
from genonaut.platform.settings import SettingsError

CHEAP = Parameters(memory_kib=64, passes=1, lanes=1)


@pytest.mark.parametrize("password", ["x" * 8, "x" * 1024, "pass phrase", " " * 8, "🙂" * 8, "ﬀﬀﬀﬀ"])
def test_a_password_may_be_anything_of_8_to_1024_characters(password: str) -> None:
    assert 8 <= len(acceptable(password)) <= 1024


@pytest.mark.parametrize(
    "password",
    ["", "x" * 7, "x" * 1025, "e\u0301" * 7, "ﷺ" * 1000, "x" * 10**6],
    ids=["empty", "short", "long", "short when composed", "long when decomposed", "very long"],
)
def test_what_is_no_password_is_refused_and_not_repeated(password: str) -> None:
    with pytest.raises(BadPasswordError) as refused:
        acceptable(password)
    assert len(password) < 5 or password[:5] not in str(refused.value)


def test_what_looks_the_same_is_the_same() -> None:
    assert normal("Ame\u0301lie ①") == normal("Amélie 1")


@given(st.text(max_size=1024))
def test_the_normal_spelling_of_the_normal_spelling_is_itself(text: str) -> None:
    try:
        once = normal(text)
    except BadPasswordError:
        return
    assert normal(once) == once


async def test_a_password_is_told_from_all_others_and_salted() -> None:
    cheap = Hashing(CHEAP)
    one, other = await cheap.hash("correct horse"), await cheap.hash("correct horse")

    assert one != other
    assert one.startswith("$argon2id$v=19$m=64,t=1,p=1$")
    assert await cheap.check("correct horse", one) == (True, None)
    assert await cheap.check("correct horsf", one) == (False, None)
    assert await cheap.check("correct horse", None) == (False, None)


@pytest.mark.parametrize("newer", [Parameters(128, 1, 1), Parameters(64, 2, 1), Parameters(64, 1, 2)])
async def test_a_hash_of_other_parameters_is_right_and_made_again(newer: Parameters) -> None:
    old = await Hashing(CHEAP).hash("correct horse")

    assert await Hashing(newer).check("wrong horse", old) == (False, None)
    right, new = await Hashing(newer).check("correct horse", old)
    assert right
    assert new
    assert await Hashing(newer).check("correct horse", new) == (True, None)


async def test_who_has_no_password_costs_what_a_wrong_one_costs(monkeypatch) -> None:
    """Not measured but counted: both go through the same computation with the same parameters."""
    verified = []
    verify = module.PasswordHash.verify_and_update

    def counted(self, password: str, hashed: str):
        verified.append(hashed.rsplit("$", 2)[0])
        return verify(self, password, hashed)

    monkeypatch.setattr(module.PasswordHash, "verify_and_update", counted)
    cheap = Hashing(CHEAP)
    hashed = await cheap.hash("correct horse")
    await cheap.check("wrong horse", hashed)
    await cheap.check("wrong horse", None)

    assert verified == ["$argon2id$v=19$m=64,t=1,p=1"] * 2
    nobodys = cheap._nobodys()
    assert [len(part) for part in nobodys.split("$")] == [len(part) for part in hashed.split("$")]


class Slow:
    """Stands for the hasher: works until it is let go, and counts how many do so at the same time."""

    def __init__(self) -> None:
        self.lock, self.free = threading.Lock(), threading.Event()
        self.at_once = self.most = self.done = 0

    def hash(self, _password: str) -> str:
        with self.lock:
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        self.free.wait(30)
        with self.lock:
            self.at_once -= 1
            self.done += 1
        return "hash"


async def test_a_few_are_hashed_at_a_time_and_who_has_no_room_is_told_at_once(monkeypatch) -> None:
    slow = Slow()
    monkeypatch.setattr(Hashing, "_hasher", slow)
    busy = Hashing(CHEAP)
    tasks = [asyncio.create_task(busy.hash("correct horse")) for _ in range(module.ROOM)]
    await asyncio.sleep(0)  # the event loop goes on meanwhile

    with pytest.raises(NoRoomError):
        await busy.hash("one too many")
    # Who goes away makes room only when the work is done or was never begun.
    tasks[-1].cancel()
    tasks[0].cancel()
    await asyncio.wait([tasks[-1], tasks[0]])
    again = asyncio.create_task(busy.hash("correct horse"))
    await asyncio.sleep(0)
    with pytest.raises(NoRoomError):
        await busy.hash("one too many")
    slow.free.set()

    assert await asyncio.gather(*tasks[1:-1], again) == ["hash"] * (module.ROOM - 1)
    assert slow.most <= module.AT_ONCE
    assert await busy.hash("correct horse") == "hash"


def test_a_process_has_one_bound_for_all() -> None:
    assert hashing(Parameters(64, 1, 1)) is hashing(CHEAP)


def test_too_little_memory_for_the_lanes_is_refused_at_start(monkeypatch) -> None:
    for name, value in {
        "DATABASE_URL": "postgresql://x",
        "NATS_URL": "nats://x",
        "OBJECT_STORE_URL": "file:///x",
        "API_SECRET_KEY": "k" * 32,
        "PASSWORD_MEMORY_KIB": "16",
    }.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match="at least 8 for each"):
        ContentSettings.load()
