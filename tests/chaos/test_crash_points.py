"""A process that dies at any named point and is started again has lost nothing and done nothing twice."""

import io
import multiprocessing
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from itertools import count
from multiprocessing.process import BaseProcess
from typing import Any

import httpx
import pytest
import pytest_asyncio
from PIL import Image

from chaos.crash_points import CRASHED, CrashPoint, run
from chaos.town import SERVICES, Town
from genonaut.comfyui_simulator.simulator import Simulator
from genonaut.contracts.streams import DURABLES
from genonaut.platform.provisioning import ensure_durable
from genonaut.stack.ports import free_port
from genonaut.stack.servers import Nats, Postgres
from genonaut.testkit.platforms import own_database, provisioned
from genonaut.testkit.waiting import eventually

ENTRY_POINTS = {name: (f"genonaut.{service.name}", "serve") for name, service in SERVICES.items()}
ENTRY_POINTS["driver"] = ("genonaut.generation", "drive")

USER = "content.user.registered"
IMAGE = "content.image.uploaded"
ITEM = "content.item.created"
REQUESTED = "generation.job.requested"
WORK = "generation.work.image"
STARTED = "generation.job.started"
COMPLETED = "generation.job.completed"
PUBLISHED = "generation.job.published"
NOTIFIED = "notifications.notification.created"

HAPPENS = {
    "content": {"commit": (USER, IMAGE, COMPLETED), "publish": (USER, ITEM), "ack": (COMPLETED,), "store": ("",)},
    "generation": {
        "commit": (REQUESTED, USER, PUBLISHED),
        "publish": (REQUESTED, WORK, PUBLISHED),
        "ack": (USER, ITEM),
    },
    "driver": {"commit": (STARTED, COMPLETED), "ack": (WORK,), "store": ("",)},
    "analytics": {"commit": (COMPLETED,), "ack": (COMPLETED,)},
    "notifications": {"commit": (USER, PUBLISHED), "publish": (NOTIFIED,), "ack": (USER, PUBLISHED)},
}
"""What each process commits, publishes, acknowledges and stores while a user registers, uploads and has a job run."""

POINTS = [
    (process, CrashPoint(seam, when, what))
    for process, seams in HAPPENS.items()
    for seam, types in seams.items()
    for what in types
    for when in (("before", "renamed", "after") if seam == "store" else ("before", "after"))
]

names = count()


@pytest_asyncio.fixture(scope="module")
async def town(
    postgres: Postgres, migrated_template: str, nats_server: Nats, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Town]:
    """All services. What a dead one had in hand comes back soon. Each test has a user and a job of its own."""
    folder = tmp_path_factory.mktemp("crash-points")
    with own_database(postgres, migrated_template) as url:
        async with (
            provisioned(url, nats_server, folder) as platform,
            Simulator(folder / "gpu", step_seconds=0.002, previews=False) as simulator,
        ):
            for durable in DURABLES:
                await ensure_durable(platform.bus.jetstream, replace(durable, ack_wait=timedelta(seconds=0.5)))
            town = Town(platform, simulator.url)
            await town.start(*SERVICES)
            yield town
            await town.end()


@pytest.fixture(scope="module")
def forkserver() -> Iterator[Any]:
    """Where processes come from that have everything imported already."""
    context = multiprocessing.get_context("forkserver")
    # Installed ones only: the server that forks does not know the path of the tests.
    wiring = [f"{module}.{'driver' if verb == 'drive' else 'service'}" for module, verb in ENTRY_POINTS.values()]
    context.set_forkserver_preload([*wiring, "genonaut.platform.service_cli"])
    return context


@asynccontextmanager
async def crashing(town: Town, forkserver: Any, name: str, point: CrashPoint) -> AsyncIterator[BaseProcess]:
    """Inside, the service is a process of its own that is to crash at the point; afterwards it runs as before."""
    await town.end(name)
    module, verb = ENTRY_POINTS[name]
    port = free_port()
    environment = {**town.environment(name), "API_PORT": str(port)}
    process = forkserver.Process(target=run, args=(point, module, [verb], environment))
    process.start()
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
            town.clients[name] = client
            await eventually(lambda: answers(client, process), reason=f"{name} does not start")
            yield process
    finally:
        process.kill()
        process.join()
        town.clients.pop(name, None)
        await town.start(name)


async def answers(client: httpx.AsyncClient, process: BaseProcess) -> bool:
    if process.exitcode is not None:
        return True  # it came to its point at once
    with suppress(httpx.TransportError):
        return (await client.get("/ready")).is_success
    return False


class Session:
    """What a person does, and does again when a service died over it, unless it turns out to have happened."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self.name = f"user{next(names)}"
        self.user = ""
        self.job = 0

    async def run(self) -> None:
        """As far as it was not done before. Raises httpx.TransportError when a service dies meanwhile."""
        self.user = self.user or await self._registered() or await self.town.user(self.name)
        await self._upload()
        self.job = self.job or await self._requested() or await self.town.submit(self.user)

    async def _registered(self) -> str:
        rows = await self.town.rows("content", f"SELECT id FROM users WHERE username = '{self.name}'")
        return str(rows[0][0]) if rows else ""

    async def _requested(self) -> int:
        rows = await self.town.rows("generation", f"SELECT id FROM generation_jobs WHERE user_id = '{self.user}'")
        return int(rows[0][0]) if rows else 0

    async def _upload(self) -> None:
        """The same bytes every time."""
        file = io.BytesIO()
        Image.new("RGB", (8, 8), (int(self.name[4:]), 0, 0)).save(file, "PNG")
        answer = await self.town.client("content").post(
            f"/api/v1/images?user_id={self.user}", content=file.getvalue(), headers={"Content-Type": "image/png"}
        )
        answer.raise_for_status()


sessions: list[Session] = []


@pytest.mark.parametrize(("name", "point"), POINTS, ids=str)
async def test_a_process_that_dies_at(town: Town, forkserver: Any, name: str, point: CrashPoint) -> None:
    session = Session(town)
    sessions.append(session)
    async with crashing(town, forkserver, name, point) as process:
        with suppress(httpx.TransportError):  # of the one who dies over it
            await session.run()
        await eventually(lambda: process.exitcode is not None, reason=f"{name} never came to {point}")
        assert process.exitcode == CRASHED
    await session.run()

    await eventually(town.jobs_have_ended, within=30)
    await town.settle()
    await town.assert_every_job_happened_once([each.job for each in sessions])
    assert len(await town.rows("content", "SELECT id FROM users")) == len(sessions)
    assert len(await town.rows("content", "SELECT sha256 FROM images")) == 2 * len(sessions)


async def test_after_all_of_them_every_event_is_in_its_stream_once_and_the_tables_are_right(town: Town) -> None:
    await town.settle()
    await town.assert_every_event_is_in_its_stream_once()
    await town.assert_rebuilt_tables_equal_live_ones()
