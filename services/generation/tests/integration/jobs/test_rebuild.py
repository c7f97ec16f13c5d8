"""Both projections, built again from their events, equal the live tables."""

import pytest
from sqlalchemy import text

from genonaut.generation.jobs.projection import jobs_projection
from genonaut.generation.users.projection import users_projection
from genonaut.platform.replay import Rebuild

pytestmark = pytest.mark.usefixtures("running")


@pytest.fixture
def rebuild(world):
    async def rebuild(projection, *, swap):
        async with world.platform.database("generation", as_owner=True) as owner:
            job = Rebuild(projection, service="generation", database=owner, bus=world.platform.bus)
            return await job.run(swap=swap, progress=lambda *_: None)

    return rebuild


async def history(world) -> None:
    """Jobs in every state that there is."""
    await world.ask(lora_models=[{"name": "x"}], params={"own": 1.5}, sampler_params={"seed": 2**64 - 1})
    await world.ask(job_type="text_generation")
    await world.cancel((await world.ask())["id"], reason="r")
    await world.started()
    await world.requeued()
    await world.completed(images=2)
    published = await world.completed(images=1)
    await world.item(published, 7)
    await world.published(published)
    gone = await world.register()
    await world.deactivate(gone)
    await world.activate(gone)
    await world.deactivate(gone, sequence=4)


@pytest.mark.parametrize("projection", [jobs_projection, users_projection], ids=lambda projection: projection.name)
async def test_rebuilt_equals_live(world, rebuild, projection) -> None:
    await history(world)

    report = await rebuild(projection, swap=False)

    assert report.equal, report
    assert all(table.live_rows >= 7 for table in report.tables)


@pytest.mark.parametrize(
    ("projection", "damage"),
    [
        (jobs_projection, "UPDATE generation_jobs SET status = 'pending' WHERE id = 2"),
        (jobs_projection, "DELETE FROM generation_jobs WHERE id = 7"),
        (users_projection, "DELETE FROM known_users"),
        (users_projection, "UPDATE known_users SET is_active = true"),
    ],
)
async def test_damage_is_found_and_mended(world, rebuild, projection, damage) -> None:
    await history(world)
    async with world.api.runtime.database.transaction() as connection:
        await connection.execute(text(damage))

    found = await rebuild(projection, swap=False)
    mended = await rebuild(projection, swap=True)
    after = await rebuild(projection, swap=False)

    assert not found.equal
    assert mended.swapped
    assert after.equal
