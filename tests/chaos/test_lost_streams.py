"""All that NATS had is gone, in the middle of the work. Two commands later nothing is missing, and nothing twice."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from genonaut.analytics.service import service as analytics
from genonaut.comfyui_simulator.simulator import Simulator
from genonaut.content.service import service as content
from genonaut.contracts.streams import CONTENT, DURABLES, GENERATION, NOTIFICATIONS, REQUESTS, STREAMS, Stream
from genonaut.generation.driver import driver
from genonaut.generation.service import service as generation
from genonaut.notifications.service import service as notifications
from genonaut.platform.replay import Rebuild
from genonaut.platform.stream_reader import StreamReader
from genonaut.testkit.platforms import Platform, Running, eventually

LOGS = {"content": CONTENT, "generation": GENERATION, "notifications": NOTIFICATIONS}


class Town:
    """Every service of the platform in this process, and a driver that can come later."""

    def __init__(self, platform: Platform, services: dict[str, Running]) -> None:
        self.platform = platform
        self.services = services

    async def user(self, name: str) -> str:
        body = {"username": name, "email": f"{name}@example.org", "preferences": {"notifications_enabled": True}}
        answer = await self.services["content"].client.post("/api/v1/users", json=body)
        return str(answer.raise_for_status().json()["id"])

    async def submit(self, user: str, *, seed: int) -> int:
        body = {
            "user_id": user,
            "job_type": "image_generation",
            "prompt": "a lighthouse by the sea",
            "width": 64,
            "height": 64,
            "sampler_params": {"steps": 2, "seed": seed},
        }

        async def accepted() -> Any:  # 503 until generation has heard of the user
            answer = await self.services["generation"].client.post("/api/v1/generation-jobs", json=body)
            return answer.json() if answer.is_success else None

        return int((await eventually(accepted))["id"])

    async def rows(self, service: str, query: str) -> list[tuple[Any, ...]]:
        async with self.platform.database(service) as database, database.reading() as connection:
            return [tuple(row) for row in await connection.exec_driver_sql(query)]

    async def settle(self) -> None:
        async def settled() -> bool:
            outboxes = [await self.rows(service, "SELECT count(*) FROM outbox") for service in LOGS]
            followed = [await self.platform.bus.is_caught_up(each) for each in DURABLES if each.stream is not REQUESTS]
            return outboxes == [[(0,)]] * len(LOGS) and all(followed)

        for _ in range(2):  # what one consumer does may be another's work
            await eventually(settled, within=30, reason="the events of the bus are not all consumed")

    async def command(self, *words: str) -> tuple[int, str]:
        """Its exit code and what it printed."""
        environment = {
            **os.environ,
            "APP_ENV": "test",
            "NATS_URL": self.platform.nats_url,
            "OBJECT_STORE_URL": self.platform.objects_url,
            "API_SECRET_KEY": "a test's secret key, long enough to sign with",
            "DATABASE_URL": self.platform.database_url(words[0]),
            "DATABASE_ADMIN_URL": self.platform.admin_url(),
            "GENONAUT_STATE": "/nowhere",
            "COLUMNS": "200",
        }
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "genonaut.platform.cli", *words),
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, output.decode()


@pytest_asyncio.fixture
async def town(platform: Platform) -> AsyncIterator[Town]:
    async with AsyncExitStack() as opened:
        services = {
            service.name: await opened.enter_async_context(platform.running(service))
            for service in (content, analytics, notifications)
        }
        soon = {"sweep_seconds": 0.5, "orphan_seconds": 2}
        services["generation"] = await opened.enter_async_context(platform.running(generation, **soon))
        yield Town(platform, services)


@pytest.fixture
def driving(platform: Platform, tmp_path: Path) -> Callable[..., Any]:
    async def start(opened: AsyncExitStack) -> None:
        simulator = await opened.enter_async_context(Simulator(tmp_path / "gpu", step_seconds=0.002, previews=False))
        await opened.enter_async_context(platform.running(driver, comfyui_urls=simulator.url))

    return start


async def ids(platform: Platform, stream: Stream) -> list[str]:
    state = (await platform.bus.jetstream.stream_info(stream.name)).state
    reader = StreamReader(platform.bus, stream.name, headers_only=True)
    found = [
        (each.headers or {})["Nats-Msg-Id"] async for some in reader.batches(500, end=state.last_seq) for each in some
    ]
    await reader.close()
    return found


async def assert_equal_after_a_rebuild(town: Town) -> None:
    for service in (content, generation, analytics, notifications):
        async with town.platform.database(service.name, as_owner=True) as owner:
            for projection in service.projections:
                if projection.source and projection.source.stream is REQUESTS:
                    continue
                rebuild = Rebuild(projection, service=service.name, database=owner, bus=town.platform.bus)
                report = await rebuild.run(swap=False, progress=lambda *_: None)
                assert report.equal, (projection.name, report)


async def test_after_the_loss_of_every_stream_all_work_ends_once_and_all_tables_are_right(
    town: Town, driving: Callable[..., Any]
) -> None:
    jetstream = town.platform.bus.jetstream
    user = await town.user("ada")
    async with AsyncExitStack() as first:
        await driving(first)
        done = [await town.submit(user, seed=seed) for seed in range(3)]
        await eventually(lambda: ended(town, done), within=60)
        await town.settle()
    waiting = [await town.submit(user, seed=seed) for seed in range(10, 12)]  # in the work queue: nobody drives

    for stream in STREAMS:
        await jetstream.delete_stream(stream.name)
    late = await town.submit(user, seed=20)  # accepted all the same
    told = {name: await town.command(name, "restore-stream", "--dry-run") for name in LOGS}
    assert {code for code, _ in told.values()} == {1}, told
    for name in LOGS:
        code, output = await town.command(name, "restore-stream")
        assert code == 0, output
        assert "in the outbox" in output

    async with AsyncExitStack() as second:
        await driving(second)
        await eventually(lambda: ended(town, [*waiting, late]), within=60)
        await town.settle()
        for name, stream in LOGS.items():
            log = [str(each) for (each,) in await town.rows(name, "SELECT id FROM events ORDER BY position")]
            assert sorted(await ids(town.platform, stream)) == sorted(log), name
            code, output = await town.command(name, "restore-stream", "--dry-run")
            assert (code, "nothing to do" in output) == (0, True), output
    jobs = [*done, *waiting, late]
    items = await town.rows("content", "SELECT job_id, image_index FROM content_items_all ORDER BY job_id")
    assert items == [(job, 0) for job in sorted(jobs)]
    notes = await town.rows("notifications", "SELECT related_job_id FROM user_notifications ORDER BY related_job_id")
    assert notes == [(job,) for job in sorted(jobs)]
    assert await town.rows(
        "analytics", "SELECT sum(total_requests), sum(successful_generations) FROM generation_metrics_hourly"
    ) == [(6, 6)]
    await assert_equal_after_a_rebuild(town)


async def ended(town: Town, jobs: list[int]) -> bool:
    listed = ", ".join(map(str, jobs))
    rows = await town.rows("generation", f"SELECT status FROM generation_jobs WHERE id IN ({listed})")
    return rows == [("completed",)] * len(jobs)


async def test_a_service_without_a_stream_has_nothing_to_restore(town: Town) -> None:
    code, output = await town.command("analytics", "restore-stream")
    assert (code, output) == (0, "No stream holds events of analytics: there is nothing to restore.\n")
