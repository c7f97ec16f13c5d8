"""Noticing that a client has left. The server says so to `receive` only, and only to who asks."""

import asyncio
from types import TracebackType
from typing import Self

from starlette.requests import ClientDisconnect
from starlette.types import Receive


class Departure:
    """`async with Departure(receive) as departure:` cancels its body when the client leaves.

    It listens from `watch` on, which the owner calls when nobody else reads the request any more. The body then ends
    with ClientDisconnect.
    """

    __slots__ = ("_left", "_owner", "_receive", "_timer", "_watcher")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._owner: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._left = False

    async def __aenter__(self) -> Self:
        self._owner = asyncio.current_task()
        return self

    def watch(self, *, after: float = 0.0) -> None:
        """Listens, from `after` seconds on: what is answered by then needs no task of its own."""
        if self._timer is None and self._owner is not None:
            self._timer = asyncio.get_running_loop().call_later(after, self._start)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        owner, self._owner = self._owner, None
        if self._timer is not None:
            self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()
        if self._left and owner is not None and owner.uncancel() == 0 and kind is asyncio.CancelledError:
            raise ClientDisconnect from error

    def _start(self) -> None:
        if self._owner is not None:
            self._watcher = asyncio.get_running_loop().create_task(self._watch())

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if self._owner is not None:
            self._left = True
            self._owner.cancel()
