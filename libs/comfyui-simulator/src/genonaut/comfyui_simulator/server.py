"""One life of a simulated server: queue, history, sockets and cache are gone when it ends; files remain."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from genonaut.comfyui_simulator.behaviours import Workshop
from genonaut.comfyui_simulator.execution import Executor
from genonaut.comfyui_simulator.faults import Faults
from genonaut.comfyui_simulator.files import Files
from genonaut.comfyui_simulator.models import Models
from genonaut.comfyui_simulator.nodes import NodeTypes
from genonaut.comfyui_simulator.prompt_queue import PromptQueue
from genonaut.comfyui_simulator.sockets import JSON, Sockets

HISTORY_LAG = 0.002
"""Seconds between execution_success and its history entry: the real server has such a gap, so drivers must bear it."""

log = logging.getLogger(__name__)


class WorkerDied(Exception):  # noqa: N818 - what happened, not what is wrong
    """The fault that leaves a zombie: an exception outside of node code."""


@dataclass(frozen=True)
class Settings:
    """How a simulated server behaves without faults."""

    step_seconds: float = 0.1
    latency: float = 0.0
    previews: bool = True
    models_dir: Path | None = None


class Server:
    """Takes prompts from its queue, one at a time, until it is stopped."""

    def __init__(self, settings: Settings, files: Files, faults: Faults, die: Callable[[str], None]) -> None:
        self.settings = settings
        self.files = files
        self.faults = faults
        self.models = Models(settings.models_dir)
        self.node_types = NodeTypes(self.models)
        self.sockets = Sockets()
        self.queue = PromptQueue(self._tell_status)
        self._workshop = Workshop(files, faults, die, settings.step_seconds, with_previews=settings.previews)
        self.executor = Executor(self._workshop, self.sockets)
        self._die = die
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to work and to deliver messages."""
        worker = asyncio.create_task(self._work())
        worker.add_done_callback(_log_death)
        publisher = asyncio.create_task(self.sockets.publish())
        publisher.add_done_callback(self._die_with)
        self._tasks = [worker, publisher]

    def kill(self) -> None:
        """Stop in the middle of whatever is going on."""
        for task in self._tasks:
            task.cancel()

    async def stop(self) -> None:
        """Stop and wait until nothing runs any more."""
        self.kill()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._workshop.painter.shutdown()

    def status(self) -> JSON:
        """Return the body of `GET /prompt`."""
        return {"exec_info": {"queue_remaining": self.queue.remaining}}

    def interrupt(self) -> None:
        """Stop whatever runs at its next step or node; without a running prompt this is forgotten."""
        self._workshop.is_interrupted = True

    def _tell_status(self) -> None:
        self.sockets.send("status", {"status": self.status()})

    async def _work(self) -> None:
        while True:
            item = await self.queue.take()
            _, prompt_id, prompt, extra_data, targets = item
            if self.faults.fire("zombie"):
                raise WorkerDied("the fault zombie")
            if self.faults.value("die_at_step") == 0 and self.faults.fire("die_at_step"):
                self._die("the fault die_at_step=0")
            outcome = await self.executor.run(prompt_id, prompt, extra_data, targets)
            delay = self.faults.value("history_delay")
            self.faults.fire("history_delay")
            await asyncio.sleep(HISTORY_LAG if delay is None else delay)
            self.queue.finish(item, outcome)
            log.info("prompt %s ended: %s", prompt_id, outcome.status["messages"][-1][0])
            client_id = self.sockets.client_id
            if client_id is not None:
                self.sockets.send("executing", {"node": None, "prompt_id": prompt_id}, client_id)

    def _die_with(self, publisher: asyncio.Task[None]) -> None:
        if not publisher.cancelled():
            self._die(f"a message that nobody can be sent: {publisher.exception()}")


def _log_death(worker: asyncio.Task[None]) -> None:
    if not worker.cancelled():
        log.critical("the worker died, HTTP and sockets live on: %s", worker.exception())
