"""Whether anybody would run a job is known without asking a driver."""

import pytest

from genonaut.generation.workers import registry
from genonaut.testkit.platforms import eventually

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

    await world.execute("UPDATE driven_servers SET fit = true, told_at = told_at - interval '20 seconds'")
    assert not await is_fit()  # it was killed
