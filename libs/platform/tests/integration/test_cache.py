"""Answers kept in a real Valkey: until a guard is dropped, and not a moment longer, whatever happens to the server."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from sqlalchemy import text

from genonaut.platform import cache as cache_module
from genonaut.platform.cache import Command, GuardedCache
from genonaut.platform.database import Database
from genonaut.platform.guards import Entry, touch
from genonaut.stack.servers import Valkey
from genonaut.testkit.platforms import Platform
from genonaut.testkit.waiting import eventually

CATS, DOGS = Entry("cats", ("cat",)), Entry("dogs", ("dog", "wolf"))


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is not a lost cache: what is claimed here is of one that answers, or one that is gone."""
    monkeypatch.setattr(cache_module, "TIMEOUT_SECONDS", 30.0)


@pytest_asyncio.fixture
async def database(platform: Platform) -> AsyncIterator[Database]:
    async with platform.database("content") as database:
        yield database


@pytest_asyncio.fixture
async def opened(valkey: str, database: Database) -> AsyncIterator[Callable[..., Any]]:
    """Makes caches that share one prefix, as processes of one service do."""
    prefix = f"test:{uuid4()}:"
    caches: list[GuardedCache] = []

    async def begin(**options: Any) -> GuardedCache:
        cache = GuardedCache(valkey, database, **{"prefix": prefix, "seconds": 60, **options})
        caches.append(cache)
        await cache.begin()
        return cache

    yield begin
    for cache in caches:
        await cache.close()


@pytest_asyncio.fixture
async def cache(opened: Callable[..., Any]) -> GuardedCache:
    cache: GuardedCache = await opened()
    return cache


async def value(cache: GuardedCache, entry: Entry) -> bytes | None:
    (look,) = await cache.look([entry])
    return look.value


async def is_usable(cache: GuardedCache) -> bool:
    return all(look.tokens for look in await cache.look([CATS]))


async def fill(cache: GuardedCache, *answers: tuple[Entry, bytes]) -> None:
    looks = await cache.look([entry for entry, _ in answers])
    await cache.keep([(look, answer) for look, (_, answer) in zip(looks, answers, strict=True)])


async def test_an_answer_is_kept_until_one_of_its_guards_is_dropped(cache: GuardedCache) -> None:
    await fill(cache, (CATS, b"cats!"), (DOGS, b""))
    assert [look.value for look in await cache.look([CATS, DOGS])] == [b"cats!", b""]

    await cache.drop(["wolf", "bear"])

    assert [look.value for look in await cache.look([CATS, DOGS])] == [b"cats!", None]
    await fill(cache, (DOGS, b"dogs"))
    assert await value(cache, DOGS) == b"dogs"


async def test_an_answer_that_was_being_made_when_something_changed_is_never_given(cache: GuardedCache) -> None:
    (look,) = await cache.look([CATS])

    await cache.drop(["cat"])
    await cache.keep([(look, b"as they were")])

    assert await value(cache, CATS) is None


async def test_nothing_is_used_from_the_moment_of_a_drop(cache: GuardedCache) -> None:
    await fill(cache, (CATS, b"cats"), (DOGS, b"dogs"))

    task = cache.drop(["cat"])
    cats, dogs = await cache.look([CATS, DOGS])

    assert (cats.value, dogs.value) == (None, b"dogs")
    await task


async def test_other_processes_see_a_drop_and_a_new_one_forgets_everything(
    cache: GuardedCache, opened: Callable[..., Any]
) -> None:
    other = await opened()
    await fill(cache, (CATS, b"cats"), (DOGS, b"dogs"))
    assert await value(other, CATS) == b"cats"

    await cache.drop(["cat"])
    assert await value(other, CATS) is None
    assert await value(other, DOGS) == b"dogs"

    newcomer = await opened()
    assert await value(newcomer, DOGS) is None
    assert await value(cache, DOGS) is None


async def test_the_same_key_with_other_guards_is_another_answer(cache: GuardedCache) -> None:
    await fill(cache, (Entry("key", ("cat", "dog")), b"both"))

    assert await value(cache, Entry("key", ("cat",))) is None
    assert await value(cache, Entry("key", ("cat", "dog"))) == b"both"


async def test_answers_have_their_time(opened: Callable[..., Any]) -> None:
    cache = await opened(seconds=0.05)
    await fill(cache, (CATS, b"cats"))

    (left,) = await cache.send(("PTTL", f"{cache.prefix}cats"))

    assert 0 < left <= 50


async def test_a_lost_token_makes_what_was_kept_under_it_old(cache: GuardedCache) -> None:
    await fill(cache, (CATS, b"cats"))

    await cache.send(("UNLINK", f"{cache.prefix}guard:cat"))

    assert await value(cache, CATS) is None


async def test_many_guards_are_everything(cache: GuardedCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "MOST_GUARDS", 2)
    await fill(cache, (CATS, b"cats"))

    await cache.drop(["a", "b", "c"])

    assert await value(cache, CATS) is None


async def test_what_is_touched_in_a_transaction_is_dropped_with_its_end(
    cache: GuardedCache, database: Database
) -> None:
    await fill(cache, (CATS, b"cats"), (DOGS, b"dogs"))

    async with database.transaction() as connection:
        touch(connection, ["cat"])
        touch(connection, ["bear"])
        assert await value(cache, CATS) == b"cats"
    assert await value(cache, CATS) is None
    assert await value(cache, DOGS) == b"dogs"

    # Nobody knows of a transaction whose end fails whether it was committed.
    async def cut_off() -> None:
        async with database.transaction() as connection:
            await connection.execute(text("SELECT 1"))
            touch(connection, ["dog"])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await cut_off()
    await asyncio.gather(*cache._tasks)
    assert await value(cache, DOGS) is None


async def test_a_lost_server_costs_time_alone(
    own_valkey: Valkey, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_module, "REST_SECONDS", 0.01)
    cache = GuardedCache(own_valkey.url(), database, prefix="test:", seconds=60)
    await cache.begin()
    await fill(cache, (CATS, b"cats"), (DOGS, b"dogs"))

    own_valkey.stop()
    assert [look.tokens for look in await cache.look([CATS, DOGS])] == [{}, {}]
    await fill(cache, (CATS, b"cats"))
    await cache.drop(["cat"])
    with pytest.raises(ConnectionError, match="does not answer"):
        await cache.clear()

    own_valkey.start()
    await eventually(lambda: is_usable(cache))
    assert [look.value for look in await cache.look([CATS, DOGS])] == [None, None]
    await fill(cache, (CATS, b"cats"))
    assert await value(cache, CATS) == b"cats"
    await cache.close()


async def test_what_could_not_be_dropped_is_not_used_until_it_is(
    cache: GuardedCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_module, "REST_SECONDS", 0.0)
    await fill(cache, (CATS, b"cats"), (DOGS, b"dogs"))
    reachable = asyncio.Event()
    send = cache.send

    async def cut_off(*commands: Command) -> list[Any]:
        if commands[0][0] == "UNLINK" and not reachable.is_set():
            await asyncio.sleep(0)
            raise ConnectionError("cut off")
        return await send(*commands)

    monkeypatch.setattr(cache, "send", cut_off)
    await cache.drop(["cat"])
    cats, dogs = await cache.look([CATS, DOGS])
    assert (cats.value, cats.tokens, dogs.value) == (None, {}, b"dogs")
    await cache.keep([(cats, b"not to be kept")])

    reachable.set()
    await eventually(lambda: is_usable(cache))
    assert await value(cache, CATS) is None


async def test_however_many_ask_at_once_all_are_answered(cache: GuardedCache, monkeypatch: pytest.MonkeyPatch) -> None:
    await fill(cache, (CATS, b"cats"), (DOGS, b"dogs"))
    pipelines = []
    pipeline = cache._redis.pipeline
    monkeypatch.setattr(cache._redis, "pipeline", lambda **options: pipelines.append(1) or pipeline(**options))

    values = await asyncio.gather(*(value(cache, [CATS, DOGS][number % 2]) for number in range(1000)))

    assert values == [b"cats", b"dogs"] * 500
    assert len(pipelines) <= 2, "what is asked while another answer comes goes together"


async def test_who_goes_away_takes_no_answer_of_others_along(cache: GuardedCache) -> None:
    await fill(cache, (CATS, b"cats"))
    gone, stays = asyncio.create_task(value(cache, CATS)), asyncio.create_task(value(cache, CATS))
    await asyncio.sleep(0)
    gone.cancel()

    assert await stays == b"cats"
    assert await value(cache, CATS) == b"cats"


async def test_a_command_that_ends_drops_what_it_could_not_and_nothing_else(
    cache: GuardedCache, valkey: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(cache, (CATS, b"cats"), (DOGS, b"dogs"))
    command = GuardedCache(valkey, database, prefix=cache.prefix, seconds=60)
    with monkeypatch.context() as cut:

        async def cut_off(*_: Command) -> list[Any]:
            raise ConnectionError("cut off")

        cut.setattr(command, "send", cut_off)
        await command.drop(["cat"])
    assert await value(cache, CATS) == b"cats"

    await command.close()

    assert await value(cache, CATS) is None
    assert await value(cache, DOGS) == b"dogs"


async def test_too_much_that_could_not_be_dropped_is_everything(
    cache: GuardedCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_module, "MOST_GUARDS", 3)
    monkeypatch.setattr(cache_module, "REST_SECONDS", 60.0)
    await fill(cache, (DOGS, b"dogs"))

    async def cut_off(*_: Command) -> list[Any]:
        raise ConnectionError("cut off")

    with monkeypatch.context() as cut:
        cut.setattr(cache, "send", cut_off)
        await cache.drop(["a", "b"])
        await cache.drop(["c", "d"])

    assert set(cache._failed) == {"*"}
    assert set(cache._undropped) == {"*"}
