"""One notification for each job that ended, for those who want them."""

from datetime import timedelta
from uuid import uuid4

from sqlalchemy import text

from genonaut.contracts.generation import JobFailed
from genonaut.contracts.streams import NOTIFICATIONS_JOBS, NOTIFICATIONS_RECIPIENTS, stream_of
from genonaut.notifications.feed.consumers import USERS_MAY_BE_LATE_BY
from genonaut.notifications.service import service
from genonaut.platform.bus import Message
from genonaut.platform.clock import utc_now
from genonaut.testkit.waiting import eventually


async def notifications(running):
    async with running.runtime.database.reading() as connection:
        return list(await connection.execute(text("SELECT * FROM user_notifications ORDER BY id")))


async def test_each_end_of_a_job_is_told(world, running) -> None:
    user_id = await world.register()
    await world.all_heard()
    for end in (world.publish_job, world.fail_job, world.cancel_job):
        await end(user_id)
        await world.all_heard()

    rows = await notifications(running)

    assert [(row.notification_type, row.related_job_id, row.related_content_id) for row in rows] == [
        ("job_completed", 1, 101),
        ("job_failed", 2, None),
        ("job_cancelled", 3, None),
    ]
    assert {(row.user_id, row.read_status, row.read_at) for row in rows} == {(user_id, False, None)}
    assert {row.created_at for row in rows} == {world.clock.now}


async def test_those_who_did_not_enable_them_are_left_alone(world, running) -> None:
    for enabled in (None, False):
        await world.publish_job(await world.register(enabled=enabled))
    await world.all_heard()

    assert await notifications(running) == []


async def test_a_job_of_somebody_not_known_yet_waits_for_them(world, running) -> None:
    user_id = uuid4()
    await world.publish_job(user_id)
    await eventually(lambda: world.is_tried_again(NOTIFICATIONS_JOBS))
    await world.register(user_id)
    await world.all_heard()

    assert [row.user_id for row in await notifications(running)] == [user_id]


async def test_who_has_just_asked_for_notifications_gets_the_next_one(world, running) -> None:
    """Though the news of it comes on a stream of its own, which is behind."""
    user_id = await world.register(enabled=False)
    await world.all_heard()
    jetstream = world.platform.bus.jetstream
    soon = (utc_now() + timedelta(minutes=1)).isoformat()
    await jetstream.pause_consumer("CONTENT", NOTIFICATIONS_RECIPIENTS.name, soon)
    await world.prefer(user_id, 2, notifications_enabled=True)
    await world.publish_job(user_id)

    async def in_hand() -> bool:
        return (await jetstream.consumer_info("GENERATION", NOTIFICATIONS_JOBS.name)).num_ack_pending == 1

    await eventually(in_hand)
    assert await notifications(running) == []
    await jetstream.resume_consumer("CONTENT", NOTIFICATIONS_RECIPIENTS.name)
    await world.all_heard()

    assert [row.user_id for row in await notifications(running)] == [user_id]


async def test_an_event_delivered_again_is_told_once(world, running) -> None:
    user_id = await world.register()
    published = await world.publish_job(user_id)
    for repeat in range(3):
        await world.say(published, message_id=f"repeat-{repeat}")
    await world.all_heard()

    assert len(await notifications(running)) == 1


async def test_a_job_with_two_ends_is_told_once(world, running) -> None:
    """It should never be; if it is, one of them wins."""
    user_id = await world.register()
    await world.all_heard()
    published = await world.publish_job(user_id)
    await world.all_heard()
    failed = JobFailed(
        job_id=published.event.job_id,
        user_id=user_id,
        attempt=2,
        error_type="worker_lost",
        error_message="lost",
        generation_ms=1,
        checkpoint_model="model",
    )
    await world.say(world.recorded(failed, failed.job_id, 5))
    await world.all_heard()

    assert [row.notification_type for row in await notifications(running)] == ["job_completed"]


async def test_what_is_told_is_an_event_that_names_its_cause(world, running) -> None:
    user_id = await world.register()
    published = await world.publish_job(user_id)
    await world.all_heard()

    async with running.runtime.database.reading() as connection:
        row = (await connection.execute(text("SELECT * FROM events"))).one()
    assert (row.stream, row.type) == ("notification-job1", "notifications.notification.created")
    assert (row.causation_id, row.correlation_id) == (published.envelope.id, "request-1")


async def test_a_job_that_nobody_ever_owns_is_parked_and_the_next_one_is_told(world, running, monkeypatch) -> None:
    monkeypatch.setattr("genonaut.platform.consumer_loop.TRIES", 1)
    await world.publish_job(uuid4())
    await eventually(lambda: world.is_tried_again(NOTIFICATIONS_JOBS))
    world.clock.now += USERS_MAY_BE_LATE_BY + timedelta(seconds=1)
    user_id = await world.register()
    await world.publish_job(user_id)
    await world.all_heard()

    async with running.runtime.database.reading() as connection:
        letters = list(await connection.execute(text("SELECT consumer, error FROM dead_letters")))
    assert [row.user_id for row in await notifications(running)] == [user_id]
    assert [letter.consumer for letter in letters] == ["notifications-jobs"]
    assert "is not known" in letters[0].error


async def test_nonsense_on_the_bus_is_parked_and_the_rest_is_told(world, running) -> None:
    user_id = await world.register()
    await world.all_heard()
    stream = stream_of("generation.job.failed")
    await world.platform.bus.publish(stream.name, [Message("generation.job.failed.9", b"\xff{", "nonsense")])
    await world.fail_job(user_id)
    await world.all_heard()

    async with running.runtime.database.reading() as connection:
        parked = await connection.scalar(text("SELECT count(*) FROM dead_letters"))
    assert len(await notifications(running)) == parked == 1


async def test_it_goes_on_after_a_restart_and_tells_nothing_twice(world) -> None:
    user_id = await world.register()
    await world.publish_job(user_id)
    async with world.platform.running(service) as first:
        await world.all_heard()
        assert len(await notifications(first)) == 1
    await world.fail_job(user_id)
    async with world.platform.running(service) as second:
        await world.all_heard()
        assert [row.notification_type for row in await notifications(second)] == ["job_completed", "job_failed"]
