"""Whether anybody would run a job is known without asking a driver."""

import pytest
from sqlalchemy import text

from genonaut.generation.workers import registry
from genonaut.testkit.waiting import eventually

pytestmark = pytest.mark.usefixtures("running")


@pytest.fixture(autouse=True)
def _told_often(monkeypatch) -> None:
    monkeypatch.setattr(registry, "TELL_SECONDS", 0.05)


async def fit(world) -> int:
    return (await world.api.client.get("/internal/workers")).json()["fit"]


async def test_servers_that_take_jobs_are_counted(world, gpus, driving) -> None:
    first, second = await gpus(), await gpus()
    assert await fit(world) == 0

    async def are_fit(number: int) -> bool:
        return await fit(world) == number

    async with driving(first, second):
        await eventually(lambda: are_fit(2))
        second.simulator.crash()
        await eventually(lambda: are_fit(1))


async def test_a_driver_that_is_gone_is_not_counted_for_long(world, gpu, driving) -> None:
    async def is_fit() -> bool:
        return await fit(world) == 1

    async with driving(gpu):
        await eventually(is_fit)
    assert not await is_fit()  # it said goodbye

    killed = "INSERT INTO driven_servers VALUES (gen_random_uuid(), 'gpu', true, now() - interval '20 seconds')"
    await world.execute(killed)
    assert not await is_fit()


async def test_a_driver_that_was_killed_long_ago_is_forgotten_by_those_that_run(world, gpu, driving) -> None:
    await world.execute(
        "INSERT INTO driven_servers SELECT gen_random_uuid(), name, true, now() - age FROM"
        " (VALUES ('lately', interval '59 minutes'), ('long ago', interval '61 minutes')) AS killed (name, age)"
    )

    async def names() -> list[str]:
        return [name for (name,) in await world.rows("SELECT name FROM driven_servers ORDER BY name")]

    async def only_the_late_and_the_living() -> bool:
        return await names() == sorted([gpu.name, "lately"])

    async with driving(gpu):
        await eventually(only_the_late_and_the_living)


async def test_two_drivers_of_one_server_do_not_speak_against_each_other(world, gpu, driving) -> None:
    """The one that runs a job finds the server fit, the other finds it busy."""

    async def is_fit() -> bool:
        return await fit(world) == 1

    async def both_say_so() -> bool:
        return await world.rows("SELECT count(*) FROM driven_servers WHERE fit") == [(2,)]

    gpu.simulator.faults.switch(step_seconds=0.02)
    async with driving(gpu):
        await eventually(is_fit)
        async with driving(gpu):
            await eventually(both_say_so)
            assert await is_fit()  # one server, whoever speaks for it
            job = await world.ask(sampler_params={"steps": 40})
            await world.until(job["id"], "running")
            seen = [await fit(world) for _ in range(20)]
            await world.until(job["id"], "completed")
        await eventually(is_fit)  # though one of them is gone
    assert seen == [1] * 20


async def test_a_registry_that_is_blocked_keeps_no_driver_from_its_jobs(world, gpu, driving) -> None:
    async with (
        world.platform.database("generation", as_owner=True) as owner,
        driving(gpu, statement_timeout_ms=300),
        owner.transaction() as connection,
    ):
        await connection.execute(text("LOCK TABLE driven_servers IN ACCESS EXCLUSIVE MODE"))
        for _ in range(2):
            job = await world.ask()
            await world.until(job["id"], "completed")
