"""Attempts against a simulated ComfyUI over real HTTP and real sockets, one fault at a time."""

import asyncio
import time
from uuid import uuid4

import pytest

from genonaut.contracts.generation import Lora, SamplerParams
from genonaut.generation.comfyui.canary import works
from genonaut.generation.comfyui.failures import (
    DeadlineError,
    LostError,
    NodeError,
    OutOfMemoryError,
    RejectedError,
    RunInterruptedError,
    UnreachableError,
    WithdrawnError,
    ZombieError,
)
from genonaut.generation.comfyui.workflow import prompt_graph
from genonaut.platform.images import ImageError, store_image
from genonaut.platform.objects import ObjectStore
from genonaut.platform.pictures.pool import PicturePool

SLOW = SamplerParams(seed=7, steps=1000)
IMPATIENT = {"soft": 0.5, "hard": 5}


class Stranger:
    """Somebody else's prompt at the same server."""

    def __init__(self, bench) -> None:
        self.bench = bench
        self.prompt_id = uuid4()

    async def submit(self, *, steps: int) -> None:
        job = self.bench.job(sampler_params=SamplerParams(seed=3, steps=steps))
        graph = prompt_graph(job, prefix="stranger")
        await self.bench.server.submit(graph, prompt_id=self.prompt_id, client_id="stranger")

    async def outcome(self) -> str:
        async def over():
            return await self.bench.server.history(self.prompt_id)

        await self.bench.until(over)
        return (await self.bench.server.history(self.prompt_id))["status"]["messages"][-1][0]


async def test_a_job_with_loras_and_a_batch_becomes_stored_pictures(bench, tmp_path):
    outputs = await bench.run(batch_size=2, lora_models=[Lora(name="styles/sub_lora.safetensors")])
    assert len(outputs) == 2
    assert all(output.subfolder.startswith("genonaut/") for output in outputs)
    objects, pictures = ObjectStore.at(f"file://{tmp_path}/objects"), PicturePool(1)
    images = [await store_image(objects, pictures, await bench.server.download(output)) for output in outputs]
    await pictures.close()
    assert [(image.media_type, image.width, image.height) for image in images] == [("image/png", 96, 128)] * 2
    assert images[0].sha256 != images[1].sha256


async def test_progress_goes_from_nothing_to_nearly_everything_with_previews(bench):
    bench.simulator.faults.switch(step_seconds=0.1)
    await bench.run()
    fractions = [progress.fraction for progress in bench.progress]
    assert fractions == sorted(fractions)
    assert fractions[0] < 0.2
    assert 0.9 < fractions[-1] < 1
    assert {"KSampler", "SaveImage"} <= {progress.node for progress in bench.progress}
    sampled = [progress for progress in bench.progress if progress.node == "KSampler"]
    assert sampled[-1].steps == 6
    assert len({progress.step for progress in sampled}) > 2
    assert any(progress.preview and progress.preview.startswith("data:image/jpeg") for progress in sampled)
    assert {(progress.job_id, progress.attempt) for progress in bench.progress} == {(bench.job().job_id, 1)}


async def test_a_second_attempt_at_the_same_job_gets_a_file_of_its_own(bench):
    first, second = await bench.run(attempt=1), await bench.run(attempt=2)
    assert first != second
    assert len(bench.files()) == 2


@pytest.mark.parametrize("node", ["CheckpointLoaderSimple", "CLIPTextEncode", "KSampler", "VAEDecode", "SaveImage"])
async def test_a_node_that_fails_is_named(bench, node):
    bench.simulator.faults.switch(error_at_node=node)
    with pytest.raises(NodeError, match=f"^{node} failed") as caught:
        await bench.run()
    assert not caught.value.retryable


async def test_out_of_memory_is_told_apart(bench):
    bench.simulator.faults.switch(out_of_memory=True)
    with pytest.raises(OutOfMemoryError):
        await bench.run()


async def test_a_broken_checkpoint_fails_without_its_path(bench):
    with pytest.raises(NodeError) as caught:
        await bench.run(checkpoint_model="corrupted.safetensors")
    assert str(caught.value) == "CheckpointLoaderSimple failed (SafetensorError)."


async def test_what_the_server_does_not_have_is_refused_in_our_words(bench):
    with pytest.raises(RejectedError) as caught:
        await bench.run(checkpoint_model="nothing.safetensors", sampler_params=SamplerParams(seed=1, steps=0))
    assert "ckpt_name 'nothing.safetensors' is not available" in str(caught.value)
    assert "steps 0 is too small" in str(caught.value)
    assert "sd15" not in str(caught.value)


async def test_history_that_comes_late_is_waited_for(bench):
    bench.simulator.faults.switch(history_delay=0.5)
    assert await bench.run()


@pytest.mark.parametrize("bench", [{"latency": 0.25}], indirect=True)
async def test_a_slow_server_is_no_lost_server(bench):
    assert await bench.run()


class TestLoss:
    async def test_a_forgotten_prompt(self, bench):
        bench.simulator.faults.switch(lose_prompts=1)
        with pytest.raises(LostError) as caught:
            await bench.run()
        assert caught.value.retryable
        assert await bench.run(attempt=2)

    async def test_a_server_that_dies_and_stays_away(self, bench):
        bench.simulator.faults.switch(die_at_step=2)
        with pytest.raises(UnreachableError) as caught:
            await bench.run(limits={"unreachable": 0.5})
        assert caught.value.retryable

    async def test_a_server_that_dies_and_comes_back(self, bench):
        bench.simulator.faults.switch(die_at_step=2)
        attempt = asyncio.create_task(bench.run())

        async def dead():
            return not bench.simulator.is_alive

        await bench.until(dead)
        await bench.simulator.restart()
        with pytest.raises(LostError):
            await attempt
        assert await bench.run(attempt=2)

    async def test_a_zombie(self, bench):
        """The first job is in the hands of the worker that died, the next waits behind it for ever."""
        bench.simulator.faults.switch(zombie=True, times=1)
        with pytest.raises(ZombieError) as caught:
            await bench.run(limits={"zombie": 0.5})
        assert caught.value.retryable
        with pytest.raises(ZombieError):
            await bench.run(attempt=2, limits=IMPATIENT)
        assert not await bench.is_pending(2)

    async def test_a_file_that_is_gone(self, bench):
        (output,) = await bench.run()
        next(bench.simulator.output_dir.rglob(output.filename)).unlink()
        with pytest.raises(LostError):
            await bench.server.download(output)

    async def test_a_file_that_ends_in_the_middle_is_no_picture(self, bench, tmp_path):
        bench.simulator.faults.switch(corrupt_files=1)
        (output,) = await bench.run()
        pictures = PicturePool(1)
        with pytest.raises(ImageError):
            await store_image(ObjectStore.at(tmp_path.as_uri()), pictures, await bench.server.download(output))
        await pictures.close()


class TestSocket:
    async def test_a_dropped_socket_costs_nothing_but_a_few_messages(self, bench):
        bench.simulator.faults.switch(drop_socket_at_step=2, times=1, step_seconds=0.2)
        assert await bench.run()
        assert bench.progress[-1].node in ("VAEDecode", "SaveImage")
        assert bench.simulator.faults.fired["drop_socket_at_step"] == 1


class TestCancel:
    async def test_while_it_waits(self, bench):
        stranger = Stranger(bench)
        await stranger.submit(steps=40)
        ours = asyncio.create_task(bench.run())
        await bench.until(bench.is_pending)
        bench.cancel.set()
        with pytest.raises(WithdrawnError):
            await ours
        assert await stranger.outcome() == "execution_success"

    async def test_while_it_runs(self, bench):
        attempt = asyncio.create_task(bench.run(sampler_params=SLOW))
        await bench.until(bench.is_running)
        stranger = Stranger(bench)
        await stranger.submit(steps=3)
        bench.cancel.set()
        with pytest.raises(WithdrawnError):
            await attempt
        assert not await bench.is_running()
        assert await stranger.outcome() == "execution_success"

    async def test_by_somebody_else_at_the_server(self, bench):
        attempt = asyncio.create_task(bench.run(sampler_params=SLOW))
        await bench.until(bench.is_running)
        await bench.server.interrupt(bench.prompt_id())
        with pytest.raises(RunInterruptedError) as caught:
            await attempt
        assert not caught.value.retryable


class TestDeadline:
    async def test_a_run_that_takes_too_long_is_stopped_at_the_server(self, bench):
        with pytest.raises(DeadlineError):
            await bench.run(sampler_params=SLOW, limits=IMPATIENT)
        assert (await bench.server.queue()).running == ()


class TestResume:
    @pytest.mark.parametrize("moment", ["running", "finished"])
    async def test_a_driver_that_starts_again_gets_the_picture_of_the_first_run(self, bench, moment):
        first = asyncio.create_task(bench.run(sampler_params=SamplerParams(seed=7, steps=30)))
        await bench.until(bench.is_running)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert await bench.is_running()
        if moment == "finished":

            async def done():
                return not await bench.is_running()

            await bench.until(done)
        bench.progress.clear()
        (output,) = await bench.run(sampler_params=SamplerParams(seed=7, steps=30))
        assert bench.files() == [output.filename]
        if moment == "running":
            assert bench.progress, "the feed goes on under the same client id"

    async def test_a_submission_whose_answer_was_lost_is_not_run_twice(self, bench):
        bench.simulator.faults.switch(drop_replies=1)
        (output,) = await bench.run()
        assert bench.files() == [output.filename]
        assert bench.simulator.faults.fired["drop_replies"] == 1


class TestCanary:
    async def test_a_sound_server_answers_fast_and_writes_one_file_only(self, bench):
        assert await works(bench.server, prompt_id=uuid4())
        began = time.monotonic()
        assert await works(bench.server, prompt_id=uuid4())
        assert time.monotonic() - began < 1
        assert len(bench.files()) == 1

    async def test_a_zombie_does_not(self, bench):
        bench.simulator.faults.switch(zombie=True, times=1)
        assert not await works(bench.server, prompt_id=uuid4(), seconds=0.5)
        assert not await works(bench.server, prompt_id=uuid4(), seconds=0.5)
        assert (await bench.server.queue()).pending == ()

    async def test_nobody_there_does_not(self, bench):
        bench.simulator.crash()
        assert not await works(bench.server, prompt_id=uuid4())
