"""A service on one page: what it is made of, and how that becomes a running process.

    service = Service(name="content", settings=ContentSettings, routers=[...], projections=[...], consumers=[...])

`serve` runs it: HTTP, the relay of its outbox, its consumers, health, metrics, and an orderly end on SIGTERM.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar, cast

import structlog
from fastapi import APIRouter, Depends, FastAPI
from starlette.requests import HTTPConnection

from genonaut.contracts.streams import Durable
from genonaut.platform.bus import Bus
from genonaut.platform.clock import Clock, utc_now
from genonaut.platform.consumer_loop import ConsumerLoop
from genonaut.platform.consumers import Consumer
from genonaut.platform.database import Database
from genonaut.platform.events import EventStore
from genonaut.platform.http.documentation import install_documentation
from genonaut.platform.http.errors import install_errors
from genonaut.platform.http.health import Check, health_router
from genonaut.platform.http.lists import install_lists
from genonaut.platform.http.middleware import install_middleware
from genonaut.platform.lag import measure_lag
from genonaut.platform.projections import Projection
from genonaut.platform.pruning import prune_now_and_then
from genonaut.platform.relay import Relay
from genonaut.platform.serving import SHUTDOWN_SECONDS, end, serve, watched
from genonaut.platform.settings import ServiceSettings

if TYPE_CHECKING:
    from genonaut.platform.cache import GuardedCache
    from genonaut.platform.doctor.findings import Check as DoctorCheck
    from genonaut.platform.objects import ObjectStore
    from genonaut.platform.pictures.pool import PicturePool

log = structlog.get_logger()

BODY_ROOM = 128 * 1024 * 1024
"""Bytes of all the bodies that a process holds at the same time."""

Cfg = TypeVar("Cfg", bound=ServiceSettings)


@dataclass
class Runtime(Generic[Cfg]):
    """What a running process has. Routes get it, and never an open transaction."""

    # A dependency that commits after `yield` commits when the response has already left, and a failed commit would
    # still look like a 200.

    service: "Service[Cfg]"
    settings: Cfg
    database: Database
    bus: Bus
    store: EventStore
    clock: Clock = utc_now
    cache: "GuardedCache | None" = None
    """What answers may be kept in. None without a `redis_url`."""
    loops: list[ConsumerLoop] = field(default_factory=list)
    """Every consumer loop of the process, for readiness and the orderly end."""

    @property
    def durables(self) -> Iterable[Durable]:
        """What the loops work on, each once: there may be several to one."""
        return dict.fromkeys(loop.durable for loop in self.loops)

    @cached_property
    def objects(self) -> "ObjectStore":
        """Where images are."""
        from genonaut.platform.objects import ObjectStore  # noqa: PLC0415 - only some services pay for it

        return ObjectStore.at(str(self.settings.object_store_url))

    @cached_property
    def pictures(self) -> "PicturePool":
        """Where pictures are decoded."""
        from genonaut.platform.pictures.pool import PicturePool  # noqa: PLC0415 - as above

        return PicturePool(self.settings.picture_processes, memory_bytes=self.settings.picture_process_bytes)

    async def close(self) -> None:
        """Ends what it has opened."""
        if self.cache:
            await self.cache.close()
        if "pictures" in self.__dict__:
            await self.pictures.close()


Checks = Mapping[str, Check]
Background = Callable[[Runtime[Any]], Coroutine[Any, Any, None]]
Workers = Callable[[Runtime[Any]], AbstractAsyncContextManager[Sequence[ConsumerLoop]]]
"""Opens what its loops work with, gives the loops, and closes it behind them."""


@dataclass(frozen=True)
class Service(Generic[Cfg]):
    """One service, or a second kind of process of it: `process` names that one, e.g. `driver`."""

    name: str
    settings: type[Cfg]
    summary: str = ""
    routers: Sequence[APIRouter] = ()
    projections: Sequence[Projection] = ()
    """Inline ones are applied by every process of the service; those with a source are followed by a consumer."""
    consumers: Sequence[Consumer] = ()
    workers: Sequence[Workers] = ()
    """Consumer loops that need more than a handler, e.g. one for each GPU."""
    background: Sequence[Background] = ()
    """Coroutines that run as long as the process: one that returns ends it."""
    process: str | None = None
    relays: bool = True
    """Whether it sees to the service's outbox, and to what the service may forget: one kind of process does."""
    checks: Sequence["DoctorCheck"] = ()
    """What `genonaut <service> doctor` looks at beside what it looks at in every service."""
    body_limits: Mapping[str, int] = field(default_factory=dict)
    """Bytes by path prefix, where the default of 1 MiB does not fit."""

    @property
    def process_name(self) -> str:
        return self.process or self.name

    @property
    def source(self) -> str:
        """The CloudEvents source of its events."""
        return f"genonaut/{self.name}"

    @asynccontextmanager
    async def runtime(
        self, settings: Cfg, *, clock: Clock = utc_now, patience: float | None = None
    ) -> AsyncIterator[Runtime[Cfg]]:
        """Connected to everything, running nothing yet. Raises ConnectionError when `patience` for the bus ends."""
        database = Database(
            settings.database_url.get_secret_value(),
            name=f"genonaut-{self.process_name}",
            pool_size=settings.database_pool_size,
            search_path=self.name,
            statement_timeout_ms=settings.statement_timeout_ms,
        )
        url = settings.nats_url.get_secret_value()
        bus = await Bus.connect(url, name=f"genonaut-{self.process_name}", within=patience)
        try:
            runtime = Runtime(
                service=self,
                settings=settings,
                database=database,
                bus=bus,
                store=EventStore(database, source=self.source, projections=self.projections, clock=clock),
                clock=clock,
                cache=self.cache(settings, database),
            )
            try:
                yield runtime
            finally:
                await runtime.close()
        finally:
            await bus.close()
            await database.close()

    def cache(self, settings: Cfg, database: Database) -> "GuardedCache | None":
        """What answers read from `database` are kept in, to be closed; with it, what changes there is dropped."""
        if settings.redis_url is None:
            return None
        from genonaut.platform.cache import GuardedCache  # noqa: PLC0415 - 20 MB that only some services need

        prefix = f"genonaut:{settings.app_env}:{self.name}:"
        url = settings.redis_url.get_secret_value()
        return GuardedCache(url, database, prefix=prefix, seconds=settings.cache_seconds)

    @asynccontextmanager
    async def running(self, runtime: Runtime[Cfg]) -> AsyncIterator[Checks]:
        """The relay, the consumers and the background work run inside; the end lets what is in hand finish.

        Gives the readiness checks.
        """
        if runtime.cache:
            await runtime.cache.begin()
        async with AsyncExitStack() as opened:
            for consumer in self.consumers:
                runtime.loops.append(
                    ConsumerLoop(
                        consumer.durable,
                        consumer.effect(runtime.database, runtime.store),
                        bus=runtime.bus,
                        database=runtime.database,
                        batch=consumer.batch,
                        after=consumer.after,
                    )
                )
            for workers in self.workers:
                runtime.loops.extend(await opened.enter_async_context(workers(runtime)))
            consuming = [watched(loop.run(), loop.durable.name, may_return=True) for loop in runtime.loops]
            tasks = list(consuming)
            tasks.extend(watched(measure_lag(runtime.bus, each), f"lag of {each.name}") for each in runtime.durables)
            relay = None
            if self.relays:
                relay = Relay(runtime.database, runtime.bus, schema=self.name, source=self.source)
                tasks.append(watched(relay.run(), "relay"))
                tasks.append(watched(prune_now_and_then(runtime.database, runtime.clock), "pruning"))
            tasks.extend(watched(work(runtime), work.__name__) for work in self.background)
            try:
                yield _readiness(runtime, relay)
            finally:
                for loop in runtime.loops:
                    loop.stop()
                if consuming:
                    await asyncio.wait(consuming, timeout=SHUTDOWN_SECONDS)
                await end(tasks)

    def app(self, settings: Cfg, *, clock: Clock = utc_now) -> FastAPI:
        """The ASGI application. Its lifespan connects, runs and ends everything."""
        checks: dict[str, Check] = {}

        @asynccontextmanager
        async def lifespan(app: FastAPI) -> AsyncIterator[None]:
            async with self.runtime(settings, clock=clock) as runtime, self.running(runtime) as running:
                app.state.runtime = runtime
                checks.update(running)
                log.info("service.started", service=self.process_name)
                yield
                log.info("service.stopping", service=self.process_name)

        app = FastAPI(
            title=f"Genonaut {self.process_name}",
            summary=self.summary,
            version="0.1.0",
            lifespan=lifespan,
            redirect_slashes=False,
            docs_url=None,
            redoc_url=None,
            debug=False,
        )
        app.include_router(health_router(checks))
        for router in self.routers:
            app.include_router(router)
        install_documentation(app)
        install_errors(app, clock=clock, statement_timeout_ms=settings.statement_timeout_ms)
        install_lists(app, secret=settings.api_secret_key.get_secret_value())
        install_middleware(app, body_limits=self.body_limits, body_room=BODY_ROOM)
        return app

    def serve(self) -> None:
        """Runs the process until SIGTERM or SIGINT. Raises SettingsError when it cannot start."""
        settings = self.settings.load()
        serve(lambda: self.app(settings), settings, name=self.process_name)


def _readiness(runtime: Runtime[Any], relay: Relay | None) -> Checks:
    """Ready means that work moves, not that a socket answers."""

    async def consumers() -> None:
        info = runtime.bus.jetstream.consumer_info
        await asyncio.gather(*(info(durable.stream.name, durable.name) for durable in runtime.durables))
        for loop in runtime.loops:
            loop.check()

    async def outbox() -> None:
        if relay:
            relay.check()

    return {
        "database": runtime.database.ping,
        "bus": runtime.bus.ping,
        "consumers": consumers,
        "outbox": outbox,
    }


# A coroutine, because FastAPI sends plain functions to a thread.
async def _runtime(connection: HTTPConnection) -> Runtime[Any]:
    return cast("Runtime[Any]", connection.app.state.runtime)


RuntimeDep = Annotated[Runtime[Any], Depends(_runtime)]
"""`async def create(body: NewUser, runtime: RuntimeDep)`."""
