"""The gateway on one page."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.types import ASGIApp

from genonaut.gateway.edge import Edge
from genonaut.gateway.live import api as live
from genonaut.gateway.live.feed import Feed
from genonaut.gateway.live.joblog import JobLogs
from genonaut.gateway.routing.forwarding import Forwarding
from genonaut.gateway.routing.services import Services
from genonaut.gateway.runtime import Runtime
from genonaut.gateway.settings import GatewaySettings
from genonaut.gateway.system import api as system
from genonaut.gateway.system.documents import Documents
from genonaut.gateway.system.health import Health
from genonaut.gateway.traffic.capture import Capture
from genonaut.platform.bus import Bus
from genonaut.platform.clock import Clock, utc_now
from genonaut.platform.http.documentation import install_documentation
from genonaut.platform.http.errors import install_errors
from genonaut.platform.http.health import health_router
from genonaut.platform.http.middleware import install_middleware
from genonaut.platform.http.sockets import Socket
from genonaut.platform.serving import end, serve, watched

log = structlog.get_logger()

FLUSH_SECONDS = 5.0

DESCRIPTION = """\
Submit generation jobs, watch them live, browse, tag and rate what they made.

A job can be followed at `GET /api/v1/generation-jobs/{id}/events` and over the WebSockets `/ws/jobs/{id}` and
`/ws/jobs?job_ids=1,2`: first `connection` and `snapshot` messages, then one `job` message for each change, with the
status pending, started, processing, completed, failed or cancelled.
"""


class Gateway:
    """The service without a database: what `genonaut.platform.service.Service` is for the others."""

    name = "gateway"
    settings = GatewaySettings

    def app(self, settings: GatewaySettings, *, clock: Clock = utc_now) -> FastAPI:
        """The ASGI application. It serves without the bus, which may come later."""
        runtime = _runtime(settings, clock)

        @asynccontextmanager
        async def lifespan(_: FastAPI) -> AsyncIterator[None]:
            async with runtime.services:
                on_bus = watched(_on_bus(runtime), "bus")
                log.info("service.started", service=self.name)
                yield
                log.info("service.stopping", service=self.name)
                runtime.feed.stop()
                await end([on_bus])
                await runtime.capture.flush(runtime.bus, within=FLUSH_SECONDS)
                if runtime.bus is not None:
                    await runtime.bus.close()

        app = _Application(
            title=system.TITLE,
            version=system.VERSION,
            description=DESCRIPTION,
            lifespan=lifespan,
            redirect_slashes=False,
            openapi_url=None,
            docs_url=None,
            redoc_url=None,
            telemetry={"tracing": False, "metrics": False, "logs": False},  # genonaut.platform.telemetry has it
        )
        app.state.runtime = runtime
        app.state.stopping = runtime.feed.stop
        # Ready without checks: it forwards what can be forwarded. A part that is away must not take the door away.
        app.include_router(health_router({}), include_in_schema=False)
        app.include_router(system.router)
        app.include_router(live.router)
        install_documentation(app)
        _surround(app, runtime)
        return app

    def serve(self) -> None:
        """Runs the process until SIGTERM or SIGINT. Raises SettingsError when it cannot start."""
        settings = self.settings.load()
        serve(lambda: self.app(settings), settings, name=self.name, sockets=Socket)


class _Application(FastAPI):
    """FastAPI with our middleware around its own, which a forwarded request therefore does not pass."""

    def build_middleware_stack(self) -> ASGIApp:
        ours, self.user_middleware = self.user_middleware, []
        app = super().build_middleware_stack()
        for layer in reversed(ours):
            app = layer.cls(app, *layer.args, **layer.kwargs)
        return app


def _runtime(settings: GatewaySettings, clock: Clock) -> Runtime:
    services = Services(settings)
    redis_url = settings.redis_url.get_secret_value() if settings.redis_url else None
    return Runtime(
        settings=settings,
        services=services,
        capture=Capture(limit=settings.capture_limit, clock=clock),
        feed=Feed(
            JobLogs(services),
            limit=settings.live_clients,
            poll_seconds=settings.live_poll_seconds,
            outage_poll_seconds=settings.live_outage_poll_seconds,
        ),
        documents=Documents(services),
        health=Health(services, redis_url=redis_url, clock=clock),
        clock=clock,
    )


def _surround(app: FastAPI, runtime: Runtime) -> None:
    """From the outside in: context and capture, headers, errors, limits, forwarding; then the routes."""
    settings = runtime.settings
    app.add_middleware(Forwarding, services=runtime.services, upload_pause=settings.upload_timeout_seconds)
    install_errors(app, clock=runtime.clock)
    install_middleware(app, max_body_bytes=settings.max_body_bytes, on_served=runtime.capture, show_route=False)
    # Inside the context, which counts it, and outside everything that answers.
    app.user_middleware.insert(1, Middleware(Edge, origins=settings.cors_origins))


async def _on_bus(runtime: Runtime) -> None:
    """What needs the bus, from when it answers."""
    runtime.bus = await Bus.connect(runtime.settings.nats_url.get_secret_value(), name="genonaut-gateway")
    await asyncio.gather(runtime.capture.publish(runtime.bus), runtime.feed.listen(runtime.bus))


service = Gateway()
