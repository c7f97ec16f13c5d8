"""A simulated ComfyUI in this process, for tests: `async with Simulator(output_dir) as simulator: simulator.url`."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from genonaut.comfyui_simulator.faults import Faults
from genonaut.comfyui_simulator.files import Files
from genonaut.comfyui_simulator.routes import Routes
from genonaut.comfyui_simulator.server import Server, Settings

log = logging.getLogger(__name__)


class Simulator:
    """A server on a port of its own (0: a free one) that can crash and come back on the same port.

    `faults` is switched at run time; `faults_at_start` are those that every (re)start begins with.
    """

    def __init__(
        self,
        output_dir: Path | str,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        step_seconds: float = 0.1,
        latency: float = 0.0,
        previews: bool = True,
        models_dir: Path | str | None = None,
        faults_at_start: Mapping[str, Any] | None = None,
        die: Callable[[str], None] | None = None,
    ) -> None:
        self.host = host
        self.port = port
        self.output_dir = Path(output_dir)
        self.faults = Faults(faults_at_start)
        self._settings = Settings(step_seconds, latency, previews, Path(models_dir) if models_dir else None)
        self._die = die or self.crash
        self._server: Server | None = None
        self._runner: web.AppRunner | None = None
        self._listener: asyncio.Server | None = None
        self._files: Files | None = None

    @property
    def url(self) -> str:
        """The base URL; known once the simulator has started."""
        return f"http://{self.host}:{self.port}"

    @property
    def is_alive(self) -> bool:
        return self._listener is not None

    async def start(self) -> None:
        """Begin a new life: empty queue and history, numbers from 0, the faults of the start."""
        self.faults.reset()
        self._files = Files(self.output_dir)
        self._server = Server(self._settings, self._files, self.faults, self._die)
        self._runner = web.AppRunner(Routes(self._server).app())
        await self._runner.setup()
        loop = asyncio.get_running_loop()
        # A server of our own, not a TCPSite: a crash must be able to close it without waiting.
        try:
            self._listener = await loop.create_server(self._runner_factory, self.host, self.port)
        except OSError:
            await self.stop()
            raise
        self.port = self._listener.sockets[0].getsockname()[1]
        self._server.start()
        log.info("simulating ComfyUI on %s (a simulator: no models, no GPU)", self.url)

    def _runner_factory(self) -> asyncio.Protocol:
        if self._runner is None or self._runner.server is None:
            raise RuntimeError("the simulator is not running")
        return self._runner.server()

    def crash(self, reason: str = "asked to") -> None:
        """Die like a killed process: no goodbye to sockets (1006), the port refuses, the memory is gone."""
        log.warning("the simulator dies: %s", reason)
        self._break_off()

    def _break_off(self) -> None:
        if self._server:
            self._server.kill()
        if self._listener:
            self._listener.close()
            self._listener = None
        if self._runner and self._runner.server:
            for connection in self._runner.server.connections:
                if connection.transport:
                    connection.transport.abort()

    async def stop(self) -> None:
        """Stop, without waiting for clients."""
        self._break_off()
        if self._server:
            await self._server.stop()
        if self._runner:
            await self._runner.cleanup()
        if self._files:
            self._files.close()

    async def restart(self) -> None:
        """Stop if need be, and start again on the same port."""
        await self.stop()
        await self.start()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()
