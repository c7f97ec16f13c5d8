"""No job is forgotten: one whose message is gone gets a new one, or fails when the message was parked."""

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
import pytest_asyncio
from sqlalchemy import text
from structlog.testing import capture_logs

from genonaut.contracts import Envelope
from genonaut.contracts.streams import GENERATION
from genonaut.generation.jobs import orphans
from genonaut.generation.service import service
from genonaut.platform.bus import Message
from genonaut.platform.provisioning import provision_bus
from genonaut.platform.restore import restore
from genonaut.testkit.platforms import FakeClock
from genonaut.testkit.waiting import eventually

TWO_MINUTES = timedelta(minutes=2)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest_asyncio.fixture
async def look(world, clock):
    """One look for orphans, two minutes from now."""
    async with world.platform.running(service, clock=clock) as running:
        world.running = running

        async def look() -> None:
            clock.now += TWO_MINUTES
            await orphans.rescue_orphans(running.runtime)

        yield look


async def waiting(world) -> list[str]:
    info = await world.platform.bus.jetstream.stream_info("GENERATION_WORK", subjects_filter=">")
    return sorted(info.state.subjects or ())


async def queued(world) -> dict:
    job = await world.ask()
    subject = f"generation.work.image.{job['id']}"
    await eventually(lambda: _waits(world, subject))
    return job


async def _waits(world, subject: str) -> bool:
    return subject in await waiting(world)


async def lose_messages(world) -> None:
    await world.platform.bus.jetstream.delete_stream("GENERATION_WORK")
    await provision_bus(world.platform.nats_url)


async def test_a_lost_message_is_sent_again_and_only_once(world, look) -> None:
    job, ended = await queued(world), await queued(world)
    await world.cancel(ended["id"])
    await lose_messages(world)
    await world.platform.bus.publish("GENERATION_WORK", [Message("generation.work.image.what", b"?", "poison")])

    await look()
    await look()

    subject = f"generation.work.image.{job['id']}"
    assert await waiting(world) == [subject, "generation.work.image.what"]
    assert (await world.platform.bus.jetstream.stream_info("GENERATION_WORK")).state.messages == 2
    message = await world.platform.bus.jetstream.get_msg("GENERATION_WORK", subject=subject)
    assert str(Envelope.from_json(message.data).id) == job["dispatch_id"]


async def test_two_processes_that_look_at_once_send_one_message(world, look) -> None:
    job = await queued(world)
    await lose_messages(world)

    await orphans.dispatch(world.api.runtime, job["id"])
    await orphans.dispatch(world.api.runtime, job["id"])

    assert (await world.platform.bus.jetstream.stream_info("GENERATION_WORK")).state.messages == 1


async def test_a_job_that_moved_a_moment_ago_is_not_minded(world, look) -> None:
    await queued(world)
    await lose_messages(world)

    await orphans.rescue_orphans(world.api.runtime)

    assert await waiting(world) == []


async def test_a_queue_that_is_too_long_to_be_listed_is_left_alone_and_told(world, look, monkeypatch) -> None:
    await queued(world)
    await lose_messages(world)
    await queued(world)
    before = await waiting(world)
    monkeypatch.setattr(orphans, "MOST_LISTED", 1)

    with capture_logs() as lines:
        await look()

    assert "jobs.sweep_skipped" in [line["event"] for line in lines]
    assert await waiting(world) == before


async def test_a_job_that_a_driver_holds_is_not_minded(world, look) -> None:
    job_id = await world.started()
    await eventually(lambda: _waits(world, f"generation.work.image.{job_id}"))
    await lose_messages(world)
    await world.execute(
        "INSERT INTO job_leases VALUES (:job_id, :holder, 1, clock_timestamp() + interval '9 s')",
        job_id=job_id,
        holder=uuid4(),
    )

    await look()
    assert await waiting(world) == []

    await world.execute("UPDATE job_leases SET expires_at = clock_timestamp()")
    await look()
    assert await waiting(world) == [f"generation.work.image.{job_id}"]


async def test_a_job_that_has_not_been_published_yet_is_not_minded(world, clock) -> None:
    async with world.platform.running(replace(service, relays=False), clock=clock) as running:
        world.running = running
        await world.ask()
        clock.now += TWO_MINUTES
        await orphans.rescue_orphans(running.runtime)

    assert await waiting(world) == []


async def test_a_job_whose_message_was_parked_fails(world, look) -> None:
    parked, other = await queued(world), await queued(world)
    await lose_messages(world)
    await world.execute(
        """
        INSERT INTO dead_letters (consumer, stream_sequence, stored_at, subject, headers, payload, error, deliveries)
        VALUES ('generation-drivers', 1, now(), :subject, '{}', '', 'test', 1)
        """,
        subject=f"generation.work.image.{parked['id']}",
    )

    await look()

    job = await world.job(parked["id"])
    assert (job["status"], job["error_type"]) == ("failed", "undeliverable")
    assert await waiting(world) == [f"generation.work.image.{other['id']}"]


async def test_a_restored_fact_brings_no_work(world, look, clock) -> None:
    """Else a restore would queue up every job that ever ended before those that wait."""
    job = await queued(world)
    await lose_messages(world)
    await world.platform.bus.jetstream.delete_stream("GENERATION")
    await provision_bus(world.platform.nats_url)
    async with world.platform.database("generation", as_owner=True) as owner:
        found = await restore(
            GENERATION,
            service="generation",
            database=owner,
            bus=world.platform.bus,
            now=clock(),
            dry_run=False,
            progress=lambda *_: None,
        )
    assert found.lost == 1

    async def facts() -> list[str]:
        info = await world.platform.bus.jetstream.stream_info("GENERATION", subjects_filter=">")
        return sorted(info.state.subjects or ())

    assert await eventually(facts) == [f"generation.job.requested.{job['id']}"]
    await eventually(lambda: _outbox_is_empty(world))
    assert await waiting(world) == []

    await look()
    assert await waiting(world) == [f"generation.work.image.{job['id']}"]


async def _outbox_is_empty(world) -> bool:
    async with world.platform.database("generation") as database, database.reading() as connection:
        return await connection.scalar(text("SELECT count(*) FROM outbox")) == 0
