"""How far behind a durable is: one figure, however many loops of the process work on it."""

import asyncio
from datetime import UTC, datetime

import structlog

from genonaut.contracts.streams import Durable
from genonaut.platform import metrics
from genonaut.platform.bus import Bus

log = structlog.get_logger()

MEASURE_SECONDS = 5.0


async def measure_lag(bus: Bus, durable: Durable) -> None:
    """States every few seconds how much waits, whether or not anything moves. For ever."""
    while True:
        try:
            await _state_lag(bus, durable)
        except Exception as error:  # noqa: BLE001 - figures must not stop what they are about
            log.warning("consumer.not_measured", consumer=durable.name, error=type(error).__name__)
        await asyncio.sleep(MEASURE_SECONDS)


async def _state_lag(bus: Bus, durable: Durable) -> None:
    info = await bus.jetstream.consumer_info(durable.stream.name, durable.name)
    waiting = (info.num_pending or 0) + (info.num_ack_pending or 0)
    oldest = await bus.oldest_unhandled(durable) if waiting else None
    lag = max(0.0, (datetime.now(UTC) - oldest).total_seconds()) if oldest else 0.0
    metrics.CONSUMER_PENDING.labels(consumer=durable.name).set(waiting)
    metrics.CONSUMER_LAG.labels(consumer=durable.name).set(lag)
