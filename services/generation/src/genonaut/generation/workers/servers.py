"""The ComfyUI servers of a driver: which are fit to be given work."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import uuid4

import structlog
from prometheus_client import Gauge

from genonaut.generation.comfyui.canary import works
from genonaut.generation.comfyui.client import ComfyUI
from genonaut.generation.comfyui.failures import UnreachableError
from genonaut.generation.settings import server_name
from genonaut.platform.metrics import REGISTRY

log = structlog.get_logger()

FIT = Gauge("comfyui_server_fit", "1 when the server takes work, else 0.", ["worker"], registry=REGISTRY)


AreUnattended = Callable[[Sequence[str]], Awaitable[bool]]


class Server:
    """One server, by the name that events call it."""

    def __init__(self, name: str, comfyui: ComfyUI) -> None:
        self.name = name
        self.comfyui = comfyui
        self.fit: bool | None = None
        """Whether it was when it was last looked at; None before that."""
        self._doubted = False

    def doubt(self) -> None:
        """It lost a job: before it is given another one it has to show that it works, not only that it answers."""
        self._doubted = True

    async def is_fit(self, are_unattended: AreUnattended) -> bool:
        """Whether it would run a job now: it answers, it works, and it is idle.

        One that is busy may be so with a job of ours whose driver is gone, which `are_unattended` tells of the prompts
        in its queue. Then it counts as fit: the job's message is among those that wait.
        """
        fit = await self._would_run(are_unattended)
        if fit != self.fit:
            log.info("driver.server_fit" if fit else "driver.server_unfit", worker=self.name)
        self.fit = fit
        FIT.labels(worker=self.name).set(fit)
        return fit

    async def _would_run(self, are_unattended: AreUnattended) -> bool:
        try:
            queue = await self.comfyui.queue()
        except UnreachableError:
            return False
        if prompts := queue.running + queue.pending:
            return await are_unattended(prompts)
        if self._doubted:
            self._doubted = not await works(self.comfyui, prompt_id=uuid4())
        return not self._doubted


@asynccontextmanager
async def opened(urls: Iterable[str]) -> AsyncIterator[dict[str, Server]]:
    """The servers at these URLs by their names."""
    async with AsyncExitStack() as stack:
        servers = {}
        for url in urls:
            name = server_name(url)
            servers[name] = Server(name, await stack.enter_async_context(ComfyUI(url, name=name)))
        yield servers
