"""Argon2id off the event loop, a few at a time: each takes much memory and all of a core, on purpose."""

import asyncio
import secrets
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from threading import BoundedSemaphore
from typing import TypeVar

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

T = TypeVar("T")

AT_ONCE = 2
ROOM = 64
"""Hashes that are being made or wait for it. More would have to wait for seconds, each."""


class NoRoomError(Exception):
    """So many hashes are being made that this one would come too late for anybody."""


@dataclass(frozen=True)
class Parameters:
    """What a hash costs whoever makes it."""

    memory_kib: int
    passes: int
    lanes: int


@dataclass(frozen=True)
class Hashing:
    parameters: Parameters
    _threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(AT_ONCE, "argon2"))
    _room: BoundedSemaphore = field(default_factory=lambda: BoundedSemaphore(ROOM))

    async def hash(self, password: str) -> str:
        """With a salt of its own. Raises NoRoomError."""
        return await self._in_thread(lambda: self._hasher.hash(password))

    async def check(self, password: str, hashed: str | None) -> tuple[bool, str | None]:
        """Whether this is the password; and if it is, what replaces a hash that was made with other parameters.

        Without a hash it takes as long as with one, and is never right. Raises NoRoomError.
        """
        return await self._in_thread(lambda: self._hasher.verify_and_update(password, hashed or self._nobodys()))

    @property
    def _hasher(self) -> PasswordHash:
        of = self.parameters
        return PasswordHash((Argon2Hasher(of.passes, of.memory_kib, of.lanes),))

    def _nobodys(self) -> str:
        """A hash of no password: what is compared with it is computed all the same."""
        salt, digest = (b64encode(secrets.token_bytes(size)).decode().rstrip("=") for size in (16, 32))
        of = self.parameters
        return f"$argon2id$v=19$m={of.memory_kib},t={of.passes},p={of.lanes}${salt}${digest}"

    async def _in_thread(self, work: Callable[[], T]) -> T:
        if not self._room.acquire(blocking=False):
            raise NoRoomError
        future = self._threads.submit(work)
        # When the work is over, and not when nobody waits for it any more: a thread cannot be called back.
        future.add_done_callback(lambda _: self._room.release())
        return await asyncio.wrap_future(future)


@cache
def hashing(parameters: Parameters) -> Hashing:
    """The process's own: what is bounded is bounded for all of its requests together."""
    return Hashing(parameters)
