"""`/health`: the process answers. `/ready`: work moves. `/metrics`: for Prometheus."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Literal

import structlog
from fastapi import APIRouter
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from pydantic import BaseModel
from starlette.responses import Response

from genonaut.platform.http.problems import UnavailableError
from genonaut.platform.metrics import REGISTRY

log = structlog.get_logger()

Check = Callable[[], Awaitable[object]]
"""Returns when the thing works, raises when it does not."""


class Health(BaseModel):
    status: Literal["healthy"] = "healthy"


class Readiness(BaseModel):
    status: Literal["ready"] = "ready"
    checks: dict[str, Literal["ready"]]


def health_router(checks: Mapping[str, Check], *, timeout_seconds: float = 2.0) -> APIRouter:
    """The three routes. `checks` is looked at on every request, so it may be filled later.

    The checks run side by side, each at most `timeout_seconds`. Why one fails is logged, and not told.
    """
    router = APIRouter(tags=["operations"])

    @router.get("/health")
    async def health() -> Health:
        return Health()

    @router.get("/ready")
    async def ready() -> Readiness:
        """503 names what is not ready."""
        names = list(checks)
        works = await asyncio.gather(*(_works(name, checks[name], timeout_seconds) for name in names))
        states = {name: "ready" if fine else "not ready" for name, fine in zip(names, works, strict=True)}
        if not all(works):
            waiting = ", ".join(name for name, state in states.items() if state != "ready")
            raise UnavailableError(f"Not ready: {waiting}", error_code="NOT_READY", extra={"checks": states})
        return Readiness(checks=dict.fromkeys(names, "ready"))

    @router.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        return Response(generate_latest(REGISTRY), media_type=CONTENT_TYPE_PLAIN_0_0_4)

    return router


async def _works(name: str, check: Check, timeout_seconds: float) -> bool:
    try:
        async with asyncio.timeout(timeout_seconds):
            await check()
    except Exception as error:  # noqa: BLE001 - whatever it is, this thing is not ready
        log.warning("health.not_ready", check=name, error=type(error).__name__, reason=str(error))
        return False
    return True
