"""A WebSocket to a client that listens: what it says itself is bounded."""

from typing import Any

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from genonaut.platform.http.connections import REFUSED, Draining

BURST_BYTES = 8 * 1024
BYTES_PER_SECOND = 1024
"""On average. A client has nothing to say but pings; every frame costs a parser written in Python."""
MAX_FRAGMENTS = 16
POLICY_VIOLATION = 1008


class Socket(Draining, WebSocketsSansIOProtocol):
    _allowance = float(BURST_BYTES)
    _heard_at = 0.0

    def data_received(self, data: bytes) -> None:
        if not self.handshake_initiated:
            self._head_received(data)
            return
        may_say = self._may_say(len(data))
        super().data_received(data[:may_say])
        if may_say < len(data):
            self._end("too_talkative")

    async def send(self, message: Any) -> None:
        if self.close_sent:
            # We have closed it, which the app cannot know yet. uvicorn would call that the app's mistake.
            raise ClientDisconnected
        await super().send(message)

    def handle_parser_exception(self) -> None:
        if self.conn.close_sent is None:
            # It speaks before the handshake is done, and a close has no place there. uvicorn does not expect it.
            self.transport.abort()
        else:
            super().handle_parser_exception()

    def handle_cont(self, event: Any) -> None:
        super().handle_cont(event)
        if len(self.frames) > MAX_FRAGMENTS:
            self._end("too_many_fragments")

    def _head_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self.handshake_initiated:
            # A head that the library refuses by itself, e.g. for its many headers. uvicorn does not notice.
            REFUSED.labels("malformed").inc()
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.transport.close()

    def _may_say(self, size: int) -> int:
        """How many of `size` bytes more are within the limit."""
        now = self.loop.time()
        allowance = min(BURST_BYTES, self._allowance + (now - self._heard_at) * BYTES_PER_SECOND)
        self._heard_at = now
        self._allowance = max(0.0, allowance - size)
        return min(size, int(allowance))

    def _end(self, reason: str) -> None:
        if not self.transport.is_closing():
            REFUSED.labels(reason).inc()
            self.conn.fail(POLICY_VIOLATION, "A socket takes pings, and few of them")
            self.handle_parser_exception()
