"""The progress feed of one attempt: listens to the server's socket, tells what is new, wakes who polls.

Nothing depends on it: a socket that cannot be opened, falls silent or breaks costs progress messages, never the
attempt.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from types import TracebackType
from typing import Self
from uuid import UUID, uuid5

import aiohttp
import orjson
import structlog

from genonaut.contracts.live import JobProgress
from genonaut.generation.comfyui.client import ComfyUI
from genonaut.generation.comfyui.progress import Progress

log = structlog.get_logger()

OnProgress = Callable[[JobProgress], Awaitable[None]]

FEATURES = {"type": "feature_flags", "data": {"supports_preview_metadata": True}}
CONNECT_SECONDS = 2.0
"""How long the start of an attempt waits for the socket; what is said before it listens is not repeated."""
SILENCE_SECONDS = 180.0
"""A server may have mixed up an old socket and its successor; then only another one is heard. Longer than a zombie is
watched, whose silence must not be broken."""
RETRY_SECONDS = (0.5, 1.0, 2.0, 5.0, 10.0)
INTERVAL_SECONDS = 0.2
"""Between messages about the same node."""


class Feed:
    """Use it as an async context manager around the attempt; leave it and the socket is closed."""

    def __init__(
        self,
        server: ComfyUI,
        progress: Progress,
        *,
        job_id: int,
        attempt: int,
        prompt_id: UUID,
        on_progress: OnProgress,
        now: Callable[[], datetime],
    ) -> None:
        # Events go to the client id of the submission, so every connection of an attempt has the same one, also
        # that of a driver that takes it over. The server confuses connections that overlap: one closes, the next opens.
        self.client_id = str(uuid5(prompt_id, "feed"))
        self.nudge = asyncio.Event()
        """Set when something may have happened that polling should look at."""
        self.unbroken = True
        """Nothing that the server said since the feed was opened can have been missed."""
        self._server = server
        self._progress = progress
        self._job_id = job_id
        self._attempt = attempt
        self._on_progress = on_progress
        self._now = now
        self._connected = asyncio.Event()
        self._told_at = float("-inf")
        self._told_node: str | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._listen())
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._connected.wait()
        except TimeoutError:
            self.unbroken = False
            log.info("comfyui.feed_unavailable", server=self._server.name)
        except BaseException:
            self._task.cancel()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            if not self._task.cancelled() and (trouble := self._task.exception()):
                log.error("comfyui.feed_failed", server=self._server.name, exc_info=trouble)

    async def _listen(self) -> None:
        failures = 0
        while True:
            try:
                async with self._server.socket(self.client_id) as socket:
                    failures = 0
                    await socket.send_json(FEATURES)
                    self._connected.set()
                    await self._hear(socket)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                log.debug("comfyui.feed_broken", server=self._server.name, error=type(error).__name__)
            self.unbroken = False
            if failures == 0:
                self.nudge.set()
            await asyncio.sleep(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])
            failures += 1

    async def _hear(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Until the socket closes. Raises TimeoutError when it is silent for too long."""
        while True:
            message = await socket.receive(timeout=SILENCE_SECONDS)
            match message.type:
                case aiohttp.WSMsgType.TEXT:
                    new = self._progress.hear(_parsed(message.data))
                case aiohttp.WSMsgType.BINARY:
                    new = self._progress.see(message.data)
                case _:
                    return
            if self._progress.over:
                self.nudge.set()
            if new:
                await self._tell()

    async def _tell(self) -> None:
        """Pass on where the attempt stands, unless it was said a moment ago."""
        now = asyncio.get_running_loop().time()
        node = self._progress.node
        if node == self._told_node and now - self._told_at < INTERVAL_SECONDS:
            return
        self._told_at, self._told_node = now, node
        snapshot = self._progress.snapshot(job_id=self._job_id, attempt=self._attempt, timestamp=self._now())
        try:
            await self._on_progress(snapshot)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the listener, the attempt goes on
            log.warning("comfyui.progress_not_passed_on", job_id=self._job_id, error=type(error).__name__)


def _parsed(text: str) -> object:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
