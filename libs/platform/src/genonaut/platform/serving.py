"""How a process serves HTTP: its logs and traces, its server, its background tasks, and an orderly end."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from typing import Any, Literal

import structlog
import uvicorn
from fastapi import FastAPI

from genonaut.platform import logs, telemetry
from genonaut.platform.settings import ProcessSettings

log = structlog.get_logger()

SHUTDOWN_SECONDS = 10
_STARTUP_FAILED = 3


def serve(
    make_app: Callable[[], FastAPI],
    settings: ProcessSettings,
    *,
    name: str,
    sockets: Literal["none", "websockets-sansio"] = "none",
) -> None:
    """Runs the process until SIGTERM or SIGINT.

    `make_app` is called when logs and traces work. `app.state.stopping`, when the app has set it, is called as soon as
    the end begins: responses that would never end by themselves have to hear of it. `sockets` is how WebSockets are
    spoken, if at all.
    """
    logs.configure(service=name, level=settings.log_level, form=settings.log_format)
    telemetry.configure(name)
    app = make_app()
    server = Server(
        app,
        uvicorn.Config(
            app,
            host=settings.api_host,
            port=settings.api_port,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
            loop="uvloop",
            http="httptools",
            ws=sockets,
            # Ours are small JSON: compression would cost memory for every open socket and save nothing.
            ws_max_size=64 * 1024,
            ws_per_message_deflate=False,
        ),
    )
    with suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        sys.exit(_STARTUP_FAILED)


class Server(uvicorn.Server):
    """uvicorn, which tells the app when the end begins and not only when every response has been sent."""

    def __init__(self, app: FastAPI, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if stopping := getattr(self._app.state, "stopping", None):
            stopping()
        await super().shutdown(sockets)
        telemetry.shutdown()  # here, because uvicorn then lets the signal end the process


def watched(coroutine: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
    """A task whose unexpected end ends the process: half a service must not look like a whole one."""
    task = asyncio.create_task(coroutine, name=name)

    def ended(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
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
