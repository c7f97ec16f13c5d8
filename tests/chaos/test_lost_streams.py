"""All that NATS had is gone, in the middle of the work. Two commands later nothing is missing, and nothing twice."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from chaos.town import LOGS, Town
from genonaut.comfyui_simulator.simulator import Simulator
from genonaut.contracts.gateway import RequestServed
from genonaut.contracts.streams import STREAMS
from genonaut.platform.bus import Message
from genonaut.testkit.envelopes import enveloped
from genonaut.testkit.platforms import Platform
from genonaut.testkit.waiting import eventually


@pytest_asyncio.fixture
async def town(platform: Platform, tmp_path: Path) -> AsyncIterator[Town]:
    async with Simulator(tmp_path / "gpu", step_seconds=0.002, previews=False) as simulator:
        town = Town(platform, simulator.url)
        await town.start("content", "generation", "analytics", "notifications")
        yield town
        await town.end()


async def a_request_is_measured(town: Town) -> None:
    """What the gateway says of each request. No log has it."""
    served = RequestServed(method="GET", route="/api/v1/tags", status_code=200, duration_us=1000)
    envelope = enveloped(served)
    await town.platform.bus.publish("REQUESTS", [Message(served.type, envelope.to_json(), str(envelope.id))])


async def measured(town: Town, requests: int) -> bool:
    return await town.rows("analytics", "SELECT count(*) FROM route_analytics") == [(requests,)]


async def test_after_the_loss_of_every_stream_all_work_ends_once_and_all_tables_are_right(town: Town) -> None:
    user = await town.user("ada")
    await a_request_is_measured(town)
    await eventually(lambda: measured(town, 1))
    await town.start("driver")
    jobs = [await town.submit(user) for _ in range(3)]
    await eventually(town.jobs_have_ended, within=60)
    await town.settle()
    await town.end("driver")
    jobs += [await town.submit(user) for _ in range(2)]  # in the work queue, and nobody drives

    for stream in STREAMS:
        await town.platform.bus.jetstream.delete_stream(stream.name)
    jobs.append(await town.submit(user))  # accepted all the same
    told = {name: await town.command(name, "restore-stream", "--dry-run") for name in LOGS}
    assert {code for code, _ in told.values()} == {1}, told
    for name in LOGS:
        code, output = await town.command(name, "restore-stream")
        assert (code, "in the outbox" in output) == (0, True), output

    await town.start("driver")
    await eventually(town.jobs_have_ended, within=60)
    await town.settle()
    await a_request_is_measured(town)
    await eventually(lambda: measured(town, 2), reason="measurements are not counted any more")
    await town.assert_every_job_happened_once(jobs)
    await town.assert_every_event_is_in_its_stream_once()
    await town.assert_rebuilt_tables_equal_live_ones()
    code, output = await town.command("generation", "restore-stream", "--dry-run")
    assert (code, "nothing to do" in output) == (0, True), output


async def test_a_service_without_a_stream_has_nothing_to_restore(town: Town) -> None:
    code, output = await town.command("analytics", "restore-stream")
    assert (code, output) == (0, "No stream holds events of analytics: there is nothing to restore.\n")


async def test_without_the_right_to_it_one_is_told_so(town: Town) -> None:
    service = {"NATS_URL": town.environment("content")["NATS_URL"]}
    code, output = await town.command("content", "restore-stream", **service)
    assert (code, "NATS_URL to name the user admin" in output) == (2, True), output
    assert "Traceback" not in output
