"""A response of Server-Sent Events that lasts as long as the job or the client."""

import asyncio

import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from genonaut.gateway.live.feed import Feed, Following
from genonaut.gateway.routing.departures import Departure

log = structlog.get_logger()

KEEP_ALIVE_SECONDS = 15
KEEP_ALIVE = b": keep-alive\n\n"
RECONNECT = b"retry: 2000\n\n"
SEND_SECONDS = 30
"""A client that reads nothing for so long is cut off. It may come back with its position."""


class EventStream(Response):
    """The log of a job after position `after`, then what happens, until the terminal event.

    When there is nothing left to send it is a 204, which tells an EventSource not to come back. Raises what
    `Feed.follow` raises before it begins.
    """

    media_type = "text/event-stream"

    def __init__(self, feed: Feed, job_id: int, *, after: int, viewer: str | None = None) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._feed = feed
        self._job_id = job_id
        self._after = after
        self._viewer = viewer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with Departure(receive) as departure:
            departure.watch()
            async with self._feed.follow(self._job_id, after=self._after, viewer=self._viewer) as following:
                if following.ended:
                    await Response(status_code=204, media_type=self.media_type)(scope, receive, send)
                    return
                await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
                try:
                    await self._relay(following, send)
                except TimeoutError:
                    log.warning("live.client_stuck", job_id=self._job_id)
                    return
                await send({"type": "http.response.body", "body": b""})

    async def _relay(self, following: Following, send: Send) -> None:
        await _write(send, RECONNECT)
        while not following.ended:
            news = await following.next(within=KEEP_ALIVE_SECONDS)
            if news or not following.ended:
                await _write(send, b"".join(told.sse for told in news) or KEEP_ALIVE)


async def _write(send: Send, chunk: bytes) -> None:
    async with asyncio.timeout(SEND_SECONDS):
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
