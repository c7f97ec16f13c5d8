"""One ComfyUI server over HTTP. Says what the server said, or raises one of `failures`; never relays a body.

Every answer is awaited for a bounded time and read up to a bounded size, and redirects are not followed.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import aiohttp
import orjson

from genonaut.generation.comfyui.failures import (
    AmbiguousSubmitError,
    LostError,
    NodeError,
    RejectedError,
    UnreachableError,
)
from genonaut.generation.comfyui.verdict import Output, Queue, refusal
from genonaut.generation.comfyui.workflow import Graph

MiB = 1024 * 1024
MAX_ANSWER_BYTES = 64 * MiB
"""The queue shows every waiting prompt in full, other people's too."""
MAX_FILE_BYTES = 64 * MiB
MAX_MESSAGE_BYTES = 16 * MiB
"""Of one message of the socket: previews come in them."""
DOWNLOAD_WAITS = (0.5, 2.0)
"""Seconds before a download that broke is tried again."""
PING_SECONDS = 20.0
"""The server never pings; the answer may take half of this."""

_TIMEOUT = aiohttp.ClientTimeout(total=30, sock_connect=5)
_DOWNLOAD_TIMEOUT = aiohttp.ClientTimeout(total=120, sock_connect=5, sock_read=30)
_SAID = (HTTPStatus.OK, HTTPStatus.BAD_REQUEST)
"""What ComfyUI itself answers to a submission."""
_TROUBLE = (aiohttp.ClientError, TimeoutError, OSError)


class ComfyUI:
    """Use it as an async context manager; it is safe to share between tasks."""

    def __init__(self, url: str, *, name: str) -> None:
        """`url` is e.g. `http://gpu-1:8188`, with a path and credentials where a proxy wants them.

        `name` is what the server is called in logs.
        """
        self._url = url.rstrip("/")
        self.name = name
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=_TIMEOUT, cookie_jar=aiohttp.DummyCookieJar())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def submit(self, graph: Graph, *, prompt_id: UUID, client_id: str) -> None:
        """Queue the graph. Raises RejectedError, or AmbiguousSubmitError when nobody knows whether it is queued.

        A server that accepts only a part of the graph raises RejectedError as well, and has the rest in its queue.
        """
        prompt = {"prompt": graph, "prompt_id": str(prompt_id), "client_id": client_id}
        try:
            async with self._request("POST", "prompt", json=prompt) as response:
                status = response.status
                body = _json(await _read(response, MAX_ANSWER_BYTES)) if status in _SAID else None
        except (*_TROUBLE, UnreachableError) as error:
            raise AmbiguousSubmitError("The worker did not confirm the job.") from error
        if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            raise RejectedError("The worker refused the job: it is too large.")
        if status not in _SAID:
            kind = AmbiguousSubmitError if status >= HTTPStatus.INTERNAL_SERVER_ERROR else UnreachableError
            raise kind(f"The worker answered {status} to the job.")
        if status == HTTPStatus.BAD_REQUEST or (isinstance(body, dict) and body.get("node_errors")):
            raise refusal(body, graph)
        if not isinstance(body, dict):
            raise AmbiguousSubmitError("The worker does not answer as ComfyUI does.")
        if body.get("prompt_id") != str(prompt_id):
            raise UnreachableError("The worker's ComfyUI is too old: it chooses prompt ids itself.")

    async def queue(self) -> Queue:
        """Raises UnreachableError."""
        answer = await self._get("queue")
        try:
            return Queue(
                running=tuple(str(item[1]) for item in answer["queue_running"]),
                pending=tuple(str(item[1]) for item in answer["queue_pending"]),
            )
        except (LookupError, TypeError) as error:
            raise UnreachableError("The worker does not answer as ComfyUI does.") from error

    async def history(self, prompt_id: UUID) -> Mapping[str, Any] | None:
        """The prompt's entry, None while there is none. Raises UnreachableError."""
        answer = await self._get(f"history/{prompt_id}")
        entry = answer.get(str(prompt_id)) if isinstance(answer, dict) else None
        return entry if isinstance(entry, dict) else None

    async def delete(self, prompt_id: UUID) -> None:
        """Take a waiting prompt out of the queue. The answer is the same when it is not there."""
        await self._post("queue", {"delete": [str(prompt_id)]})

    async def interrupt(self, prompt_id: UUID) -> None:
        """Stop this prompt at its next step. Ask only while it runs: older servers stop whatever runs."""
        await self._post("interrupt", {"prompt_id": str(prompt_id)})

    async def download(self, output: Output, *, max_bytes: int = MAX_FILE_BYTES) -> bytes:
        """The file. Raises LostError when it is gone, NodeError when it is too large, UnreachableError."""
        for wait in (*DOWNLOAD_WAITS, None):
            try:
                return await self._view(output, max_bytes)
            except _TROUBLE as error:
                if wait is None:
                    raise UnreachableError("The worker's picture could not be fetched.") from error
                await asyncio.sleep(wait)
        raise AssertionError("the last try returns or raises")

    async def _view(self, output: Output, max_bytes: int) -> bytes:
        file = {"filename": output.filename, "subfolder": output.subfolder, "type": "output"}
        async with self._request("GET", "view", params=file, timeout=_DOWNLOAD_TIMEOUT) as response:
            if response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                response.raise_for_status()
            if response.status != HTTPStatus.OK:
                raise LostError("The worker no longer has the picture.")
            try:
                return await _read(response, max_bytes)
            except UnreachableError as error:
                raise NodeError(f"The worker's picture is larger than {max_bytes // MiB} MiB.") from error

    @asynccontextmanager
    async def socket(self, client_id: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """The feed of what `client_id` submits; closed on both sides when left. Raises aiohttp's errors."""
        async with self._open().ws_connect(
            f"{self._url}/ws",
            params={"clientId": client_id},
            heartbeat=PING_SECONDS,
            timeout=aiohttp.ClientWSTimeout(ws_close=2),
            max_msg_size=MAX_MESSAGE_BYTES,
        ) as socket:
            yield socket

    async def _get(self, path: str) -> Any:
        return _json(await self._answer("GET", path))

    async def _post(self, path: str, body: Mapping[str, Any]) -> None:
        await self._answer("POST", path, json=body)

    async def _answer(self, method: str, path: str, **options: Any) -> bytes:
        try:
            async with self._request(method, path, **options) as response:
                if response.status != HTTPStatus.OK:
                    raise UnreachableError(f"The worker answered {response.status}.")
                return await _read(response, MAX_ANSWER_BYTES)
        except _TROUBLE as error:
            raise UnreachableError("The worker does not answer.") from error

    def _request(self, method: str, path: str, **options: Any) -> Any:
        return self._open().request(method, f"{self._url}/{path}", allow_redirects=False, **options)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("use ComfyUI as an async context manager")
        return self._session


async def _read(response: aiohttp.ClientResponse, limit: int) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_chunked(256 * 1024):
        body += chunk
        if len(body) > limit:
            raise UnreachableError("The worker's answer is too large.")
    return bytes(body)


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise UnreachableError("The worker does not answer as ComfyUI does.") from error
