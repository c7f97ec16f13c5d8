"""Answers kept in Redis or Valkey until something that they depend on changes.

An answer depends on guards: names of what may change. A guard has a token, drawn at random, until it is dropped. With
an answer are kept the tokens that its guards had before it was read from the database, and it is good for as long as
they still have these. So nobody needs to know what depends on a guard to drop it, and an answer that was being made
meanwhile is never good.

A lost server, or a lost key, costs time alone: a lost token comes back as another one. What a process could not drop it
drops as soon as it can, and until then it neither uses nor keeps what depends on it. What one could not drop because
it died, the next one does, which forgets everything as it begins.
"""

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from genonaut.platform import metrics
from genonaut.platform.database import Database
from genonaut.platform.guards import EVERYTHING, Entry, Look, droppers

log = structlog.get_logger()

TIMEOUT_SECONDS = 0.5
"""A cache that is slower than this is none."""
REST_SECONDS = 1.0
"""After a failure it is left alone for so long."""
MOST_GUARDS = 1_000
"""So many are not dropped one by one: all that is kept is."""

_TOKEN_BYTES = 12

Command = tuple[str | bytes | int, ...]


class GuardedCache:
    """`url` is redis://…, `prefix` begins every key, and an answer is kept for `seconds` at most.

    It keeps nothing before it has begun; what changes is dropped from the start.
    """

    def __init__(self, url: str, database: Database, *, prefix: str, seconds: float) -> None:
        self._redis = Redis.from_url(
            url,
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        self.prefix = prefix
        self._milliseconds = max(1, int(seconds * 1000))
        self._rests_until = 0.0
        self._is_lost = False
        # Nobody knows what was not dropped before this process was there.
        self._undropped = Counter({EVERYTHING: 1})
        self._failed: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._retrying: asyncio.Task[None] | None = None
        self._waiting: list[tuple[Sequence[Command], asyncio.Future[list[Any]]]] = []
        self._sending: asyncio.Task[None] | None = None
        droppers[database.engine] = self.drop

    async def begin(self) -> None:
        """Forgets everything, now or as soon as the server answers. For those who look."""
        self._failed[EVERYTHING] += 1
        if not await self._drop_failed():
            self._retry()

    async def look(self, entries: Sequence[Entry]) -> list[Look]:
        """What there is of each. A miss may be filled with `keep`, by what is read after this."""
        unusable = [self._is_undropped(entry) for entry in entries]
        if all(unusable) or self._rests:
            return [Look(entry, None, {}) for entry in entries]
        names = list(dict.fromkeys([EVERYTHING, *(guard for entry in entries for guard in entry.guards)]))
        try:
            keys = [*(self._key(entry.key) for entry in entries), *map(self._guard, names)]
            (values,) = await self.send(("MGET", *keys))
            tokens = {name: token for name, token in zip(names, values[len(entries) :], strict=True) if token}
            tokens |= await self._drawn([name for name in names if name not in tokens])
        except (RedisError, OSError) as error:
            self._rest(error)
            return [Look(entry, None, {}) for entry in entries]
        self._answers()
        return [
            Look(entry, None, {}) if useless else _looked(entry, value, tokens)
            for entry, value, useless in zip(entries, values, unusable, strict=False)
        ]

    async def keep(self, answers: Sequence[tuple[Look, bytes]]) -> None:
        """Keeps them, unless that must not be."""
        kept = [(look, value) for look, value in answers if look.tokens]
        if not kept or self._rests:
            return
        try:
            await self.send(
                *(
                    ("SET", self._key(look.entry.key), look.stamp + value, "PX", self._milliseconds)
                    for look, value in kept
                )
            )
        except (RedisError, OSError) as error:
            self._rest(error)

    def drop(self, guards: Collection[str]) -> "asyncio.Task[None]":
        """From this call on nothing that depends on them is used here; elsewhere from when the task is done.

        The task never fails.
        """
        names = [EVERYTHING] if len(guards) > MOST_GUARDS else list(guards)
        self._undropped.update(names)
        metrics.CACHE_DROPS.inc(len(names))
        task = asyncio.create_task(self._drop(names))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def clear(self) -> None:
        """Drops everything. Raises ConnectionError when the server does not answer; it is done later, then."""
        self._failed[EVERYTHING] += 1
        self._undropped[EVERYTHING] += 1
        if not await self._drop_failed():
            self._retry()
            raise ConnectionError("the cache does not answer")

    async def close(self) -> None:
        """Tries once more to drop what could not be dropped."""
        if self._tasks:
            await asyncio.wait(self._tasks)
        if self._retrying:
            self._retrying.cancel()
        if self._failed:
            await self._drop_failed()
        await self._redis.aclose()

    async def send(self, *commands: Command) -> list[Any]:
        """The answers of the server. Raises RedisError and OSError.

        What others ask at the same time goes along: one connection is enough, however many ask.
        """
        answers: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._waiting.append((commands, answers))
        if self._sending is None:
            self._sending = asyncio.create_task(self._send_all())
        return await answers

    async def _send_all(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                async with self._redis.pipeline(transaction=False) as pipeline:
                    for commands, _ in batch:
                        for command in commands:
                            pipeline.execute_command(*command)
                    answered = iter(await pipeline.execute())
            except Exception as error:  # noqa: BLE001 - it is raised where they wait
                for _, waiting in batch:
                    if not waiting.done():
                        waiting.set_exception(error)
            else:
                for commands, waiting in batch:
                    answers = [next(answered) for _ in commands]
                    if not waiting.done():
                        waiting.set_result(answers)
        self._sending = None

    def _is_undropped(self, entry: Entry) -> bool:
        undropped = self._undropped
        return bool(undropped) and (EVERYTHING in undropped or any(guard in undropped for guard in entry.guards))

    async def _drawn(self, names: Sequence[str]) -> dict[str, bytes]:
        """A new token for each of these, or the one that somebody else was faster to draw."""
        if not names:
            return {}
        fresh = {name: secrets.token_bytes(_TOKEN_BYTES) for name in names}
        others = await self.send(
            *(
                ("SET", self._guard(name), token, "PX", 2 * self._milliseconds, "NX", "GET")
                for name, token in fresh.items()
            )
        )
        return {name: other or fresh[name] for name, other in zip(names, others, strict=True)}

    async def _drop(self, names: list[str]) -> None:
        if self._rests or not await self._unlink(names):
            self._failed.update(names)
            self._merge_failed()
            self._retry()
        else:
            self._subtract(self._undropped, Counter(names))

    async def _unlink(self, names: Iterable[str]) -> bool:
        try:
            await self.send(("UNLINK", *map(self._guard, names)))
        except (RedisError, OSError) as error:
            self._rest(error)
            return False
        return True

    def _merge_failed(self) -> None:
        if len(self._failed) > MOST_GUARDS:
            self._subtract(self._undropped, self._failed)
            self._undropped[EVERYTHING] += 1
            self._failed = Counter({EVERYTHING: 1})

    def _retry(self) -> None:
        if self._retrying is None or self._retrying.done():
            self._retrying = asyncio.create_task(self._drop_failed_sometime())

    async def _drop_failed_sometime(self) -> None:
        while True:
            if await self._drop_failed():
                return
            await asyncio.sleep(REST_SECONDS)

    async def _drop_failed(self) -> bool:
        """Whether nothing is left that could not be dropped."""
        failed = self._failed.copy()
        if not await self._unlink(failed):
            return False
        self._subtract(self._failed, failed)
        self._subtract(self._undropped, failed)
        self._answers()
        return not self._failed

    @staticmethod
    def _subtract(counts: "Counter[str]", less: "Counter[str]") -> None:
        counts.subtract(less)
        for name in [name for name in less if counts[name] <= 0]:
            del counts[name]

    @property
    def _rests(self) -> bool:
        return time.monotonic() < self._rests_until

    def _rest(self, error: Exception) -> None:
        if not self._is_lost:
            self._is_lost = True
            log.warning("cache.unreachable", error=f"{type(error).__name__}: {error}")
        metrics.CACHE_FAILURES.inc()
        self._rests_until = time.monotonic() + REST_SECONDS

    def _answers(self) -> None:
        self._rests_until = 0.0
        if self._is_lost:
            self._is_lost = False
            log.info("cache.reachable")

    def _key(self, key: str) -> str:
        return f"{self.prefix}{key}"

    def _guard(self, name: str) -> str:
        return f"{self.prefix}guard:{name}"


def _looked(entry: Entry, value: bytes | None, tokens: Mapping[str, bytes]) -> Look:
    look = Look(entry, None, {name: tokens[name] for name in (EVERYTHING, *entry.guards)})
    stamp = look.stamp
    return replace(look, value=value[len(stamp) :]) if value and value.startswith(stamp) else look
