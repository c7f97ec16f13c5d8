"""First pages that are asked for often are kept made, also when what they show changes."""

import asyncio
from typing import Any

import structlog

from genonaut.content.unified.pages import refresh_most_asked
from genonaut.platform.service import Runtime

log = structlog.get_logger()


async def keep_warm(runtime: Runtime[Any]) -> None:
    """For ever. Each process for what it is asked for itself."""
    while True:
        await asyncio.sleep(runtime.settings.cache_warm_seconds)
        try:
            if refreshed := await refresh_most_asked(runtime, runtime.settings.cache_warm_pages):
                log.info("unified.warmed", pages=refreshed)
        except Exception as error:  # noqa: BLE001 - whatever it was, the next time may succeed
            log.warning("unified.warming_failed", error=f"{type(error).__name__}: {error}")
