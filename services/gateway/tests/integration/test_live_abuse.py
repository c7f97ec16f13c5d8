"""What a stranger may do with a live socket: raw frames over a real connection."""

import asyncio
import base64
import os
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from starlette.websockets import WebSocket
from structlog.testing import capture_logs
from uvicorn.protocols.utils import ClientDisconnected

from genonaut.gateway.live import api
from genonaut.platform.http.connections import REFUSED, Connections, Limits
from genonaut.platform.http.sockets import BURST_BYTES, MAX_FRAGMENTS
from genonaut.platform.serving import MAX_MESSAGE_BYTES, Server
from genonaut.testkit.waiting import eventually

TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10
FIN = 0x80
POLICY, TOO_BIG, PROTOCOL, NOT_UTF8 = 1008, 1009, 1002, 1007


def frame(opcode: int, payload: bytes = b"", *, end: bool = True, masked: bool = True) -> bytes:
    head = bytes([(FIN if end else 0) | opcode])
    mask_bit = 0x80 if masked else 0
    size = len(payload)
    if size < 126:
        head += bytes([mask_bit | size])
    elif size < 65536:
        head += bytes([mask_bit | 126]) + struct.pack("!H", size)
    else:
        head += bytes([mask_bit | 127]) + struct.pack("!Q", size)
    return head + (b"\0\0\0\0" if masked else b"") + payload


class Wire:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def heard(self) -> tuple[int, bytes]:
        """Opcode and payload of the next frame of the server."""
        first, size = await asyncio.wait_for(self.reader.readexactly(2), 10)
        if size == 126:
            (size,) = struct.unpack("!H", await self.reader.readexactly(2))
        return first & 0x0F, await self.reader.readexactly(size)

    async def close_code(self) -> int:
        opcode = TEXT
        while opcode != CLOSE:
            opcode, payload = await self.heard()
        return int.from_bytes(payload[:2])


@pytest.fixture
async def wire(front, upstream, reply) -> AsyncIterator[Wire]:
    upstream.answers[""] = reply({"events": []})
    async with handshake(front.server) as wire:
        assert (await wire.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
        yield wire
    await eventually(lambda: not sockets(front.server.server_state))


def sockets(state: Connections) -> list[Any]:
    return [each for each in state.connections if type(each).__name__ == "Socket"]


@asynccontextmanager
async def handshake(server: Server, headers: bytes = b"") -> AsyncIterator[Wire]:
    port = server.servers[0].sockets[0].getsockname()[1]
    wire = Wire(*await asyncio.open_connection("127.0.0.1", port))
    key = base64.b64encode(os.urandom(16))
    await wire.say(
        b"GET /ws/jobs/7 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key + b"\r\n" + headers + b"\r\n"
    )
    yield wire
    wire.writer.close()


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(TEXT, b"x" * (MAX_MESSAGE_BYTES + 1)), TOO_BIG),
        (frame(TEXT, b"x" * 1_000_000)[:20], TOO_BIG),
        (frame(TEXT, end=False) + frame(CONTINUATION, b"x" * 2000, end=False) * 3, TOO_BIG),
        (frame(TEXT, end=False) + frame(CONTINUATION, end=False) * (MAX_FRAGMENTS + 1), POLICY),
        (frame(PING, b"p" * 125) * 100, POLICY),
        (frame(PONG) * 2000, POLICY),
        (frame(TEXT, b'{"type": "ping"}') * 500, POLICY),
        (frame(BINARY, b"b" * 3000) * 3, POLICY),
        (frame(TEXT, b"\xff\xfe"), NOT_UTF8),
        (frame(TEXT, b"hello", masked=False), PROTOCOL),
        (frame(CONTINUATION), PROTOCOL),
        (frame(PING, b"p" * 126), PROTOCOL),
        (frame(PING, end=False), PROTOCOL),
        (frame(3, b"?"), PROTOCOL),
        (bytes([0xF1, 0x80, 0, 0, 0, 0]), PROTOCOL),
        (frame(CLOSE, b"\x00"), PROTOCOL),
    ],
)
async def test_a_client_that_says_too_much_or_nonsense_is_told_so_and_left(wire: Wire, sent: bytes, code: int) -> None:
    assert (await wire.heard())[0] == TEXT  # the greeting
    await wire.say(sent)

    assert await wire.close_code() == code


async def test_pings_at_a_sane_rate_are_answered_for_ever(wire: Wire) -> None:
    for _ in range(2):
        await wire.heard()
    for number in range(BURST_BYTES // 30):
        payload = str(number).encode()
        await wire.say(frame(PING, payload))
        assert await wire.heard() == (PONG, payload)
        await wire.say(frame(TEXT, b'{"type":"ping"}'))
        assert await wire.heard() == (TEXT, b'{"type":"pong"}')
        await asyncio.sleep(0.04)


async def test_a_message_in_parts_is_a_message(wire: Wire) -> None:
    for _ in range(2):
        await wire.heard()
    await wire.say(frame(TEXT, b'{"type"', end=False) + frame(PING) + frame(CONTINUATION, b':"ping"}'))

    assert [await wire.heard() for _ in range(2)] == [(PONG, b""), (TEXT, b'{"type":"pong"}')]


@pytest.mark.parametrize(("headers", "status"), [(b"X: y\r\n" * 150, b"431"), (b"X: " + b"y" * 9000 + b"\r\n", b"431")])
async def test_a_head_that_the_library_refuses_is_answered(front, headers: bytes, status: bytes) -> None:
    async with handshake(front.server, headers) as wire:
        assert status in await asyncio.wait_for(wire.reader.read(), 5)
    await eventually(lambda: not sockets(front.server.server_state))


async def test_a_socket_that_reads_nothing_is_cut_off(front, upstream, reply, monkeypatch) -> None:
    """Its pongs would pile up here."""
    upstream.answers[""] = reply({"events": []})
    state = front.server.server_state
    monkeypatch.setattr(state, "limits", Limits(stuck_seconds=0.5))
    stuck = REFUSED.labels("stuck")._value
    before = stuck.get()
    async with handshake(front.server) as wire:
        await wire.reader.readuntil(b"\r\n\r\n")
        wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
        (socket,) = sockets(state)
        while not socket._stuck_since:
            await socket.send({"type": "websocket.send", "text": "x" * 100_000})
            await asyncio.sleep(0)

        await eventually(lambda: stuck.get() == before + 1)
    await eventually(lambda: not sockets(state))


@pytest.mark.parametrize("sent", [frame(TEXT, b"x" * 20_000), frame(PING) * 5000, frame(3), frame(CLOSE), b"\0" * 9000])
async def test_who_speaks_before_the_handshake_is_done_is_no_crash(front, monkeypatch, caplog, sent: bytes) -> None:
    opened, accepted = asyncio.Event(), asyncio.Event()

    async def late(websocket: WebSocket, *_: Any, **__: Any) -> None:
        opened.set()
        await accepted.wait()
        await websocket.accept()

    monkeypatch.setattr(api, "relay", late)
    with capture_logs() as lines:
        async with handshake(front.server) as wire:
            await opened.wait()
            (socket,) = sockets(front.server.server_state)
            await wire.say(sent)
            await eventually(lambda: socket.transport.is_closing() or socket.conn.events or socket.queue.qsize() > 1)
            accepted.set()
            with suppress(ConnectionError):
                await asyncio.wait_for(wire.reader.read(), 5)
        await eventually(lambda: not sockets(front.server.server_state))
    assert [line for line in lines if line["log_level"] == "error"] == []
    assert [record for record in caplog.records if record.levelname in {"ERROR", "CRITICAL"}] == []


async def test_a_socket_that_is_closed_for_what_it_said_is_no_crash_of_the_app(wire: Wire, front, caplog) -> None:
    (socket,) = sockets(front.server.server_state)
    await wire.heard()
    with capture_logs() as lines:
        socket.data_received(frame(PING, b"p" * 125) * 100)
        with pytest.raises(ClientDisconnected):
            await socket.send({"type": "websocket.send", "text": "late"})
        assert await wire.close_code() == POLICY
        await eventually(lambda: not sockets(front.server.server_state))
    assert [line for line in lines if line["log_level"] == "error"] == []
    assert [record for record in caplog.records if record.levelname in {"ERROR", "CRITICAL"}] == []
