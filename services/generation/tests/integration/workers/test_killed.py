"""A driver that is killed loses nothing: the next one goes on with the prompt that runs."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from genonaut.generation.service import service
from genonaut.testkit.waiting import eventually

pytestmark = pytest.mark.usefixtures("running")


@pytest.fixture
def process(world, tmp_path):
    """`async with process(gpu) as process`: the driver as an operating-system process, killed in the end."""

    @asynccontextmanager
    async def start(*gpus) -> AsyncIterator[asyncio.subprocess.Process]:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        settings = world.platform.settings(service)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "genonaut.generation",
            "drive",
            env={
                "PATH": os.environ["PATH"],
                "APP_ENV": "test",
                "DATABASE_URL": settings.database_url.get_secret_value(),
                "NATS_URL": world.platform.nats_server.url(user="driver"),
                "OBJECT_STORE_URL": str(settings.object_store_url),
                "API_SECRET_KEY": settings.api_secret_key.get_secret_value(),
                "API_HOST": "127.0.0.1",
                "API_PORT": str(port),
                "COMFYUI_URLS": ",".join(gpu.url for gpu in gpus),
            },
            cwd=tmp_path,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    return start


async def test_the_next_driver_goes_on_with_the_prompt_that_runs(world, gpus, process) -> None:
    gpu, spare = await gpus(step_seconds=0.2), await gpus()
    async with process(gpu) as first:
        job = await world.ask(sampler_params={"steps": 40})
        await world.until(job["id"], "running", within=20)
        await eventually(gpu.queued)
        first.kill()
    async with process(gpu, spare):
        await world.until(job["id"], "completed", within=30)

    assert await world.story(job["id"]) == ["JobRequested", "JobStarted", "JobCompleted"]
    assert len(await gpu.done()) == 1
    assert await spare.done() == []


async def test_a_driver_without_servers_says_what_it_lacks(world, process) -> None:
    async with process() as refused:
        _, said = await asyncio.wait_for(refused.communicate(), 20)

    assert refused.returncode
    assert b"COMFYUI_URLS" in said
