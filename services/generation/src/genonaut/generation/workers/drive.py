"""The driver: one worker for each ComfyUI server, all taking from the one work queue."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from genonaut.contracts.streams import GENERATION_DRIVERS
from genonaut.generation.settings import DriverSettings
from genonaut.generation.workers import servers
from genonaut.generation.workers.cancellations import Cancellations
from genonaut.generation.workers.registry import telling
from genonaut.generation.workers.worker import Worker
from genonaut.platform.consumer_loop import ConsumerLoop
from genonaut.platform.service import Runtime


@asynccontextmanager
async def workers(runtime: Runtime[DriverSettings]) -> AsyncIterator[Sequence[ConsumerLoop]]:
    """Their loops. A worker takes a job only when its server would run it now, and one at a time."""
    async with (
        servers.opened(runtime.settings.comfyui_urls) as fleet,
        Cancellations.heard(runtime.bus) as cancellations,
        telling(runtime, list(fleet.values())),
    ):
        crew = [Worker(runtime, server, fleet, cancellations) for server in fleet.values()]
        yield [
            ConsumerLoop(
                GENERATION_DRIVERS,
                worker.run,
                bus=runtime.bus,
                database=runtime.database,
                fetch=1,
                gate=worker.is_ready,
                patience=None,
            )
            for worker in crew
        ]
