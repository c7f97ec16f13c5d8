"""A server's connections, and the bounds on what a stranger may hold of it.

uvicorn bounds neither the head of a request, nor the time that a request or the reading of an answer may take, nor how
many connections there are. Here each has a limit. Time is looked at once a second for all connections together, so that
a request pays for none of it.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import uuid4

from prometheus_client import Counter
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from genonaut.platform.context import Cause, caused_by
from genonaut.platform.http.problems import BadRequestError, Problem, UnavailableError, problem_response
from genonaut.platform.metrics import REGISTRY

KEEP_ALIVE_SECONDS = 5
"""How long a connection may be silent between two requests."""
PARTING_SECONDS = 1.0
"""How long a client that was turned away has to read why."""

MALFORMED = BadRequestError("This is not a request of HTTP/1.1.", error_code="MALFORMED_REQUEST")
HEAD_TOO_LARGE = Problem(431, "Head too large", "The address and headers are too long.", "HEAD_TOO_LARGE")
HEAD_TOO_SLOW = Problem(408, "Request timeout", "The headers did not arrive in time.", "REQUEST_TIMEOUT")
BODY_TOO_SLOW = Problem(408, "Request timeout", "The body arrives too slowly.", "REQUEST_TIMEOUT")
NO_ROOM = UnavailableError("The server has no room for another connection. Try again soon.", error_code="NO_ROOM")

REFUSED = Counter(
    "http_connections_refused_total",
    "Connections that were ended because of what the client did, or for want of room.",
    ["reason"],
    registry=REGISTRY,
)


@dataclass(frozen=True)
class Limits:
    connections: int = 2_000
    head_bytes: int = 32 * 1024
    """Of the request line and the headers together."""
    head_seconds: float = 10.0
    """From the connection, or from the previous answer, to the end of the head."""
    body_seconds: float = 30.0
    """How long a body may be slower than `body_bytes_per_second`."""
    body_bytes_per_second: int = 1024
    """On average, while the server would read more."""
    whole_body_seconds: float = 300.0
    """How long a body may take however fast it began, as what has come is held in memory. Waiting for the server to
    read does not count."""
    stuck_seconds: float = 60.0
    """How long a client may take next to nothing of what waits for it."""


class Connected(Protocol):
    """One connection, of whatever protocol."""

    def inspect(self, now: float) -> None:
        """Called about once a second with the time of the loop. Ends the connection when a limit is passed."""


class Connections(ServerState):
    """The open connections of one server."""

    def __init__(self, limits: Limits) -> None:
        super().__init__()
        self.limits = limits
        self.waiting: dict[Connection, float] = {}
        """Those that owe a request, with the time since when, the longest waiting first."""

    def make_room(self) -> bool:
        """Whether there is room for the connection that was just added. The one that waits longest makes it."""
        if len(self.connections) <= self.limits.connections:
            return True
        for longest in self.waiting:
            longest.end("displaced")
            return True
        return False

    def inspect(self, now: float) -> None:
        for connection in tuple(self.connections):
            connection.inspect(now)  # type: ignore[union-attr]  # all of them are Connected


class Draining(asyncio.Protocol):
    """A connection whose client has to read. One that does not is cut off."""

    transport: asyncio.Transport
    loop: asyncio.AbstractEventLoop
    _stuck_since: float | None = None

    def __init__(
        self,
        config: Config,
        server_state: Connections,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)  # type: ignore[call-arg]  # of uvicorn's protocol
        self.bounds = server_state

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stuck_since = self.loop.time()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stuck_since = None

    def inspect(self, now: float) -> None:
        if self._stuck_since is None:
            # Closing waits for the client to take the rest.
            self._stuck_since = now if self.transport.is_closing() else None
        elif now - self._stuck_since > self.bounds.limits.stuck_seconds:
            REFUSED.labels("stuck").inc()
            self.transport.abort()


class Connection(Draining, HttpToolsProtocol):
    """One HTTP/1.1 connection within the limits of its server.

    Requests are answered one after the other: what a client sends before it has its answer (pipelining) is not read,
    and the connection ends with that answer, as RFC 9112 allows.
    """

    _head_left: int | None = None
    """Bytes that the head may still have; None when no head is due."""
    _in_message = False
    """Between the end of a head and the end of its body."""
    _body_bytes = 0
    _body_seconds = 0
    _deaf = False
    """Nothing more is read."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]  # uvicorn's narrower signature
        if self.bounds.make_room():
            self._await_head()
        else:
            self._turn_away()

    def connection_lost(self, error: Exception | None) -> None:
        self.bounds.waiting.pop(self, None)
        super().connection_lost(error)

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        left = self._head_left
        if left is not None:
            if len(data) > left:
                self._long_head_received(data, left)
                return
            self._head_left = left - len(data)
        super().data_received(data)

    def _long_head_received(self, data: bytes, left: int) -> None:
        """Most of it may be the beginning of a body: the parser says where the head ends."""
        self._head_left = 0
        super().data_received(data[:left])
        if self._head_left is None:
            self.data_received(data[left:])
        elif not self._deaf:
            self._refuse(HEAD_TOO_LARGE, "head_too_large")

    def _await_head(self) -> None:
        self.bounds.waiting.pop(self, None)
        self.bounds.waiting[self] = self.loop.time()
        # Of a request that was answered early, the rest of the body comes first. It is not kept.
        self._head_left = None if self._in_message else self.bounds.limits.head_bytes

    # What the parser and the answer say

    def on_message_begin(self) -> None:
        if self._is_answering():
            self.cycle.keep_alive = False
            self._deaf = True
            raise _PipelinedError
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._head_left = None
        self._in_message = True
        self._body_bytes = self._body_seconds = 0
        self.bounds.waiting.pop(self, None)

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_message = False
        super().on_message_complete()
        if self in self.bounds.waiting:
            self._await_head()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self.transport.is_closing():
            self._await_head()

    def handle_websocket_upgrade(self) -> None:
        self.bounds.waiting.pop(self, None)
        self._deaf = True
        super().handle_websocket_upgrade()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - the library's signature
        if not self._deaf:
            self._refuse(MALFORMED, "malformed")

    # Limits

    def inspect(self, now: float) -> None:
        super().inspect(now)
        if self.transport.is_closing():
            return
        limits = self.bounds.limits
        since = self.bounds.waiting.get(self)
        if since is not None:
            if now - since > limits.head_seconds:
                if self._head_left in {None, limits.head_bytes}:
                    self.end("silent")
                else:
                    self._refuse(HEAD_TOO_SLOW, "head_too_slow")
        elif self._in_message and not self.flow.read_paused:
            self._body_seconds += 1
            late = self._body_seconds - limits.body_seconds
            too_slow = self._body_bytes < late * limits.body_bytes_per_second
            if too_slow or self._body_seconds > limits.whole_body_seconds:
                self._refuse(BODY_TOO_SLOW, "body_too_slow")

    def end(self, reason: str) -> None:
        """Closes the connection without a word."""
        REFUSED.labels(reason).inc()
        self._deaf = True
        self.bounds.waiting.pop(self, None)
        self.transport.close()

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _refuse(self, problem: Problem, reason: str) -> None:
        """Says why, unless an answer to the request has begun, and closes."""
        begun = self.cycle.response_started if self._is_answering() else self._in_message
        if not begun:
            self._write(problem)
        self.end(reason)

    def _turn_away(self) -> None:
        # Closing at once would reset the connection under the client's request, and the answer with it.
        self.connections.discard(self)
        REFUSED.labels("no_room").inc()
        self._deaf = True
        self._write(NO_ROOM)
        with suppress(OSError):
            self.transport.write_eof()
        self.loop.call_later(PARTING_SECONDS, self.transport.abort)

    def _write(self, problem: Problem) -> None:
        request_id = str(uuid4())
        with caused_by(Cause(request_id)):
            response = problem_response(problem, {"path": ""}, datetime.now(UTC))
        headers = [
            *self.server_state.default_headers,
            *response.raw_headers,
            (b"x-request-id", request_id.encode()),
            (b"connection", b"close"),
        ]
        lines = [b"%b: %b\r\n" % header for header in headers]
        self.transport.write(b"".join([STATUS_LINE[problem.status_code], *lines, b"\r\n", response.body]))


class _PipelinedError(Exception):
    """Stops the parser."""
