"""An application on a socket of its own, as its process would serve it, in the loop of the test."""

import asyncio
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager, contextmanager

from starlette.types import ASGIApp

from genonaut.platform.http.connections import Limits
from genonaut.platform.serving import Server


class _Quiet(Server):
    @contextmanager
    def capture_signals(self) -> Generator[None]:  # the signals are pytest's
        yield


@asynccontextmanager
async def serving(
    app: ASGIApp, *, sockets: type[asyncio.Protocol] | None = None, limits: Limits | None = None
) -> AsyncIterator[tuple[str, Server]]:
    """Its URL, and the server."""
    server = _Quiet(app, sockets=sockets, limits=limits)
    task = asyncio.create_task(server.serve())
    try:
        while not server.started:
            if task.done():
                raise RuntimeError("the server did not start") from task.exception()
            await asyncio.sleep(0.005)
        host, port = server.servers[0].sockets[0].getsockname()[:2]
        yield f"http://{host}:{port}", server
    finally:
        server.should_exit = True
        await asyncio.wait_for(task, 15)
