import asyncio
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid5

import pytest

from genonaut.comfyui_simulator.simulator import Simulator
from genonaut.contracts.generation import JobRequested, SamplerParams
from genonaut.generation.comfyui.client import ComfyUI
from genonaut.generation.comfyui.run import Limits, run_prompt
from genonaut.testkit.jobs import job_requested

# Generous where a loaded machine could look like a failure; tests of a limit shorten that one.
QUICK = Limits(soft=30, hard=40, stop=10, unreachable=10, zombie=10, recheck=0.2, poll_from=0.02, poll_to=0.2)
REQUEST = UUID("6a0c3f0e-1111-4222-8333-444455556666")


class Bench:
    """A simulator, a client of it, and attempts at it."""

    def __init__(self, simulator: Simulator, server: ComfyUI) -> None:
        self.simulator = simulator
        self.server = server
        self.cancel = asyncio.Event()
        self.progress = []

    def job(self, **changes: Any) -> JobRequested:
        small = {
            "checkpoint_model": "sd15_tiny_random.safetensors",
            "width": 96,
            "height": 128,
            "sampler_params": SamplerParams(seed=7, steps=6),
        }
        return job_requested(**small | changes)

    @staticmethod
    def prompt_id(attempt: int = 1) -> UUID:
        return uuid5(REQUEST, str(attempt))

    async def on_progress(self, progress) -> None:
        self.progress.append(progress)

    def run(self, *, attempt: int = 1, limits: dict[str, float] | None = None, **changes: Any):
        return run_prompt(
            self.server,
            self.job(**changes),
            prompt_id=self.prompt_id(attempt),
            attempt=attempt,
            on_progress=self.on_progress,
            cancel=self.cancel,
            limits=replace(QUICK, **(limits or {})),
        )

    async def until(self, condition) -> None:
        """Wait for what a running attempt brings about."""
        async with asyncio.timeout(10):
            while not await condition():  # noqa: ASYNC110 - it comes about in the simulator, which raises no event
                await asyncio.sleep(0.01)

    async def is_running(self, attempt: int = 1) -> bool:
        return str(self.prompt_id(attempt)) in (await self.server.queue()).running

    async def is_pending(self, attempt: int = 1) -> bool:
        return str(self.prompt_id(attempt)) in (await self.server.queue()).pending

    def files(self) -> list[str]:
        return sorted(path.name for path in self.simulator.output_dir.rglob("*.png"))


@pytest.fixture
async def bench(request, tmp_path):
    """Parametrize it indirectly to give the simulator options."""
    options = {"step_seconds": 0.02, **getattr(request, "param", {})}
    async with (
        Simulator(tmp_path / "output", **options) as simulator,
        ComfyUI(simulator.url, name="gpu") as server,
    ):
        yield Bench(simulator, server)
