"""What a running gateway has."""

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends
from starlette.requests import HTTPConnection

from genonaut.gateway.live.feed import Feed
from genonaut.gateway.routing.services import Services
from genonaut.gateway.settings import GatewaySettings
from genonaut.gateway.system.documents import Documents
from genonaut.gateway.system.health import Health
from genonaut.gateway.traffic.capture import Capture
from genonaut.platform.bus import Bus
from genonaut.platform.clock import Clock


@dataclass
class Runtime:
    settings: GatewaySettings
    services: Services
    capture: Capture
    feed: Feed
    documents: Documents
    health: Health
    clock: Clock
    bus: Bus | None = None
    """None until the bus answered for the first time: the gateway serves without it."""


# A coroutine, because FastAPI sends plain functions to a thread.
async def _runtime(connection: HTTPConnection) -> Runtime:
    return cast("Runtime", connection.app.state.runtime)


RuntimeDep = Annotated[Runtime, Depends(_runtime)]
"""`async def health(runtime: RuntimeDep)`."""
