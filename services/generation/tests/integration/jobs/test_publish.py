"""Back from the gallery: a job is published when every one of its images has an item."""

import asyncio
from itertools import permutations

import pytest

from genonaut.contracts.streams import GENERATION_ITEMS
from genonaut.generation.service import service

pytestmark = pytest.mark.usefixtures("running")


async def test_items_may_come_in_any_order_and_more_than_once(world) -> None:
    jobs = {order: await world.completed(images=3) for order in permutations(range(3))}
    for order, job_id in jobs.items():
        for index in [*order, *order]:
            await world.item(job_id, 10 * job_id + index, index=index, count=3)
    await world.platform.settled(GENERATION_ITEMS)

    for job_id in jobs.values():
        job = await world.job(job_id)
        assert job["content_ids"] == [10 * job_id + index for index in range(3)]
        assert job["content_id"] == 10 * job_id
        assert (await world.story(job_id)).count("JobPublished") == 1


async def test_a_job_is_not_published_before_the_last_item(world) -> None:
    job_id = await world.completed(images=2)
    await world.item(job_id, 7, index=0, count=2)
    await world.item(None, 8)
    await world.item(12345, 9)
    await world.platform.settled(GENERATION_ITEMS)

    assert "JobPublished" not in await world.story(job_id)
    await world.item(job_id, 10, index=1, count=2)
    assert (await world.published(job_id))["content_ids"] == [7, 10]
    assert await world.rows("SELECT * FROM item_arrivals") == []


async def test_two_processes_that_take_the_last_two_items_at_once_publish_once(world) -> None:
    runtime = world.api.runtime
    (reaction,) = [each for each in service.consumers if each.durable is GENERATION_ITEMS]
    effect = reaction.effect(runtime.database, runtime.store)
    for _ in range(10):
        job_id = await world.completed(images=2)
        items = [world.recorded_item(job_id, index, index=index, count=2) for index in (0, 1)]
        await asyncio.gather(*(effect([item]) for item in items))
        assert (await world.job(job_id))["content_ids"] == [0, 1]
