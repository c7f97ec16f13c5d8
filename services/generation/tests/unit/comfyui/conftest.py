import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from genonaut.contracts.generation import JobRequested, SamplerParams
from genonaut.testkit.jobs import job_requested

SHARED = Path(__file__).parents[5] / "libs/comfyui-simulator/tests/recordings"
OWN = Path(__file__).parents[2] / "recordings"


@pytest.fixture
def recording():
    """What a real server said, by the recording's name."""

    def read(name: str) -> Any:
        shared = SHARED / f"{name}.json"
        return json.loads((shared if shared.exists() else OWN / shared.name).read_text())

    return read


@pytest.fixture
def job():
    """A job with the recordings' values, unless told otherwise."""

    def make(**changes: Any) -> JobRequested:
        values = {
            "job_id": 42,
            "prompt": "a cat",
            "negative_prompt": "bad",
            "checkpoint_model": "sd15_tiny_random.safetensors",
            "width": 64,
            "height": 64,
            "batch_size": 2,
            "sampler_params": SamplerParams(seed=17951918530, steps=2, cfg=7.0),
        }
        return job_requested(**values | changes)

    return make


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Its clock jumps to the next timer: half an hour of waiting takes no time, in the same order."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        select = self._selector.select

        def jump(timeout):
            if timeout is None:
                raise RuntimeError("everything waits and no timer is set")
            self._now += max(0.0, timeout)
            return select(0)

        self._selector.select = jump

    def time(self) -> float:
        return self._now


@pytest.fixture
def virtual_time():
    """Run a coroutine in virtual time; gives what it returned and the seconds it took."""

    def run(coroutine):
        async def timed():
            return await coroutine, asyncio.get_running_loop().time()

        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            return runner.run(timed())

    return run
