"""The picture processes of a service: a few, started when they are needed, used again and again, ended when idle.

They get no environment, so no secrets, and nothing but the bytes of pictures. One that dies or takes too long is
replaced; what it was given is tried once more when that may have been somebody else's doing.
"""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import structlog

from genonaut.platform.pictures.protocol import (
    HEAD,
    MAX_ANSWER_BYTES,
    MAX_HEAD_BYTES,
    Refusal,
    RefusedError,
    packed,
    unpacked,
)
from genonaut.platform.trouble import OutageError

log = structlog.get_logger()

MEMORY_BYTES = 512 * 1024 * 1024
"""Of address space for each process: a picture of MAX_PIXELS takes 300 MB decoded."""
CPU_SECONDS = 10
"""For one picture. The largest that is taken needs about two."""
ANSWER_SECONDS = 30.0
"""For one picture on a machine that has other work, too."""
START_SECONDS = 20.0
IDLE_SECONDS = 60.0
ENDING_SECONDS = 2.0
"""For one that has closed its end, and so should be ending."""
WAITING = 64
"""How many may wait for their turn. More than that would only wait for their clients to give up."""

_PASSED_ON = ("LD_LIBRARY_PATH",)
"""What an interpreter may need to start at all."""


class PicturesBusyError(OutageError):
    """Too many wait already."""


class PictureProcessError(OutageError):
    """No picture process can be started. Nobody's picture is to blame."""


class Turn:
    """The right to have one thing done at a time, for as long as it is held."""

    def __init__(self, pool: "PicturePool") -> None:
        self._pool = pool

    async def ask(self, task: Mapping[str, Any], data: bytes) -> tuple[dict[str, Any], list[bytes]]:
        """The answer's fields and parts. Raises RefusedError, or PictureProcessError."""
        for tries_left in (1, 0):
            process = await self._pool.taken()
            try:
                fields, parts = await process.ask(task, data)
            except TimeoutError:
                self._pool.drop(process)
                raise RefusedError(Refusal.TIME) from None
            except (OSError, ValueError) as error:
                how = await process.ended()
                log.warning("pictures.process_died", signal=-how if how < 0 else None, error=str(error))
                if how == -signal.SIGXCPU:
                    raise RefusedError(Refusal.TIME) from None
                if not tries_left:
                    raise RefusedError(Refusal.CRASH) from None
                continue
            except BaseException:
                self._pool.drop(process)  # it is in the middle of something that nobody waits for
                raise
            self._pool.give_back(process)
            if refused := fields.get("refused"):
                if "error" in fields:
                    log.warning("pictures.undecodable", error=fields["error"])
                raise RefusedError(Refusal(refused) if refused in list(Refusal) else Refusal.CRASH)
            return fields, parts
        raise AssertionError("unreachable")


class PicturePool:
    """At most `processes` at once. It belongs to one event loop, and is to be closed on it."""

    def __init__(
        self,
        processes: int = 2,
        *,
        memory_bytes: int = MEMORY_BYTES,
        cpu_seconds: int = CPU_SECONDS,
        answer_seconds: float = ANSWER_SECONDS,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        self._limits = (memory_bytes, cpu_seconds)
        self._answer_seconds = answer_seconds
        self._idle_seconds = idle_seconds
        self._turns = asyncio.Semaphore(processes)
        self._waiting = 0
        self._idle: list[_Process] = []
        self._ending: set[asyncio.Task[int]] = set()
        self._making: dict[str, asyncio.Future[None]] = {}

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[Turn]:
        """Load what is to be done inside: so many pictures are in memory as there are processes, and no more.

        Raises PicturesBusyError.
        """
        if self._waiting >= WAITING:
            raise PicturesBusyError("too many pictures wait")
        self._waiting += 1
        try:
            await self._turns.acquire()
        finally:
            self._waiting -= 1
        try:
            yield Turn(self)
        finally:
            self._turns.release()

    async def once(self, name: str, make: Callable[[], Awaitable[None]]) -> None:
        """Returns, or raises, as `make` does: called once for all who ask for this name at the same time."""
        task = self._making.get(name)
        if task is None:
            # A task of its own: who asked first may go away, and the others still wait.
            task = self._making[name] = asyncio.ensure_future(make())
            task.add_done_callback(lambda done: self._made(name, done))
        await asyncio.shield(task)

    def _made(self, name: str, task: asyncio.Future[None]) -> None:
        del self._making[name]
        if not task.cancelled():
            task.exception()  # heard, even when all who asked have gone

    @property
    def idle(self) -> list[int]:
        """The ids of the processes that wait for work."""
        return [process.pid for process in self._idle]

    async def taken(self) -> "_Process":
        """One for the holder of a turn: the one that was used last, so that the others become idle and end."""
        if self._idle:
            process = self._idle.pop()
            process.stay()
            return process
        try:
            process = _Process(self._limits, self._answer_seconds)
        except OSError as error:
            raise PictureProcessError(f"a picture process cannot be started: {error.strerror}") from error
        try:
            await process.ready()
        except (OSError, ValueError) as error:
            self.drop(process)
            raise PictureProcessError("a picture process ended as soon as it was started") from error
        except BaseException:
            self.drop(process)
            raise
        return process

    def give_back(self, process: "_Process") -> None:
        """For the next turn; it ends when there is none for a while."""

        def leave() -> None:
            self._idle.remove(process)
            self.drop(process)

        self._idle.append(process)
        process.leaving = asyncio.get_running_loop().call_later(self._idle_seconds, leave)

    def drop(self, process: "_Process") -> None:
        """Ends it at once; what is left of it is cleared away behind the caller's back."""
        process.kill()
        task = asyncio.get_running_loop().create_task(process.ended())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def close(self) -> None:
        """Ends what is idle or made for several. What is at work for one ends with its turn, or with this process."""
        making = list(self._making.values())
        for task in making:
            task.cancel()
        await asyncio.gather(*making, return_exceptions=True)
        while self._idle:
            process = self._idle.pop()
            process.stay()
            self.drop(process)
        await asyncio.gather(*self._ending)


class _Process:
    """One process, and our end of its socket."""

    def __init__(self, limits: tuple[int, int], answer_seconds: float) -> None:
        self._answer_seconds = answer_seconds
        self.leaving: asyncio.TimerHandle | None = None
        self._socket, theirs = socket.socketpair()
        self._socket.setblocking(False)
        words = [str(word) for word in (os.getpid(), *limits)]
        try:
            with theirs:
                self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                    [sys.executable, "-I", "-m", "genonaut.platform.pictures.process", *words],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    cwd="/",
                    env={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
                )
        except OSError:
            self._socket.close()
            raise

    async def ready(self) -> None:
        """Raises OSError or ValueError when it does not come to that."""
        async with asyncio.timeout(START_SECONDS):
            await self._heard()

    @property
    def pid(self) -> int:
        return self._process.pid

    async def ask(self, task: Mapping[str, Any], data: bytes) -> tuple[dict[str, Any], list[bytes]]:
        """Raises TimeoutError; OSError when it is gone, and ValueError when it speaks nonsense."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self._answer_seconds):
            await loop.sock_sendall(self._socket, packed(task, [data]))
            await loop.sock_sendall(self._socket, data)
            return await self._heard()

    async def _heard(self) -> tuple[dict[str, Any], list[bytes]]:
        (length,) = HEAD.unpack(await self._received(HEAD.size))
        if length > MAX_HEAD_BYTES:
            raise ValueError("a head too long")
        fields, lengths = unpacked(await self._received(length))
        if sum(lengths) > MAX_ANSWER_BYTES:
            raise ValueError("an answer too long")
        return fields, [await self._received(length) for length in lengths]

    async def _received(self, length: int) -> bytes:
        loop, buffer = asyncio.get_running_loop(), bytearray(length)
        rest = memoryview(buffer)
        while rest:
            if not (count := await loop.sock_recv_into(self._socket, rest)):
                raise ConnectionResetError("it has closed its end")
            rest = rest[count:]
        return bytes(buffer)

    def stay(self) -> None:
        if self.leaving:
            self.leaving.cancel()
            self.leaving = None

    def kill(self) -> None:
        self._socket.close()
        self._process.kill()

    async def ended(self) -> int:
        """Its exit status, after it has ended by itself or, when it does not, been killed."""
        self._socket.close()
        try:
            status: int = await asyncio.to_thread(self._process.wait, ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = await asyncio.to_thread(self._process.wait)
        return status
