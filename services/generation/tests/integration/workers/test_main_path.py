"""From an accepted job to its pictures, and what a ComfyUI server may say against it."""

import pytest

from genonaut.contracts.generation import JobCompleted, JobRequeued, JobStarted
from genonaut.contracts.images import ThumbnailSize
from genonaut.contracts.live import JobProgress
from genonaut.generation.comfyui.workflow import attempt_id
from genonaut.platform.images import image_key, rendition_key

pytestmark = pytest.mark.usefixtures("running")


async def test_a_job_becomes_pictures(world, gpu, driving, queue_is_empty) -> None:
    async with driving(gpu):
        job = await world.ask(batch_size=2, tags=["sea"], title="Dusk")
        job = await world.until(job["id"], "completed")
        await queue_is_empty()

    assert await world.story(job["id"]) == ["JobRequested", "JobStarted", "JobCompleted"]
    requested, started, completed = await world.log(job["id"])
    assert isinstance(started.event, JobStarted)
    assert started.event.worker == gpu.name
    assert started.event.comfyui_prompt_id == attempt_id(requested.envelope.id, 1)
    assert [each.envelope.causationid for each in (started, completed)] == [requested.envelope.id] * 2
    assert {each.envelope.correlationid for each in (requested, started, completed)} == {
        requested.envelope.correlationid
    }
    assert isinstance(completed.event, JobCompleted)
    images = completed.event.images
    assert [(image.width, image.height) for image in images] == [(64, 64)] * 2
    assert len({image.sha256 for image in images}) == 2
    assert completed.event.item_metadata["sampler_params"] == job["sampler_params"]
    objects = world.api.runtime.objects
    for image in images:
        assert await objects.size(image_key(image.sha256)) == image.size_bytes
        for size in ThumbnailSize:
            assert await objects.exists(rendition_key(image.sha256, size, "webp"))
    assert job["output_paths"] == [f"/api/v1/images/{image.sha256}" for image in images]
    assert job["thumbnail_paths"] == [f"/api/v1/images/{image.sha256}?size=300" for image in images]
    assert job["attempt"] == 1
    assert job["created_at"] <= job["started_at"] <= job["completed_at"] == job["updated_at"]
    assert await world.rows("SELECT * FROM job_leases") == []


async def test_progress_is_seen_live(world, gpus, driving) -> None:
    gpu = await gpus(step_seconds=0.02, previews=True)
    seen: list[JobProgress] = []

    async def see(message) -> None:
        seen.append(JobProgress.model_validate_json(message.data))

    await world.platform.bus.client.subscribe("live.job.*", cb=see)
    async with driving(gpu):
        job = await world.ask(sampler_params={"steps": 20})
        await world.until(job["id"], "completed")

    assert {(progress.job_id, progress.attempt) for progress in seen} == {(job["id"], 1)}
    assert [progress.fraction for progress in seen] == sorted(progress.fraction for progress in seen)
    assert any(progress.node == "KSampler" and progress.steps == 20 for progress in seen)
    assert any(progress.preview and progress.preview.startswith("data:image/") for progress in seen)
    last = await world.platform.bus.jetstream.get_msg("LIVE", subject=f"live.job.{job['id']}")
    assert JobProgress.model_validate_json(last.data) == seen[-1]


@pytest.mark.parametrize(
    ("faults", "wish", "error_type", "words"),
    [
        ({"error_at_node": "VAEDecode"}, {}, "node_error", "VAEDecode failed"),
        ({"out_of_memory": True}, {}, "out_of_memory", "out of memory"),
        ({}, {"checkpoint_model": "no-such.safetensors"}, "validation", "not available on this worker"),
        ({"corrupt_files": 1}, {}, "node_error", "picture is unusable"),
    ],
)
async def test_what_comfyui_refuses_fails_the_job_once(
    world, gpus, driving, queue_is_empty, faults, wish, error_type, words
) -> None:
    gpu = await gpus(faults_at_start=faults)
    async with driving(gpu):
        job = await world.ask(**wish)
        job = await world.until(job["id"], "failed")
        await queue_is_empty()

    assert await world.story(job["id"]) == ["JobRequested", "JobStarted", "JobFailed"]
    assert job["error_type"] == error_type
    assert words in job["error_message"]
    assert job["output_paths"] == []


async def test_a_lost_prompt_is_tried_again(world, gpu, driving) -> None:
    gpu.simulator.faults.switch(lose_prompts=1)
    async with driving(gpu):
        job = await world.ask()
        job = await world.until(job["id"], "completed")

    assert await world.story(job["id"]) == [
        "JobRequested", "JobStarted", "JobRequeued", "JobStarted", "JobCompleted",
    ]  # fmt: skip
    requeued = (await world.log(job["id"]))[2].event
    assert isinstance(requeued, JobRequeued)
    assert (requeued.attempt, requeued.reason, job["attempt"]) == (1, "worker_lost", 2)


async def test_a_job_whose_last_attempt_is_lost_fails(world, gpu, driving, queue_is_empty) -> None:
    gpu.simulator.faults.switch(lose_prompts=1)
    async with driving(gpu, max_attempts=1):
        job = await world.ask()
        job = await world.until(job["id"], "failed")
        await queue_is_empty()

    assert job["error_type"] == "worker_lost"
    assert await world.story(job["id"]) == ["JobRequested", "JobStarted", "JobFailed"]


async def test_an_attempt_that_takes_too_long_is_stopped(world, gpus, driving) -> None:
    gpu = await gpus(step_seconds=0.05)
    async with driving(gpu, soft_limit_seconds=0.5, hard_limit_seconds=5):
        job = await world.ask(sampler_params={"steps": 200})
        job = await world.until(job["id"], "failed")

    assert job["error_type"] == "timeout"
    assert await gpu.queued() == []
