"""Request bodies on their way to a service.

Small ones go whole, so that a request can be repeated; others go as they come, never held in memory.
"""

import asyncio
from collections.abc import AsyncIterator, Callable

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from genonaut.platform.http.problems import Problem

SMALL = 64 * 1024
"""Bytes up to which a body of known length is read before the service hears of the request."""


async def whole(receive: Receive, *, pause: float) -> bytes:
    """The body. Raises ClientDisconnect, or a 408 when the client pauses longer than `pause` seconds."""
    return b"".join([chunk async for chunk in _chunks(receive, pause)])


class Upload:
    """A body that is passed on while it arrives. `finished` is called when the client has sent all of it."""

    def __init__(self, receive: Receive, *, pause: float, finished: Callable[[], None]) -> None:
        self._receive = receive
        self._pause = pause
        self._finished = finished
        self.error: Exception | None = None
        """Why the client's side broke: the sending library hides it behind an error of its own."""

    async def chunks(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in _chunks(self._receive, self._pause):
                yield chunk
        except Exception as error:
            self.error = error
            raise
        self._finished()


async def _chunks(receive: Receive, pause: float) -> AsyncIterator[bytes]:
    more = True
    while more:
        try:
            async with asyncio.timeout(pause):
                message = await receive()
        except TimeoutError:
            raise Problem(
                408, "Request timeout", "The rest of the body did not arrive in time.", "REQUEST_TIMEOUT"
            ) from None
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        if body := message.get("body"):
            yield body
        more = message.get("more_body", False)
