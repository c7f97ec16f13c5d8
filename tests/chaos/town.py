"""Every service of the platform in the process of the test, on real servers: quick to start, and one by one to end."""

import asyncio
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import httpx

from genonaut.analytics.service import service as analytics
from genonaut.content.service import service as content
from genonaut.contracts.streams import CONTENT, DURABLES, GENERATION, NOTIFICATIONS, REQUESTS, Stream
from genonaut.generation.driver import driver
from genonaut.generation.service import service as generation
from genonaut.notifications.service import service as notifications
from genonaut.platform.replay import Rebuild
from genonaut.platform.service import Service
from genonaut.platform.stream_reader import StreamReader
from genonaut.testkit.platforms import Platform, Running
from genonaut.testkit.waiting import eventually

LOGS = {"content": CONTENT, "generation": GENERATION, "notifications": NOTIFICATIONS}
"""Who states events, and the stream that holds them."""
SERVICES: dict[str, Service[Any]] = {
    service.process_name: service for service in (content, generation, driver, analytics, notifications)
}
SECRET = "a test's secret key, long enough to sign with"


@dataclass
class Town:
    """Start what a test wants with `start`; `end` ends it."""

    platform: Platform
    comfyui_url: str
    running: dict[str, Running] = field(default_factory=dict)
    clients: dict[str, httpx.AsyncClient] = field(default_factory=dict)
    """How to reach a service that runs as a process of its own meanwhile."""
    seeds: Iterator[int] = field(default_factory=count)
    _opened: dict[str, AsyncExitStack] = field(default_factory=dict)

    async def start(self, *names: str) -> None:
        for name in names:
            opened = self._opened[name] = AsyncExitStack()
            started = self.platform.running(SERVICES[name], **self._settings(name))
            self.running[name] = await opened.enter_async_context(started)

    async def end(self, *names: str) -> None:
        for name in names or list(self._opened):
            del self.running[name]
            await self._opened.pop(name).aclose()

    def _settings(self, name: str) -> dict[str, Any]:
        soon: dict[str, Any] = {"sweep_seconds": 0.5, "orphan_seconds": 2}
        quick: dict[str, Any] = {"comfyui_urls": self.comfyui_url, "lease_seconds": 1, "retry_seconds": 0.05}
        return {"generation": soon, "driver": quick}.get(name, {})

    def environment(self, name: str) -> dict[str, str]:
        """What a process of this name, or a command for a service, has to see."""
        service = SERVICES[name]
        return {
            "PATH": os.environ["PATH"],
            "APP_ENV": "test",
            "NATS_URL": self.platform.nats_server.url(user=name),
            "OBJECT_STORE_URL": self.platform.objects_url,
            "API_SECRET_KEY": SECRET,
            "API_HOST": "127.0.0.1",
            "DATABASE_URL": self.platform.database_url(service.name),
            "DATABASE_ADMIN_URL": self.platform.admin_url(),
            "GENONAUT_STATE": "/nowhere",
            "COLUMNS": "200",
            **{key.upper(): str(value) for key, value in self._settings(name).items()},
        }

    # People and jobs

    async def user(self, name: str) -> str:
        body = {"username": name, "email": f"{name}@example.org", "preferences": {"notifications_enabled": True}}
        answer = await self.client("content").post("/api/v1/users", json=body)
        return str(answer.raise_for_status().json()["id"])

    async def submit(self, user: str) -> int:
        body = {
            "user_id": user,
            "job_type": "image_generation",
            "prompt": "a lighthouse by the sea",
            "width": 64,
            "height": 64,
            "sampler_params": {"steps": 2, "seed": next(self.seeds)},  # ComfyUI answers a repeated one from its cache
        }

        async def accepted() -> Any:  # 503 until generation has heard of the user
            answer = await self.client("generation").post("/api/v1/generation-jobs", json=body)
            return answer.json() if answer.is_success else None

        return int((await eventually(accepted))["id"])

    def client(self, name: str) -> httpx.AsyncClient:
        return self.clients.get(name) or self.running[name].client

    # Behind the scenes

    async def rows(self, service: str, query: str) -> list[tuple[Any, ...]]:
        async with self.platform.database(service) as database, database.reading() as connection:
            return [tuple(row) for row in await connection.exec_driver_sql(query)]

    async def settle(self) -> None:
        """Returns when every event has left its outbox and been handled by all who follow it."""
        waits_for: list[str] = []

        async def settled() -> bool:
            outboxes = [name for name in LOGS if await self.rows(name, "SELECT 1 FROM outbox LIMIT 1")]
            followed = [durable for durable in DURABLES if durable.stream is not REQUESTS]
            behind = [each.name for each in followed if not await self.platform.bus.is_caught_up(each)]
            waits_for[:] = [*(f"the outbox of {name}" for name in outboxes), *behind]
            return not waits_for

        for _ in range(2):  # what one consumer does may be another's work
            await eventually(settled, within=30, reason=lambda: f"not done: {', '.join(waits_for)}")

    async def jobs_have_ended(self) -> bool:
        return (
            await self.rows("generation", "SELECT id FROM generation_jobs WHERE status IN ('pending', 'running')") == []
        )

    async def ids(self, stream: Stream) -> list[str]:
        """Of the events in the stream, in its order."""
        state = (await self.platform.bus.jetstream.stream_info(stream.name)).state
        reader = StreamReader(self.platform.bus, stream.name, headers_only=True)
        batches = reader.batches(500, end=state.last_seq)
        found = [(message.headers or {})["Nats-Msg-Id"] async for messages in batches for message in messages]
        await reader.close()
        return found

    async def command(self, service: str, *words: str, **env: str) -> tuple[int, str]:
        """Runs `genonaut <service> <words>` as the bus's admin. Its exit code and what it printed."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "genonaut.platform.cli", service, *words),
            env={**self.environment(service), "NATS_URL": self.platform.nats_url, **env},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, output.decode()

    # What must be so when all is settled

    async def assert_every_job_happened_once(self, jobs: Sequence[int]) -> None:
        """These and no others: completed, one item, one notification, one count, and nothing parked."""
        last = "type ~ '(completed|failed|cancelled|published)$'"
        ends = await self.rows("generation", f"SELECT stream, type FROM events WHERE {last} ORDER BY stream, position")
        kinds = ("generation.job.completed", "generation.job.published")
        assert ends == [(f"job-{job}", kind) for job in sorted(jobs, key=str) for kind in kinds]
        items = "SELECT job_id, image_index FROM content_items_all WHERE job_id IS NOT NULL ORDER BY job_id"
        assert await self.rows("content", items) == [(job, 0) for job in sorted(jobs)]
        told = "SELECT related_job_id FROM user_notifications ORDER BY related_job_id"
        assert await self.rows("notifications", told) == [(job,) for job in sorted(jobs)]
        counted = "SELECT sum(total_requests), sum(successful_generations) FROM generation_metrics_hourly"
        assert await self.rows("analytics", counted) == [(len(jobs), len(jobs))]
        for service in (*LOGS, "analytics"):
            assert await self.rows(service, "SELECT subject, error FROM dead_letters") == [], service

    async def assert_every_event_is_in_its_stream_once(self) -> None:
        for service, stream in LOGS.items():
            log = [str(each) for (each,) in await self.rows(service, "SELECT id FROM events")]
            assert sorted(await self.ids(stream)) == sorted(log), service

    async def assert_rebuilt_tables_equal_live_ones(self) -> None:
        for service in {service.name: service for service in SERVICES.values() if not service.process}.values():
            async with self.platform.database(service.name, as_owner=True) as owner:
                for projection in service.projections:
                    if projection.source and projection.source.stream is REQUESTS:
                        continue  # no log has them, so a stream that was lost begins anew
                    rebuild = Rebuild(projection, service=service.name, database=owner, bus=self.platform.bus)
                    report = await rebuild.run(swap=False, progress=lambda *_: None)
                    assert report.equal, (projection.name, report)
