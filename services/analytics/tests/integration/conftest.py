"""What gateway and generation say, put on the real bus or straight into a projection."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from sqlalchemy import text

from genonaut.analytics.rollups.hours import hour_of
from genonaut.analytics.service import service
from genonaut.contracts import Event
from genonaut.contracts.gateway import RequestServed
from genonaut.contracts.generation import (
    JobCancelled,
    JobFailed,
    JobStarted,
)
from genonaut.contracts.streams import stream_of
from genonaut.platform.bus import Message
from genonaut.platform.clock import utc_now
from genonaut.platform.database import Database
from genonaut.platform.projections import Recorded
from genonaut.testkit.envelopes import enveloped
from genonaut.testkit.jobs import IMAGE, job_completed, job_requested
from genonaut.testkit.platforms import FakeClock, Platform, Running

ADA = UUID(int=1)


@dataclass
class World:
    """The services that analytics hears of.

    Times are after the streams were made, as all times are in life: `hour(0)` is the present hour.
    """

    platform: Platform
    clock: FakeClock = field(default_factory=lambda: FakeClock(hour_of(utc_now()) + timedelta(hours=5, minutes=30)))
    numbers: count = field(default_factory=lambda: count(1))

    def hour(self, number: int) -> datetime:
        return hour_of(self.clock.now) + timedelta(hours=number - 5)

    def recorded(self, event: Event, time: datetime) -> Recorded:
        return Recorded(event, enveloped(event, next(self.numbers), time=time))

    def request(self, hour: int, *, minute: float = 0, **changes: Any) -> Recorded:
        usual = {"method": "GET", "route": "/api/v1/content/{id}", "status_code": 200, "duration_us": 1500}
        return self.recorded(RequestServed(**(usual | changes)), self.hour(hour) + timedelta(minutes=minute))

    def requests(self, number: int) -> list[Recorded]:
        """Many different ones over five hours, always the same but for their ids."""
        users = [None, *(UUID(int=user) for user in range(1, 8))]
        return [
            self.request(
                n % 5,
                minute=n % 60,
                method=("GET", "POST")[n % 7 == 0],
                route=f"/api/v1/things-{n % 3}",
                status_code=(200, 200, 200, 404, 500)[n % 5],
                duration_us=(n * 7919) % 200_000,
                user_id=users[n % 8],
                query_params=({}, {"page": str(n)}, {"tag": ["b", "a"], "user_id": str(n)})[n % 3],
                response_bytes=n,
            )
            for n in range(number)
        ]

    def job(self, hour: int, *, end: str = "completed", user_id: UUID = ADA, ms: int = 5000) -> list[Recorded]:
        """The events of one job: asked for in the last minute of the hour, ended in the first of the next."""
        about = {"job_id": next(self.numbers), "user_id": user_id}
        requested = job_requested(**about, batch_size=2)
        started = JobStarted(**about, attempt=1, worker="gpu", comfyui_prompt_id=uuid4(), queue_wait_ms=120)
        ended: Event
        if end == "completed":
            ended = job_completed(**about, images=[IMAGE, IMAGE], generation_ms=ms)
        elif end == "failed":
            said = {"error_type": "out_of_memory", "error_message": "no memory", "checkpoint_model": "model"}
            ended = JobFailed(**about, attempt=1, generation_ms=ms, **said)
        else:
            ended = JobCancelled(**about, attempt=1, reason="asked", checkpoint_model="model")
        minutes = ((requested, 59), (started, 59.5), (ended, 60.5))
        return [self.recorded(event, self.hour(hour) + timedelta(minutes=minute)) for event, minute in minutes]

    def jobs(self, number: int) -> list[Recorded]:
        """Events of many jobs over four hours, always the same but for their ids."""
        ends = ("completed", "completed", "completed", "failed", "cancelled")
        return [
            event
            for n in range(number)
            for event in self.job(n % 4, end=ends[n % 5], user_id=UUID(int=1 + n % 3), ms=(n * 7919) % 60_000)
        ]

    async def say(self, recorded: Sequence[Recorded], *, again: str = "") -> None:
        """`again` lets the bus take for new what it has seen."""
        messages: dict[str, list[Message]] = {}
        for each in recorded:
            envelope = each.envelope
            stream = stream_of(envelope.type)
            message = Message(
                stream.subject(envelope.type, envelope.subject), envelope.to_json(), f"{again}{envelope.id}"
            )
            messages.setdefault(stream.name, []).append(message)
        for name, batch in messages.items():
            await self.platform.bus.publish(name, batch)

    async def all_heard(self) -> None:
        """Everything that was said is handled and acked."""
        await self.platform.settled(*(consumer.durable for consumer in service.consumers))


TABLES = [table for projection in service.projections for table in projection.tables]


async def _contents(database: Database) -> dict[str, list[str]]:
    async with database.reading() as connection:
        return {
            table.name: list(await connection.scalars(text(f"SELECT CAST(t AS text) FROM {table.name} t ORDER BY 1")))
            for table in TABLES
        }


@pytest.fixture
def contents():
    """`await contents(database)`: every row of every table as text, so that equal means byte for byte."""
    return _contents


@pytest.fixture
def world(platform: Platform) -> World:
    return World(platform)


@pytest_asyncio.fixture
async def database(platform: Platform) -> AsyncIterator[Database]:
    async with platform.database("analytics") as database:
        yield database


@pytest_asyncio.fixture
async def running(world: World) -> AsyncIterator[Running]:
    async with world.platform.running(service, clock=world.clock) as running:
        yield running
