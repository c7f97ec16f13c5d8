"""Whatever breaks, a job comes to exactly one end, and no prompt runs twice that need not."""

import asyncio
from uuid import uuid4

import pytest

from genonaut.contracts.generation import JobStarted
from genonaut.generation.workers import worker
from genonaut.platform.bus import Message
from genonaut.platform.objects import ObjectStoreError
from genonaut.testkit.servers import as_superuser
from genonaut.testkit.waiting import eventually

pytestmark = pytest.mark.usefixtures("running")

LONG = {"sampler_params": {"steps": 40}}
MAIN_PATH = ["JobRequested", "JobStarted", "JobCompleted"]
SECOND_TRY = ["JobRequested", "JobStarted", "JobRequeued", "JobStarted", "JobCompleted"]


async def repeat_message(world, job_id: int) -> None:
    """Put the job's work message into the queue once more, as one that the stream has never seen."""
    envelope = (await world.log(job_id))[0].envelope
    message = Message(f"generation.work.image.{job_id}", envelope.to_json(), str(uuid4()))
    await world.platform.bus.publish("GENERATION_WORK", [message])


async def test_a_job_moves_to_another_worker_when_its_own_dies(world, gpus, driving, queue_is_empty) -> None:
    first, second = await gpus(), await gpus()
    for gpu in (first, second):
        gpu.simulator.faults.switch(step_seconds=0.02)
    async with driving(first, second):
        job = await world.ask(**LONG)
        await world.until(job["id"], "running")
        started = (await world.log(job["id"]))[1].event
        assert isinstance(started, JobStarted)
        dead, alive = (first, second) if started.worker == first.name else (second, first)
        await eventually(dead.queued)

        dead.simulator.crash()

        await world.until(job["id"], "completed")
        await queue_is_empty()

    assert await world.story(job["id"]) == SECOND_TRY
    restarted = (await world.log(job["id"]))[3].event
    assert isinstance(restarted, JobStarted)
    assert (restarted.worker, restarted.attempt) == (alive.name, 2)
    assert len(await alive.done()) == 1


async def test_a_zombie_is_found_out_and_given_nothing_more(world, gpus, driving) -> None:
    zombie, sound = await gpus(), await gpus()
    zombie.simulator.faults.switch(zombie=True)
    async with driving(zombie):
        job = await world.ask()
        await eventually(lambda: _story_is(world, job["id"], ["JobRequested", "JobStarted", "JobRequeued"]))
        other = await world.ask()
    async with driving(zombie, sound):
        await world.until(job["id"], "completed")
        await world.until(other["id"], "completed")

    assert len(await sound.done()) == 2
    assert len(await zombie.queued()) == 1


async def _story_is(world, job_id: int, story: list[str]) -> bool:
    return await world.story(job_id) == story


async def test_a_server_that_is_down_takes_no_work(world, gpu, driving) -> None:
    gpu.simulator.crash()
    async with driving(gpu) as running:
        assert (await running.client.get("/ready")).status_code == 200
        job = await world.ask()
        waiting = "SELECT count(*) FROM outbox"
        await eventually(lambda: _is(world, waiting, 0))
        assert await world.story(job["id"]) == ["JobRequested"]

        await gpu.simulator.restart()

        await world.until(job["id"], "completed")
    assert await world.story(job["id"]) == MAIN_PATH


async def _is(world, query: str, value: object) -> bool:
    return (await world.rows(query))[0][0] == value


async def test_a_message_that_comes_again_after_the_end_changes_nothing(world, gpu, driving, queue_is_empty) -> None:
    async with driving(gpu):
        job = await world.ask()
        await world.until(job["id"], "completed")
        await repeat_message(world, job["id"])
        await queue_is_empty()

    assert await world.story(job["id"]) == MAIN_PATH
    assert len(await gpu.done()) == 1


async def test_a_doubled_message_does_not_make_a_second_run(world, gpus, driving, queue_is_empty) -> None:
    first, second = await gpus(step_seconds=0.03), await gpus(step_seconds=0.03)
    async with driving(first, second):
        job = await world.ask(**LONG)
        await world.until(job["id"], "running")
        await repeat_message(world, job["id"])
        await world.until(job["id"], "completed")
        await queue_is_empty()

    assert await world.story(job["id"]) == MAIN_PATH
    assert len(await first.done() + await second.done()) == 1


async def test_a_driver_that_ends_hands_its_job_to_the_next_one(world, gpus, driving, monkeypatch) -> None:
    monkeypatch.setattr("genonaut.platform.service.SHUTDOWN_SECONDS", 0.05)
    gpu = await gpus(step_seconds=0.03)
    async with driving(gpu):
        job = await world.ask(**LONG)
        await world.until(job["id"], "running")
        await eventually(gpu.queued)
    async with driving(gpu):
        await world.until(job["id"], "completed", within=6)  # no waiting for the message's ack_wait of 10 s

    assert await world.story(job["id"]) == MAIN_PATH
    assert len(await gpu.done()) == 1


async def test_a_driver_that_was_thought_dead_lets_go(world, gpus, driving, monkeypatch) -> None:
    monkeypatch.setattr(worker, "WATCH_SECONDS", 0.1)
    gpu = await gpus(step_seconds=0.03)
    async with driving(gpu, lease_seconds=0.5):
        job = await world.ask(**LONG)
        await world.until(job["id"], "running")
        await eventually(gpu.queued)
        await world.execute("UPDATE job_leases SET holder = :other", other=uuid4())
        await eventually(lambda: _is(world, "SELECT expires_at < clock_timestamp() FROM job_leases", value=True))

        await world.until(job["id"], "completed")

    assert await world.story(job["id"]) == MAIN_PATH  # taken up again by the same worker, adopted, not run again
    assert len(await gpu.done()) == 1


async def test_a_job_whose_attempt_was_overtaken_stops_at_its_server(world, gpus, driving, monkeypatch) -> None:
    """The driver stood still, another process gave its attempt up: what it still runs is nobody's."""
    monkeypatch.setattr(worker, "WATCH_SECONDS", 0.1)
    gpu = await gpus(step_seconds=0.05)
    async with driving(gpu):
        job = await world.ask(sampler_params={"steps": 200})
        await world.until(job["id"], "running")
        await eventually(gpu.queued)
        await world.abandon(job["id"])
        await eventually(lambda: _idle(gpu))

    (prompt_id,) = await gpu.done()
    assert (await gpu.get("history"))[prompt_id]["status"]["messages"][-1][0] == "execution_interrupted"
    assert await world.story(job["id"]) == ["JobRequested", "JobStarted", "JobFailed"]


async def _idle(gpu) -> bool:
    return await gpu.queued() == []


async def test_lost_database_connections_are_waited_out(world, gpus, driving, postgres, monkeypatch) -> None:
    monkeypatch.setattr(worker, "WATCH_SECONDS", 0.05)
    gpu = await gpus(step_seconds=0.03)
    async with driving(gpu):
        job = await world.ask(**LONG)
        await world.until(job["id"], "running")
        await eventually(gpu.queued)
        for _ in range(5):
            as_superuser(
                postgres,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'genonaut-driver'",
            )
            await asyncio.sleep(0.1)
        await world.until(job["id"], "completed")

    assert await world.story(job["id"]) == MAIN_PATH
    assert len(await gpu.done()) == 1


async def test_trouble_with_our_own_store_costs_no_second_run(world, gpu, driving, monkeypatch) -> None:
    monkeypatch.setattr(worker, "TROUBLE_SECONDS", (0.05, 0.1))
    calls = []

    async def broken_at_first(objects, pictures, data):
        calls.append(data)
        if len(calls) < 3:
            raise ObjectStoreError("object store: put failed")
        return await store_image(objects, pictures, data)

    store_image = worker.store_image
    monkeypatch.setattr(worker, "store_image", broken_at_first)
    async with driving(gpu):
        job = await world.ask()
        await world.until(job["id"], "completed")

    assert await world.story(job["id"]) == MAIN_PATH
    assert len(await gpu.done()) == 1


async def test_a_job_that_troubles_every_driver_fails_in_the_end(
    world, gpu, driving, queue_is_empty, monkeypatch
) -> None:
    monkeypatch.setattr(worker, "TROUBLE_SECONDS", (0.05, 0.1))

    async def broken(objects, pictures, data):
        raise ZeroDivisionError

    monkeypatch.setattr(worker, "store_image", broken)
    async with driving(gpu, max_takes=3):
        job = await world.ask()
        job = await world.until(job["id"], "failed")
        await queue_is_empty()

    assert await world.story(job["id"]) == ["JobRequested", "JobStarted", "JobFailed"]
    assert job["error_type"] == "worker_lost"
    assert await world.rows("SELECT * FROM job_leases") == []
    assert await world.rows("SELECT * FROM dead_letters") == []


@pytest.mark.parametrize("payload", [b"garbage", b"{}"])
async def test_a_message_that_cannot_be_read_is_parked(world, gpu, driving, queue_is_empty, payload) -> None:
    await world.platform.bus.publish("GENERATION_WORK", [Message("generation.work.image.7", payload, "poison")])
    async with driving(gpu):
        await queue_is_empty()
        job = await world.ask()
        await world.until(job["id"], "completed")

    assert await world.rows("SELECT consumer, subject FROM dead_letters") == [
        ("generation-drivers", "generation.work.image.7")
    ]
