"""The platform's documentation: the services' OpenAPI documents and the gateway's own, as one."""

import asyncio
from collections.abc import Callable
from typing import Any

import aiohttp
import orjson
import structlog

from genonaut.gateway.routing.services import Services
from genonaut.gateway.routing.table import SERVICES, TABLE, Service
from genonaut.gateway.system.merging import Document, merged

log = structlog.get_logger()

FRESH_SECONDS = 60.0
RETRY_SECONDS = 5.0
"""The same while a service is missing."""
TIMEOUT = aiohttp.ClientTimeout(total=5)


class Documents:
    """Keeps the last document of each service, so that one that is down stays described as it was."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._lock = asyncio.Lock()
        self._known: dict[Service, bytes] = {}
        self._merged = b""
        self._stale_at = 0.0

    async def openapi(self, own: Callable[[], Document]) -> bytes:
        """The merged document as JSON. It says which services are missing in it. `own` is the gateway's own."""
        async with self._lock:
            clock = asyncio.get_running_loop().time
            if not self._merged or clock() >= self._stale_at:
                changed = any(await asyncio.gather(*(self._refresh(service) for service in SERVICES)))
                if changed or not self._merged:
                    # Many megabytes of dictionaries for an instant: not on the thread that serves everybody.
                    self._merged = await asyncio.to_thread(self._merge, own())
                complete = len(self._known) == len(SERVICES)
                self._stale_at = clock() + (FRESH_SECONDS if complete else RETRY_SECONDS)
            return self._merged

    async def _refresh(self, service: Service) -> bool:
        """Whether there is something new."""
        try:
            url = f"{self._services.urls[service]}/openapi.json"
            async with self._services.session.get(url, timeout=TIMEOUT) as response:
                response.raise_for_status()
                document = await response.read()
            if document == self._known.get(service):
                return False
            paths: Any = orjson.loads(document)["paths"]
        except (aiohttp.ClientError, TimeoutError, orjson.JSONDecodeError, LookupError, TypeError) as error:
            log.warning("openapi.service_missing", service=service, error=type(error).__name__)
            return False
        log.info("openapi.read", service=service, paths=len(paths))
        self._known[service] = document
        return True

    def _merge(self, own: Document) -> bytes:
        missing = [service for service in SERVICES if service not in self._known]
        if missing:
            note = f"\n\n**Not described at the moment:** {', '.join(missing)}."
            own = {**own, "info": {**own["info"], "description": own["info"].get("description", "") + note}}
        document = merged(
            own,
            {service: orjson.loads(raw) for service, raw in self._known.items()},
            is_public=lambda path, service: TABLE.service_of(path) == service,
        )
        document["x-genonaut-missing"] = missing
        return orjson.dumps(document)
