"""Hearing of cancelled jobs at once. A hint only: who is woken looks into the log."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Self

from nats.aio.msg import Msg

from genonaut.contracts.generation import JobCancelled
from genonaut.contracts.streams import GENERATION
from genonaut.platform.bus import Bus


class Cancellations:
    """One for a process: `heard` while it runs, `of` a job while it is worked on."""

    def __init__(self) -> None:
        self._nudges: dict[str, asyncio.Event] = {}

    @classmethod
    @asynccontextmanager
    async def heard(cls, bus: Bus) -> AsyncIterator[Self]:
        """Listens on the bus."""
        cancellations = cls()
        subscription = await bus.client.subscribe(GENERATION.filter(JobCancelled.type), cb=cancellations._hear)
        try:
            yield cancellations
        finally:
            await subscription.unsubscribe()

    @contextmanager
    def of(self, job_id: int) -> Iterator[asyncio.Event]:
        """Set when the job is said to be cancelled."""
        nudge = self._nudges[str(job_id)] = asyncio.Event()
        try:
            yield nudge
        finally:
            if self._nudges.get(str(job_id)) is nudge:
                del self._nudges[str(job_id)]

    async def _hear(self, message: Msg) -> None:
        if nudge := self._nudges.get(message.subject.rpartition(".")[2]):
            nudge.set()
