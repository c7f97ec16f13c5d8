"""The WebSockets by client id: one each, the newest, and none once an older one of the same id closes."""

import asyncio
import json
import logging
import struct
import uuid
from typing import Any

from aiohttp import WSMsgType, web

JSON = dict[str, Any]
FEATURES: JSON = {"supports_preview_metadata": True, "max_upload_size": 100 * 1024 * 1024}
_PREVIEW, _PREVIEW_WITH_METADATA, _JPEG = 1, 4, 1

log = logging.getLogger(__name__)


class Sockets:
    """Who listens, and the messages on their way; `send` never waits."""

    def __init__(self) -> None:
        self.client_id: Any = None
        self.last_node: str | None = None
        self._by_id: dict[str, web.WebSocketResponse] = {}
        self._features: dict[str, JSON] = {}
        self._requests: dict[str, web.Request] = {}
        self._outgoing: asyncio.Queue[tuple[str | bytes, Any]] = asyncio.Queue()

    async def listen(self, request: web.Request, status: JSON) -> web.WebSocketResponse:
        """Serve one socket until it closes, greeting it with the queue's `status`."""
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        client_id = request.query.get("clientId") or uuid.uuid4().hex
        self._by_id[client_id] = socket
        self._requests[client_id] = request
        self._features[client_id] = {}
        try:
            await socket.send_str(_message("status", {"status": status, "sid": client_id}))
            if self.client_id == client_id and self.last_node is not None:
                # Nothing else is replayed, and a driver must live with the missing prompt id.
                await socket.send_str(_message("executing", {"node": self.last_node}))
            is_first = True
            async for message in socket:
                if message.type == WSMsgType.TEXT and is_first:
                    is_first = False
                    await self._introduce(socket, client_id, message.data)
        finally:
            # ComfyUI's bug, kept: closing an old socket unregisters the new one of the same client id.
            self._by_id.pop(client_id, None)
            self._requests.pop(client_id, None)
            self._features.pop(client_id, None)
        return socket

    async def _introduce(self, socket: web.WebSocketResponse, client_id: str, text: str) -> None:
        try:
            message = json.loads(text)
        except ValueError:
            log.warning("a client's first message is no JSON")
            return
        if isinstance(message, dict) and message.get("type") == "feature_flags":
            self._features[client_id] = message.get("data", {})
            await socket.send_str(_message("feature_flags", FEATURES))

    def is_heard(self, client_id: Any) -> bool:
        """Tell whether a message to this client (None: to everybody) would reach anybody."""
        return bool(self._by_id) if client_id is None else client_id in self._by_id

    def wants_metadata(self, client_id: Any) -> bool:
        return bool(self._features.get(client_id, {}).get("supports_preview_metadata"))

    def send(self, event: str, data: JSON, client_id: Any = None) -> None:
        """Send to one client, or to everybody when it is None; to nobody when the client is not there."""
        self._outgoing.put_nowait((_message(event, data), client_id))

    def send_preview(self, jpeg: bytes, client_id: Any, metadata: JSON | None = None) -> None:
        if metadata is None:
            binary = struct.pack(">II", _PREVIEW, _JPEG) + jpeg
        else:
            header = json.dumps({**metadata, "image_type": "image/jpeg"}).encode()
            binary = struct.pack(">II", _PREVIEW_WITH_METADATA, len(header)) + header + jpeg
        self._outgoing.put_nowait((binary, client_id))

    async def publish(self) -> None:
        """Deliver messages for ever. A client id that cannot be looked up raises TypeError, which kills ComfyUI."""
        while True:
            message, client_id = await self._outgoing.get()
            if client_id is None:
                receivers = list(self._by_id.values())
            else:
                receivers = [self._by_id[client_id]] if client_id in self._by_id else []
            for socket in receivers:
                try:
                    await (socket.send_bytes(message) if isinstance(message, bytes) else socket.send_str(message))
                except ConnectionError as error:
                    log.warning("a message was not delivered: %s", error)

    def drop(self, client_id: Any) -> None:
        """Break the client's connection, or everybody's when it is None, without a goodbye."""
        requests = self._requests.values() if client_id is None else [self._requests.get(client_id)]
        for request in list(requests):
            if request is not None and request.transport is not None:
                request.transport.abort()


def _message(event: str, data: JSON) -> str:
    return json.dumps({"type": event, "data": data})
