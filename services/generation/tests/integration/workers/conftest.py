"""Simulated ComfyUI servers and drivers that run jobs on them."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from genonaut.comfyui_simulator.simulator import Simulator
from genonaut.generation.driver import driver
from genonaut.testkit.platforms import Running
from genonaut.testkit.waiting import eventually


@dataclass
class Gpu:
    """A simulated server and what it has to tell."""

    simulator: Simulator

    @property
    def url(self) -> str:
        return self.simulator.url

    @property
    def name(self) -> str:
        return self.url.removeprefix("http://")

    async def get(self, path: str) -> Any:
        async with aiohttp.ClientSession() as session, session.get(f"{self.url}/{path}") as response:
            return await response.json()

    async def queued(self) -> list[str]:
        """The prompts that run or wait."""
        queue = await self.get("queue")
        return [item[1] for item in queue["queue_running"] + queue["queue_pending"]]

    async def done(self) -> list[str]:
        """The prompts that have run, to whichever end; the driver's canaries are none of them."""
        return [
            prompt_id
            for prompt_id, entry in (await self.get("history")).items()
            if "genonaut/canary" not in str(entry["prompt"])
        ]


@pytest_asyncio.fixture
async def gpus(tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    """`await gpus()` is a new server, quick and without faults."""
    async with AsyncExitStack() as stack:

        async def start(**options: Any) -> Gpu:
            folder = tmp_path / f"gpu-{len(started)}"
            simulator = Simulator(folder, **{"step_seconds": 0.002, "previews": False, **options})
            started.append(await stack.enter_async_context(simulator))
            return Gpu(simulator)

        started: list[Simulator] = []
        yield start


@pytest_asyncio.fixture
async def gpu(gpus) -> Gpu:
    return await gpus()


@pytest.fixture
def driving(world) -> Callable[..., AbstractAsyncContextManager[Running]]:
    """`async with driving(gpu, ...)`: the driver's process, with quick judgements unless told otherwise."""

    def run(*gpus: Gpu | str, **settings: Any) -> AbstractAsyncContextManager[Running]:
        urls = ",".join(gpu if isinstance(gpu, str) else gpu.url for gpu in gpus)
        quick = {"unreachable_seconds": 0.5, "zombie_seconds": 0.5, "retry_seconds": 0.05, "lease_seconds": 2}
        return world.platform.running(driver, comfyui_urls=urls, **quick | settings)

    return run


@pytest.fixture
def queue_is_empty(world) -> Callable[[], Any]:
    """Waits until no work message is left."""

    async def empty() -> bool:
        info = await world.platform.bus.jetstream.stream_info("GENERATION_WORK")
        return info.state.messages == 0

    async def wait() -> None:
        await eventually(empty, reason="the work queue did not become empty")

    return wait
