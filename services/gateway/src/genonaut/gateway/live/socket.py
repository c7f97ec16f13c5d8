"""The life of one or more jobs over a WebSocket."""

import asyncio
from contextlib import AsyncExitStack, suppress

import orjson
from starlette.websockets import WebSocket, WebSocketDisconnect

from genonaut.gateway.live import messages
from genonaut.gateway.live.feed import Feed, Following
from genonaut.gateway.live.messages import Message
from genonaut.platform.http.problems import NotFoundError, Problem

UNKNOWN_JOB = 4404
TRY_AGAIN_LATER = 1013
NORMAL = 1000
WAIT_SECONDS = 3600
PONG = messages.to_json({"type": "pong"}).decode()


async def relay(websocket: WebSocket, feed: Feed, job_ids: list[int], *, viewer: str | None = None) -> None:
    """Greets, tells the present state of each job and what happens next, and closes when all of them are over."""
    await websocket.accept()
    async with AsyncExitStack() as stack:
        try:
            followings = {
                job_id: await stack.enter_async_context(feed.follow(job_id, viewer=viewer)) for job_id in job_ids
            }
        except Problem as problem:
            known = not isinstance(problem, NotFoundError)
            await websocket.close(TRY_AGAIN_LATER if known else UNKNOWN_JOB, problem.detail)
            return
        if not followings:
            await websocket.close(UNKNOWN_JOB, "There is no such generation job")
            return
        listening = asyncio.create_task(_listen(websocket))
        telling = asyncio.gather(*(_tell(websocket, job_id, place) for job_id, place in followings.items()))
        try:
            await asyncio.wait((listening, telling), return_when=asyncio.FIRST_COMPLETED)
        finally:
            listening.cancel()
            telling.cancel()
            await asyncio.wait((listening, telling))
        if _all_is_told(telling) and not feed.stopping:  # then the server says that it goes away
            with suppress(WebSocketDisconnect):
                await websocket.close(NORMAL)


async def _tell(websocket: WebSocket, job_id: int, following: Following) -> None:
    await _send(websocket, messages.connection(job_id))
    await _send(websocket, following.snapshot())
    while not following.ended:
        for told in await following.next(within=WAIT_SECONDS):
            await websocket.send_text(told.json.decode())


def _all_is_told(telling: asyncio.Future[list[None]]) -> bool:
    """False when the client left. A cancelled gather has CancelledError as its exception, and is not `cancelled`."""
    try:
        telling.result()
    except (WebSocketDisconnect, asyncio.CancelledError):
        return False
    return True


async def _send(websocket: WebSocket, message: Message) -> None:
    await websocket.send_text(messages.to_json(message).decode())


async def _listen(websocket: WebSocket) -> None:
    """Answers pings until the client leaves. Everything else that it says is ignored."""
    with suppress(WebSocketDisconnect):
        while (message := await websocket.receive())["type"] != "websocket.disconnect":
            if _is_ping(message.get("text") or ""):
                await websocket.send_text(PONG)


def _is_ping(text: str) -> bool:
    try:
        said = orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return isinstance(said, dict) and said.get("type") == "ping"
