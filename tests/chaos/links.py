"""The network between the processes: one TCP proxy for each pair that talks, which can be cut or go silent.

A cut link refuses and resets; a silent one takes everything and passes nothing on, until it is healed and what was held
back goes through, as after a partition.
"""

import asyncio
import errno
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Literal

from genonaut.stack.ports import free_port
from genonaut.stack.processes import DATABASE_SERVICES

Mode = Literal["open", "cut", "silent"]
Address = tuple[str, int]

SIMULATORS = ("comfyui-simulator", "comfyui-simulator-2")

PAIRS: tuple[tuple[str, str], ...] = (
    *((service, server) for service in (*DATABASE_SERVICES, "driver") for server in ("postgres", "nats")),
    *(("driver", simulator) for simulator in SIMULATORS),
    *(("gateway", other) for other in ("nats", "valkey", *DATABASE_SERVICES)),
    ("content", "valkey"),
)
"""Who opens connections to whom."""

_CHUNK = 64 * 1024


class Link:
    """The proxy of one pair. `address` says where the other end listens at the moment."""

    def __init__(self, source: str, target: str, address: Callable[[str], Address]) -> None:
        self.source = source
        self.target = target
        self._socket = _listening()
        self.port: int = self._socket.getsockname()[1]
        self._address = address
        self._mode: Mode = "open"
        self._flows = asyncio.Event()
        self._flows.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, sock=self._socket)

    async def close(self) -> None:
        if self._server:
            self._server.close()
        self.set("cut")

    def set(self, mode: Mode) -> None:
        self._mode = mode
        if mode == "cut":
            for writer in self._writers:
                writer.transport.abort()
        if mode == "silent":
            self._flows.clear()
        else:
            self._flows.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            if self._mode == "cut":
                return
            await self._flows.wait()
            onwards, back = await asyncio.open_connection(*self._address(self.target))
            self._writers.add(back)
            try:
                await self._pass_both_ways((reader, back), (onwards, writer))
            finally:
                self._writers.discard(back)
                back.transport.abort()
        except OSError:
            return  # nobody listens there: the caller is cut off, as it would be without us
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _pass_both_ways(self, *ways: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
        passing = [asyncio.create_task(self._pass_on(*way)) for way in ways]
        try:
            await asyncio.gather(*passing)
        finally:
            for task in passing:
                task.cancel()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_CHUNK):
            await self._flows.wait()
            writer.write(data)
            await writer.drain()
        await self._flows.wait()
        with suppress(OSError):  # the other side has said goodbye already
            writer.write_eof()


class Network:
    """Every link, in a thread of its own. Safe to use from any other."""

    def __init__(self, address: Callable[[str], Address]) -> None:
        self._links = [Link(source, target, address) for source, target in PAIRS]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="links", daemon=True)

    @classmethod
    @contextmanager
    def running(cls, address: Callable[[str], Address]) -> Iterator["Network"]:
        network = cls(address)
        network._thread.start()
        try:
            for link in network._links:
                asyncio.run_coroutine_threadsafe(link.listen(), network._loop).result()
            yield network
        finally:
            for link in network._links:
                asyncio.run_coroutine_threadsafe(link.close(), network._loop).result()
            asyncio.run_coroutine_threadsafe(network._end(), network._loop).result()
            network._loop.call_soon_threadsafe(network._loop.stop)
            network._thread.join()
            network._loop.close()

    @property
    def ports(self) -> Mapping[str, int]:
        """Where each link listens, by `source>target`."""
        return {f"{link.source}>{link.target}": link.port for link in self._links}

    def set(self, mode: Mode, *, of: str, towards: str | None = None) -> None:
        """All links at whose one end this process is; with `towards` only those to that one."""
        for link in self._links:
            ends = {link.source, link.target}
            if of in ends and towards in {None, *ends}:
                self._loop.call_soon_threadsafe(link.set, mode)

    def heal(self) -> None:
        for link in self._links:
            self._loop.call_soon_threadsafe(link.set, "open")

    async def _end(self) -> None:
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


def _listening() -> socket.socket:
    """Ours from now on: a port that is only looked for may be somebody else's by the time it is used."""
    while True:
        try:
            return socket.create_server(("127.0.0.1", free_port()))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
