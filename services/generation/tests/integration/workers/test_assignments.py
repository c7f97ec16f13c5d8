"""What a driver does about a message, as the job's log and lease stand."""

import asyncio
from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from genonaut.contracts.generation import JobFailed, JobRequeued, JobStarted
from genonaut.generation.comfyui.workflow import attempt_id
from genonaut.generation.jobs.domain import CancelJob, CompleteAttempt, FailAttempt, StartAttempt
from genonaut.generation.workers import leases
from genonaut.generation.workers.assignments import Rules, UnknownJobError, conclude, take_up

pytestmark = pytest.mark.usefixtures("running")

RULES = Rules(lease_seconds=10, max_attempts=3, max_takes=4)
ME, OTHER = UUID(int=1), UUID(int=2)


@pytest.fixture
def take(world):
    async def take(job_id, holder=ME, *, home="gpu-1", fleet=("gpu-1", "gpu-2"), rules=RULES):
        runtime = world.api.runtime
        return await runtime.database.transact(
            lambda connection: take_up(
                runtime.store, connection, job_id, holder=holder, home=home, fleet=fleet, rules=rules
            )
        )

    return take


@pytest.fixture
def end(world):
    async def end(job_id, command, holder=ME):
        runtime = world.api.runtime
        return await runtime.database.transact(
            lambda connection: conclude(runtime.store, connection, job_id, command, holder=holder)
        )

    return end


async def expire(world) -> None:
    await world.execute("UPDATE job_leases SET expires_at = clock_timestamp()")


async def test_a_waiting_job_is_started_at_home(world, take) -> None:
    job = await world.ask()

    assignment = await take(job["id"])

    _, started = await world.log(job["id"])
    prompt_id = attempt_id(UUID(job["dispatch_id"]), 1)
    assert isinstance(started.event, JobStarted)
    assert (started.event.worker, started.event.comfyui_prompt_id) == ("gpu-1", prompt_id)
    assert (assignment.attempt, assignment.prompt_id, assignment.worker) == (1, prompt_id, "gpu-1")
    assert assignment.started_at == started.envelope.time
    assert not assignment.over
    assert assignment.job.job_id == job["id"]


async def test_a_job_that_is_held_is_left_alone(world, take) -> None:
    job = await world.ask()
    await take(job["id"])

    with pytest.raises(leases.HeldError) as held:
        await take(job["id"], OTHER)

    assert 5 < held.value.seconds <= 10
    assert await world.story(job["id"]) == ["JobRequested", "JobStarted"]


async def test_of_two_at_once_one_gets_the_job(world, take) -> None:
    job = await world.ask()
    results = await asyncio.gather(*(take(job["id"], uuid4()) for _ in range(5)), return_exceptions=True)

    assert sum(isinstance(result, leases.HeldError) for result in results) == 4
    assert await world.story(job["id"]) == ["JobRequested", "JobStarted"]


@pytest.mark.parametrize("home", ["gpu-1", "gpu-2"])
async def test_an_attempt_without_a_driver_is_gone_on_with_where_it_runs(world, take, home) -> None:
    job = await world.ask()
    first = await take(job["id"])
    await expire(world)

    assert await take(job["id"], OTHER, home=home) == replace(first, takes=2, begun=False)
    assert await world.story(job["id"]) == ["JobRequested", "JobStarted"]


async def test_an_attempt_at_a_server_of_somebody_else_is_given_up(world, take) -> None:
    job = await world.ask()
    await take(job["id"])
    await expire(world)

    assignment = await take(job["id"], OTHER, home="gpu-9", fleet=["gpu-9"])

    assert (assignment.attempt, assignment.worker) == (2, "gpu-9")
    events = [each.event for each in await world.log(job["id"])]
    assert [type(event) for event in events[2:]] == [JobRequeued, JobStarted]


async def test_the_last_attempt_at_a_server_of_somebody_else_fails_the_job(world, take) -> None:
    job = await world.ask()
    await take(job["id"])
    await expire(world)

    rules = Rules(lease_seconds=10, max_attempts=1, max_takes=9)
    assert await take(job["id"], OTHER, home="gpu-9", fleet=["gpu-9"], rules=rules) is None
    assert (await world.job(job["id"]))["error_type"] == "worker_lost"
    assert await world.rows("SELECT * FROM job_leases") == []


async def test_a_job_that_is_taken_up_again_and_again_fails(world, take) -> None:
    job = await world.ask()
    for _ in range(4):
        assert not (await take(job["id"], uuid4())).over
        await expire(world)

    assignment = await take(job["id"], OTHER)

    assert assignment.over  # its prompt may still run, and is to be stopped
    failed = (await world.log(job["id"]))[-1].event
    assert isinstance(failed, JobFailed)
    assert (failed.error_type, failed.attempt) == ("worker_lost", 1)


async def test_there_is_nothing_to_do_for_a_job_that_has_ended(world, take, end) -> None:
    cancelled, failed = await world.ask(), await world.ask()
    await world.cancel(cancelled["id"])
    await take(failed["id"])
    await end(failed["id"], FailAttempt(1, "node_error", "no", 5))

    assert await take(cancelled["id"]) is None
    assert await take(failed["id"]) is None
    assert await world.rows("SELECT * FROM job_leases") == []


async def test_what_a_cancelled_job_left_running_is_to_be_stopped(world, take, end) -> None:
    job = await world.ask()
    first = await take(job["id"])
    await world.command(job["id"], CancelJob(""))
    await expire(world)

    left = await take(job["id"], OTHER)

    assert left.over
    assert left.prompt_id == first.prompt_id
    await end(job["id"], None, OTHER)
    assert await take(job["id"]) is None


async def test_who_comes_back_late_changes_nothing(world, take, end) -> None:
    job = await world.ask()
    await take(job["id"])
    await expire(world)
    await take(job["id"], OTHER, home="gpu-9", fleet=["gpu-9"])

    late = await end(job["id"], FailAttempt(1, "node_error", "no", 5), ME)

    assert (late.status, late.attempt) == ("running", 2)
    with pytest.raises(leases.HeldError):
        await take(job["id"], ME)


async def test_a_job_that_is_queued_again_can_be_taken_at_once(world, take, end) -> None:
    job_id = await world.requeued()
    assert (await take(job_id, ME)).attempt == 2
    await world.command(job_id, StartAttempt("gpu-1", uuid4(), 5))  # changes nothing: it runs
    state = await end(job_id, None, ME)
    assert state.active
    assert (await take(job_id, OTHER)).attempt == 2


async def test_a_message_of_another_database_is_told_from_ours(world, take) -> None:
    with pytest.raises(UnknownJobError):
        await take(12345)
    assert await world.rows("SELECT * FROM job_leases") == []


async def test_a_lease_is_kept_by_who_says_so_in_time(world, take) -> None:
    job = await world.ask()
    await take(job["id"])
    await expire(world)

    async with world.api.runtime.database.transaction() as connection:
        assert await leases.renew(connection, job["id"], ME, seconds=10)  # nobody wanted it meanwhile
    with pytest.raises(leases.HeldError):
        await take(job["id"], OTHER)
    await expire(world)
    await take(job["id"], OTHER)
    async with world.api.runtime.database.transaction() as connection:
        assert not await leases.renew(connection, job["id"], ME, seconds=10)


async def test_a_prompt_is_unattended_when_its_driver_is_gone_and_it_is_not_over(world, take, end) -> None:
    job = await world.ask()
    assignment = await take(job["id"])

    async def unattended() -> bool:
        async with world.api.runtime.database.reading() as connection:
            return await leases.any_unattended(connection, [uuid4(), assignment.prompt_id])

    assert not await unattended()
    await expire(world)
    assert await unattended()
    await world.command(job["id"], CancelJob(""))
    assert await unattended()
    await take(job["id"], OTHER)
    assert not await unattended()
    await end(job["id"], None, OTHER)
    assert not await unattended()


async def test_the_prompt_of_a_job_that_was_seen_to_its_end_is_attended_to(world, take, end) -> None:
    job = await world.ask()
    assignment = await take(job["id"])
    images = (await world.log(await world.completed(images=1)))[-1].event.images
    await end(job["id"], CompleteAttempt(1, images, 5))
    async with world.api.runtime.database.reading() as connection:
        assert not await leases.any_unattended(connection, [assignment.prompt_id])
