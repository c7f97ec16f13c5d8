"""How a process serves HTTP: its logs and traces, its server, its background tasks, and an orderly end."""

import asyncio
import gc
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from typing import Any

import structlog
import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp

from genonaut.platform import logs, telemetry
from genonaut.platform.http.connections import KEEP_ALIVE_SECONDS, Connection, Connections, Limits
from genonaut.platform.settings import ProcessSettings

log = structlog.get_logger()

SHUTDOWN_SECONDS = 10
TICKS_PER_SECOND = 10
"""Of uvicorn."""
MAX_MESSAGE_BYTES = 4 * 1024
"""What a client may say over a WebSocket at once. It has nothing to say but pings."""
_STARTUP_FAILED = 3


def serve(
    make_app: Callable[[], FastAPI],
    settings: ProcessSettings,
    *,
    name: str,
    sockets: type[asyncio.Protocol] | None = None,
) -> None:
    """Runs the process until SIGTERM or SIGINT.

    `make_app` is called when logs and traces work. `app.state.stopping`, when the app has set it, is called as soon as
    the end begins: responses that would never end by themselves have to hear of it. `sockets` is how WebSockets are
    spoken, if at all: `genonaut.platform.http.sockets.Socket`.
    """
    logs.configure(service=name, level=settings.log_level, form=settings.log_format)
    telemetry.configure(name)
    raise_file_limit()
    server = Server(
        make_app(),
        host=settings.api_host,
        port=settings.api_port,
        sockets=sockets,
        limits=Limits(
            connections=settings.http_connections,
            head_bytes=settings.http_head_bytes,
            head_seconds=settings.http_head_seconds,
        ),
    )
    with suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        sys.exit(_STARTUP_FAILED)


class Server(uvicorn.Server):
    """uvicorn with bounds on its connections, which tells the app when the end begins."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        sockets: type[asyncio.Protocol] | None = None,
        limits: Limits | None = None,
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                host=host,
                port=port,
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=SHUTDOWN_SECONDS,
                loop="uvloop",
                http=Connection,
                ws=sockets or "none",
                ws_max_size=MAX_MESSAGE_BYTES,
                # Ours are small JSON: compression would cost memory for every open socket and save nothing.
                ws_per_message_deflate=False,
            )
        )
        self._app = app
        self.server_state: Connections = Connections(limits or Limits())

    async def on_tick(self, counter: int) -> bool:
        if counter % TICKS_PER_SECOND == 0:
            self.server_state.inspect(asyncio.get_running_loop().time())
        return await super().on_tick(counter)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        # Modules, classes and schemas stay for as long as the process: the collector need not go through them again and
        # again, which is a sixth of the CPU of what handles many small objects.
        gc.collect()
        gc.freeze()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        state = getattr(self._app, "state", None)
        if stopping := getattr(state, "stopping", None):
            stopping()
        await super().shutdown(sockets)
        telemetry.shutdown()  # here, because uvicorn then lets the signal end the process


def raise_file_limit() -> None:
    """Lets the process open as many files as it may: every connection is one, and the usual limit is 1,024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def watched(coroutine: Coroutine[Any, Any, None], name: str, *, may_return: bool = False) -> asyncio.Task[None]:
    """A task whose end, unless it was cancelled, ends the process: half a service must not look like a whole one.

    `may_return` is for what returns when it is told to by other means; its failure still counts.
    """
    task = asyncio.create_task(coroutine, name=name)

    def ended(task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return
        error = task.exception()
        if error or not (may_return or task.cancelling()):
            log.critical("service.task_died", task=name, exc_info=error)
            os.kill(os.getpid(), signal.SIGTERM)

    task.add_done_callback(ended)
    return task


async def end(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancels the tasks and returns when all of them have ended, however that was."""
    waiting = {task for task in tasks if not task.done()}
    while waiting:
        for task in waiting:
            task.cancel()
        # Again, if need be: wait_for of Python 3.11 loses a cancellation that meets the result it waits for.
        _, waiting = await asyncio.wait(waiting, timeout=0.5)
