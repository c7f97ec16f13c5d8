"""What other services say, put on the real bus."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from itertools import count
from uuid import UUID, uuid4

import pytest
import pytest_asyncio

from genonaut.contracts import Event
from genonaut.contracts.content import UserPreferencesChanged, UserRegistered
from genonaut.contracts.generation import JobCancelled, JobFailed, JobPublished
from genonaut.contracts.streams import Durable, stream_of
from genonaut.notifications.service import service
from genonaut.platform.bus import Message
from genonaut.platform.projections import Recorded
from genonaut.testkit.envelopes import enveloped
from genonaut.testkit.platforms import FakeClock, Platform, Running


@dataclass
class World:
    """The other services, as far as notifications hears of them."""

    platform: Platform
    clock: FakeClock = field(default_factory=FakeClock)
    job_ids: count = field(default_factory=lambda: count(1))

    def recorded(self, event: Event, subject: object, sequence: int, event_id: UUID | None = None) -> Recorded:
        return Recorded(event, enveloped(event, subject, id=event_id, time=self.clock(), sequence=sequence))

    async def say(self, recorded: Recorded, *, message_id: str | None = None) -> Recorded:
        envelope = recorded.envelope
        stream = stream_of(envelope.type)
        message = Message(
            stream.subject(envelope.type, envelope.subject), envelope.to_json(), message_id or str(envelope.id)
        )
        await self.platform.bus.publish(stream.name, [message])
        return recorded

    async def register(self, user_id: UUID | None = None, *, enabled: object = True) -> UUID:
        user_id = user_id or uuid4()
        event = UserRegistered(
            user_id=user_id,
            number=1,
            username="ada",
            email="ada@example.org",
            preferences={} if enabled is None else {"notifications_enabled": enabled},
        )
        await self.say(self.recorded(event, user_id, 1))
        return user_id

    async def prefer(self, user_id: UUID, sequence: int, **changes: object) -> None:
        event = UserPreferencesChanged(user_id=user_id, changes=changes)
        await self.say(self.recorded(event, user_id, sequence))

    async def publish_job(self, user_id: UUID) -> Recorded:
        job_id = next(self.job_ids)
        event = JobPublished(job_id=job_id, user_id=user_id, content_ids=[100 + job_id, 200 + job_id])
        return await self.say(self.recorded(event, job_id, 4))

    async def fail_job(self, user_id: UUID) -> Recorded:
        job_id = next(self.job_ids)
        event = JobFailed(
            job_id=job_id,
            user_id=user_id,
            attempt=1,
            error_type="out_of_memory",
            error_message="The GPU ran out of memory.",
            generation_ms=900,
            checkpoint_model="model",
        )
        return await self.say(self.recorded(event, job_id, 3))

    async def cancel_job(self, user_id: UUID) -> Recorded:
        job_id = next(self.job_ids)
        event = JobCancelled(job_id=job_id, user_id=user_id, attempt=0, reason="asked", checkpoint_model="model")
        return await self.say(self.recorded(event, job_id, 2))

    async def is_tried_again(self, durable: Durable) -> bool:
        """The server has delivered some message of this durable twice."""
        info = await self.platform.bus.jetstream.consumer_info(durable.stream.name, durable.name)
        return bool(info.num_redelivered)

    async def all_heard(self) -> None:
        """Everything that was said is handled and acked."""
        await self.platform.settled(*(consumer.durable for consumer in service.consumers))


@pytest.fixture
def world(platform: Platform) -> World:
    return World(platform)


@pytest_asyncio.fixture
async def running(world: World) -> AsyncIterator[Running]:
    async with world.platform.running(service, clock=world.clock) as running:
        yield running
