"""A whole platform for one test: a provisioned database of its own, the real streams, and services run in process."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
import pytest_asyncio
from sqlalchemy.engine import make_url

from genonaut.contracts.streams import STREAMS, Durable
from genonaut.platform.bus import Bus
from genonaut.platform.clock import Clock, utc_now
from genonaut.platform.database import Database
from genonaut.platform.migrations import migrate
from genonaut.platform.provisioning import SERVICES, Passwords, login, provision_bus, provision_database
from genonaut.platform.service import Runtime, Service
from genonaut.platform.settings import ServiceSettings
from genonaut.stack.servers import Nats, Postgres
from genonaut.testkit.servers import as_superuser, fresh_database
from genonaut.testkit.waiting import eventually

Cfg = TypeVar("Cfg", bound=ServiceSettings)

PASSWORD = "test-password"  # noqa: S105 - of servers that live as long as a test
TEMPLATE = "genonaut_test_template"


@dataclass(frozen=True)
class Running:
    """A service that runs in this process: its HTTP side and what is behind it."""

    client: httpx.AsyncClient
    runtime: Runtime[Any]


@dataclass
class Platform:
    """Servers for one test, with nothing in them but what provisioning and the migrations put there."""

    superuser_url: str
    nats_server: Nats
    bus: Bus
    objects_url: str

    def admin_url(self) -> str:
        """The owner of every schema."""
        return self._url("genonaut_admin")

    @property
    def nats_url(self) -> str:
        """The user who may do everything on the bus."""
        return self.nats_server.url()

    def database_url(self, service: str) -> str:
        """The service's own login."""
        return self._url(login(service))

    @asynccontextmanager
    async def database(self, service: str, *, as_owner: bool = False) -> AsyncIterator[Database]:
        """A connection pool as the service, or as the owner of its schema."""
        url = self.admin_url() if as_owner else self.database_url(service)
        database = Database(url, name="test", search_path=service, pool_size=2)
        try:
            yield database
        finally:
            await database.close()

    def settings(self, service: Service[Cfg], **overrides: Any) -> Cfg:
        """The service's settings for this platform."""
        values = {
            "app_env": "test",
            "database_url": self.database_url(service.name),
            "database_admin_url": self.admin_url(),
            "nats_url": self.nats_server.url(user=service.process_name),
            "object_store_url": self.objects_url,
            "api_secret_key": "a test's secret key, long enough to sign with",
            "api_host": "127.0.0.1",
        }
        return service.settings(**(values | overrides))

    async def settled(self, *durables: Durable) -> None:
        """Returns when everything on the bus for these durables is handled and acked. Raises AssertionError."""
        for durable in durables:
            await eventually(partial(self.bus.is_caught_up, durable), reason=f"{durable.name} does not get done")

    @asynccontextmanager
    async def running(
        self, service: Service[Cfg], *, clock: Clock = utc_now, **overrides: Any
    ) -> AsyncIterator[Running]:
        """The service as its process would run it: relay, consumers and HTTP, without a socket in between."""
        app = service.app(self.settings(service, **overrides), clock=clock)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client,
        ):
            yield Running(client, app.state.runtime)

    def _url(self, role: str) -> str:
        url = make_url(self.superuser_url).set(username=role, password=PASSWORD)
        return url.render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def migrated_template(postgres: Postgres) -> str:
    """The name of a database with every role, schema and table, to copy."""

    async def build() -> None:
        passwords = Passwords(PASSWORD, PASSWORD, PASSWORD, dict.fromkeys(SERVICES, PASSWORD))
        await provision_database(postgres.url(), database=TEMPLATE, passwords=passwords)
        admin = make_url(postgres.url()).set(username="genonaut_admin", password=PASSWORD, database=TEMPLATE)
        for service in SERVICES:
            if find_spec(f"genonaut.{service}.migrations"):
                await migrate(service, admin_url=admin.render_as_string(hide_password=False))

    _in_own_loop(build)
    return TEMPLATE


@contextmanager
def own_database(postgres: Postgres, template: str) -> Iterator[str]:
    """The superuser's URL of a fresh copy of the template, dropped afterwards."""
    url = fresh_database(postgres, template=template)
    name = make_url(url).database
    try:
        as_superuser(postgres, f'ALTER DATABASE "{name}" OWNER TO genonaut_admin')
        yield url
    finally:
        as_superuser(postgres, f'DROP DATABASE "{name}" WITH (FORCE)')


@asynccontextmanager
async def provisioned(superuser_url: str, nats_server: Nats, folder: Path) -> AsyncIterator[Platform]:
    """A platform on this database, whose streams are empty and their durables new. Files go into the folder."""
    bus = await Bus.connect(nats_server.url(), name="test")
    try:
        for stream in STREAMS:
            await _forget(bus, stream.name)
        await provision_bus(nats_server.url())
        objects = folder / "objects"
        objects.mkdir()
        yield Platform(superuser_url, nats_server, bus, objects.as_uri())
    finally:
        await bus.close()


@pytest.fixture
def platform_database(postgres: Postgres, migrated_template: str) -> Iterator[str]:
    """The superuser's URL of a fresh copy of the template, dropped afterwards."""
    with own_database(postgres, migrated_template) as url:
        yield url


@pytest_asyncio.fixture
async def platform(platform_database: str, nats_server: Nats, tmp_path: Path) -> AsyncIterator[Platform]:
    """Servers for one test. The streams are empty and their durables new."""
    async with provisioned(platform_database, nats_server, tmp_path) as platform:
        yield platform


async def _forget(bus: Bus, stream: str) -> None:
    names = {info.config.name for info in await bus.jetstream.streams_info()}
    if stream in names:
        await bus.jetstream.delete_stream(stream)


class FakeClock:
    """A clock that stands still until it is moved."""

    def __init__(self, now: datetime | None = None) -> None:
        self.now = now or datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


def _in_own_loop(work: Callable[[], Any]) -> None:
    # In a thread of its own: an async test already runs a loop in this one.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(work())).result()
