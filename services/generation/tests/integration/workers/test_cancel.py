"""Cancelling: the job has ended when the answer comes, and the server stops soon after."""

import pytest

from genonaut.generation.workers import worker
from genonaut.testkit.waiting import eventually

pytestmark = pytest.mark.usefixtures("running")

LONG = {"sampler_params": {"steps": 200}}


async def test_a_waiting_job_never_reaches_a_server(world, gpu, driving, queue_is_empty) -> None:
    job = await world.ask()
    await world.cancel(job["id"], reason="changed my mind")

    async with driving(gpu):
        await queue_is_empty()

    assert await world.story(job["id"]) == ["JobRequested", "JobCancelled"]
    assert await gpu.done() == []
    assert await world.rows("SELECT * FROM job_leases") == []


async def deaf(self, message) -> None:
    """Hear nothing."""


@pytest.mark.parametrize("heard", [True, False])
async def test_a_running_job_stops_at_the_server(world, gpus, driving, queue_is_empty, monkeypatch, heard) -> None:
    """Told by the bus at once, or found in the log a little later."""
    monkeypatch.setattr(worker, "WATCH_SECONDS", 60 if heard else 0.1)
    if not heard:
        monkeypatch.setattr(worker.Cancellations, "_hear", deaf)
    gpu = await gpus(step_seconds=0.05)
    async with driving(gpu):
        job = await world.ask(**LONG)
        await world.until(job["id"], "running")
        (prompt_id,) = await eventually(gpu.queued)

        assert (await world.cancel(job["id"]))["status"] == "cancelled"

        await queue_is_empty()
        assert await gpu.queued() == []
        history = await gpu.get(f"history/{prompt_id}")
        assert history[prompt_id]["status"]["messages"][-1][0] == "execution_interrupted"
        next_job = await world.ask()
        await world.until(next_job["id"], "completed")

    assert await world.story(job["id"]) == ["JobRequested", "JobStarted", "JobCancelled"]


async def test_what_a_dead_driver_left_running_is_stopped(world, gpus, driving, queue_is_empty, monkeypatch) -> None:
    """The job was cancelled when nobody was there to hear it."""
    monkeypatch.setattr("genonaut.platform.service.SHUTDOWN_SECONDS", 0.05)
    gpu = await gpus(step_seconds=0.05)
    async with driving(gpu):
        job = await world.ask(**LONG)
        await world.until(job["id"], "running")
        await eventually(gpu.queued)
    assert await gpu.queued()
    await world.cancel(job["id"])

    async with driving(gpu):
        await queue_is_empty()

    assert await gpu.queued() == []
    assert await world.story(job["id"]) == ["JobRequested", "JobStarted", "JobCancelled"]
    assert await world.rows("SELECT * FROM job_leases") == []
