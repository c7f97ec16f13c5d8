"""Is everything well? Asked of every service, the workers, the bus and the cache, and told without a host name."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Literal

import aiohttp
import orjson
import structlog
from pydantic import AwareDatetime, BaseModel, Field

from genonaut.gateway.routing.services import Services
from genonaut.gateway.routing.table import Service
from genonaut.platform.bus import Bus
from genonaut.platform.clock import Clock

log = structlog.get_logger()

Status = Literal["healthy", "unhealthy"]

FRESH_SECONDS = 1.0
"""How long an answer serves everybody who asks."""
TIMEOUT_SECONDS = 3.0

_CHECK_NAME = re.compile(r"[a-z_]{1,32}")


class Part(BaseModel):
    status: Status


class ServicePart(Part):
    checks: dict[str, Status] = Field(default_factory=dict, description="What the service says about its own parts.")


class PlatformHealth(BaseModel):
    status: Status = Field(description="Healthy when every part is.")
    timestamp: AwareDatetime
    database: Part = Field(description="Whether every service that answers reaches its database.")
    bus: Part
    cache: Part | None = None
    workers: Part = Field(description="Whether any ComfyUI server takes jobs. Without one, jobs are accepted and wait.")
    services: dict[str, ServicePart]


class Health:
    def __init__(self, services: Services, *, redis_url: str | None, clock: Clock) -> None:
        self._services = services
        self._redis_url = redis_url
        self._clock = clock
        self._lock = asyncio.Lock()
        self._known: tuple[float, PlatformHealth] | None = None

    async def now(self, bus: Bus | None) -> PlatformHealth:
        """At most a second old. Every part has three seconds to answer, all at once."""
        async with self._lock:
            if self._known and asyncio.get_running_loop().time() - self._known[0] < FRESH_SECONDS:
                return self._known[1]
            health = await self._ask(bus)
            self._known = (asyncio.get_running_loop().time(), health)
            return health

    async def _ask(self, bus: Bus | None) -> PlatformHealth:
        (transport, cache, workers), answers = await asyncio.gather(
            asyncio.gather(
                _part("bus", lambda: _ask_bus(bus)),
                _part("cache", self._ask_cache),
                _part("workers", self._ask_for_workers),
            ),
            asyncio.gather(*(self._ask_service(name) for name in self._services.urls)),
        )
        services = dict(zip(self._services.urls, answers, strict=True))
        databases = [Part(status=each.checks["database"]) for each in answers if "database" in each.checks]
        database = Part(status=_overall(databases) if databases else "unhealthy")
        return PlatformHealth(
            status=_overall([database, transport, cache, workers, *answers]),
            timestamp=self._clock(),
            database=database,
            bus=transport,
            cache=cache if self._redis_url else None,
            workers=workers,
            services={str(name): part for name, part in services.items()},
        )

    async def _ask_service(self, name: Service) -> ServicePart:
        try:
            async with (
                asyncio.timeout(TIMEOUT_SECONDS),
                self._services.session.get(f"{self._services.urls[name]}/ready") as response,
            ):
                body: Any = orjson.loads(await response.read())
        except (aiohttp.ClientError, TimeoutError, orjson.JSONDecodeError) as error:
            log.warning("health.service_failed", part=name, error=type(error).__name__)
            return ServicePart(status="unhealthy")
        said = body.get("checks") if isinstance(body, dict) else None
        checks: dict[str, Status] = {
            check: "healthy" if state == "ready" else "unhealthy"
            for check, state in (said if isinstance(said, dict) else {}).items()
            if _CHECK_NAME.fullmatch(check)
        }
        return ServicePart(status="healthy" if response.ok else "unhealthy", checks=checks)

    async def _ask_for_workers(self) -> None:
        url = f"{self._services.urls['generation']}/internal/workers"
        async with self._services.session.get(url) as response:
            body: Any = orjson.loads(await response.read())
        if not (isinstance(body, dict) and isinstance(body.get("fit"), int) and body["fit"] > 0):
            raise LookupError("no ComfyUI server takes jobs")

    async def _ask_cache(self) -> None:
        if not self._redis_url:
            return
        from redis.asyncio import Redis  # noqa: PLC0415 - 20 MB that serving does not need

        async with Redis.from_url(self._redis_url, socket_timeout=TIMEOUT_SECONDS) as redis:
            await redis.ping()


async def _ask_bus(bus: Bus | None) -> None:
    if bus is None:
        raise ConnectionError("the bus has not answered yet")
    await bus.ping()


async def _part(name: str, ask: Callable[[], Awaitable[None]]) -> Part:
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await ask()
    except Exception as error:  # noqa: BLE001 - whatever it is, this part is not well
        log.warning("health.part_failed", part=name, error=type(error).__name__)
        return Part(status="unhealthy")
    return Part(status="healthy")


def _overall(parts: Iterable[Part]) -> Status:
    return "healthy" if all(part.status == "healthy" for part in parts) else "unhealthy"
