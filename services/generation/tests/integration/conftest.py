"""The generation service with real servers, and what the content service would say, put on the real bus."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from sqlalchemy import text

from genonaut.contracts import Event
from genonaut.contracts.content import ItemCreated, UserActivated, UserDeactivated, UserRegistered
from genonaut.contracts.images import StoredImage
from genonaut.contracts.streams import GENERATION_USERS, stream_of
from genonaut.generation.jobs.domain import JOB, AbandonJob, Command, CompleteAttempt, GiveUpAttempt, StartAttempt
from genonaut.generation.service import service
from genonaut.platform.bus import Message
from genonaut.platform.projections import Recorded
from genonaut.testkit.envelopes import enveloped
from genonaut.testkit.platforms import Platform, Running
from genonaut.testkit.waiting import eventually

JOBS = "/api/v1/generation-jobs"


def recorded(event: Event, subject: object, sequence: int = 1) -> Recorded:
    return Recorded(event, enveloped(event, subject, sequence=sequence))


def item_created(job_id: int | None, item_id: int, *, index: int, count: int) -> ItemCreated:
    return ItemCreated(
        item_id=item_id,
        title="A lighthouse",
        content_type="image",
        prompt="a lighthouse",
        creator_id=uuid4(),
        job_id=job_id,
        image_index=index,
        image_count=count,
    )


@dataclass
class World:
    """What there is around the service. `running` is set by the fixture of that name."""

    platform: Platform
    running: Running | None = None

    @property
    def api(self) -> Running:
        assert self.running, "the test needs the fixture `running`"
        return self.running

    async def say(self, event: Event, subject: object, sequence: int = 1) -> None:
        """State an event of another service on the bus."""
        envelope = recorded(event, subject, sequence).envelope
        stream = stream_of(envelope.type)
        address = stream.subject(envelope.type, envelope.subject)
        await self.platform.bus.publish(stream.name, [Message(address, envelope.to_json(), str(envelope.id))])

    async def register(self, user_id: UUID | None = None) -> UUID:
        """A user, of whom the service knows."""
        user_id = user_id or uuid4()
        await self.say(UserRegistered(number=1, user_id=user_id, username="ada", email="ada@example.org"), user_id)
        known = "SELECT 1 FROM known_users WHERE user_id = :user_id"
        await eventually(lambda: self.rows(known, user_id=user_id), reason="the user did not become known")
        return user_id

    async def deactivate(self, user_id: UUID, sequence: int = 2) -> None:
        """As the `sequence`-th thing that is said of the user, and heard of."""
        await self.say(UserDeactivated(user_id=user_id), user_id, sequence)
        await self.platform.settled(GENERATION_USERS)

    async def activate(self, user_id: UUID, sequence: int = 3) -> None:
        """The same, not yet heard of."""
        await self.say(UserActivated(user_id=user_id), user_id, sequence)

    async def item(self, job_id: int | None, item_id: int, *, index: int = 0, count: int = 1) -> None:
        await self.say(item_created(job_id, item_id, index=index, count=count), item_id)

    def recorded_item(self, job_id: int, item_id: int, *, index: int, count: int) -> Recorded:
        """What a consumer is given of it."""
        return recorded(item_created(job_id, item_id, index=index, count=count), item_id)

    async def ask(self, **wish: Any) -> dict[str, Any]:
        """A new job, of a new user unless one is named; small and quick unless told otherwise."""
        user_id = wish.pop("user_id", None) or await self.register()
        body = {"prompt": "a lighthouse at dusk", "width": 64, "height": 64, "sampler_params": {"steps": 2}} | wish
        response = await self.api.client.post(JOBS, json={"user_id": str(user_id), **body})
        assert response.status_code == 201, response.text
        return response.json()

    async def job(self, job_id: int) -> dict[str, Any]:
        response = await self.api.client.get(f"{JOBS}/{job_id}")
        assert response.status_code == 200, response.text
        return response.json()

    async def cancel(self, job_id: int, **body: Any) -> dict[str, Any]:
        response = await self.api.client.post(f"{JOBS}/{job_id}/cancel", json=body)
        assert response.status_code == 200, response.text
        return response.json()

    async def started(self) -> int:
        """A job that a driver has begun, which is then no more."""
        job_id = int((await self.ask())["id"])
        await self.command(job_id, StartAttempt("gpu-1", uuid4(), 5))
        return job_id

    async def requeued(self) -> int:
        job_id = await self.started()
        await self.command(job_id, GiveUpAttempt(1, "worker_lost", "gone", 5, max_attempts=3))
        return job_id

    async def completed(self, *, images: int) -> int:
        job_id = await self.started()
        stored = [
            StoredImage(sha256=f"{index:064x}", media_type="image/png", width=64, height=64, size_bytes=9)
            for index in range(images)
        ]
        await self.command(job_id, CompleteAttempt(1, stored, 100))
        return job_id

    async def published(self, job_id: int) -> dict[str, Any]:
        """The job, once it is in the gallery."""

        async def published() -> dict[str, Any] | None:
            job = await self.job(job_id)
            return job if job["content_id"] is not None else None

        return await eventually(published, reason=f"job {job_id} was not published")

    async def command(self, job_id: int, command: Command) -> None:
        await self.api.runtime.store.execute(JOB, job_id, command)

    async def abandon(self, job_id: int) -> None:
        """Fail the job over the head of whoever runs it."""
        await self.command(job_id, AbandonJob("undeliverable", "test"))

    async def until(self, job_id: int, status: str, *, within: float = 15) -> dict[str, Any]:
        """The job, once it has this status. Fails at once when it ends another way."""

        async def there() -> dict[str, Any] | None:
            job = await self.job(job_id)
            ended = job["status"] in ("completed", "failed", "cancelled")
            assert job["status"] == status or not ended, f"{job['status']}: {job['error_message']}"
            return job if job["status"] == status else None

        return await eventually(there, within=within, reason=f"job {job_id} did not become {status}")

    async def log(self, job_id: int) -> list[Recorded]:
        runtime = self.api.runtime
        async with runtime.database.reading() as connection:
            return await runtime.store.load(connection, JOB.name, str(job_id))

    async def story(self, job_id: int) -> list[str]:
        """The names of the job's events in their order."""
        return [type(recorded.event).__name__ for recorded in await self.log(job_id)]

    async def rows(self, query: str, **parameters: Any) -> list[tuple[Any, ...]]:
        async with self.api.runtime.database.reading() as connection:
            return [tuple(row) for row in await connection.execute(text(query), parameters)]

    async def execute(self, statement: str, **parameters: Any) -> None:
        async with self.api.runtime.database.transaction() as connection:
            await connection.execute(text(statement), parameters)


@pytest.fixture
def world(platform: Platform) -> World:
    return World(platform)


@pytest_asyncio.fixture
async def running(world: World) -> AsyncIterator[Running]:
    """The process that answers HTTP."""
    async with world.platform.running(service, user_wait_seconds=0.1) as running:
        world.running = running
        yield running
