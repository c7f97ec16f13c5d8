"""What a command that mends data works with: the owner's connections, a fast loop, a bar that shows how far it is."""

import gc
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

import uvloop
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from genonaut.platform.bus import Bus
from genonaut.platform.cli import PATIENCE_SECONDS, stack_environment
from genonaut.platform.database import Database
from genonaut.platform.service import Service
from genonaut.platform.settings import SettingsError

T = TypeVar("T")

COLLECT_EVERY = 100_000
"""New objects after which garbage is looked for."""


def run(work: Coroutine[Any, Any, T]) -> T:
    """Runs it as services run: on their event loop, the collector not going through all that was imported.

    Nor often through what a command works on, which is many thousands of objects at a time, and hardly ever garbage.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_EVERY)
    return uvloop.run(work)


@asynccontextmanager
async def as_owner(service: Service[Any]) -> AsyncIterator[tuple[Database, Bus]]:
    """Connected as the owner of the schemas, who may make tables, and to the bus. Raises SettingsError."""
    with stack_environment(service.name):
        settings = service.settings.load()
    if settings.database_admin_url is None:
        raise SettingsError("This makes tables: it needs DATABASE_ADMIN_URL, Postgres as genonaut_admin.")
    database = Database(settings.database_admin_url.get_secret_value(), name="genonaut-maintenance", pool_size=4)
    url = settings.nats_url.get_secret_value()
    bus = await Bus.connect(url, name="genonaut-maintenance", within=PATIENCE_SECONDS)
    cache = service.cache(settings, database)
    try:
        yield database, bus
    finally:
        if cache:
            await cache.close()
        await bus.close()
        await database.close()


@contextmanager
def progress_bar(name: str) -> Iterator[Callable[[int, int], None]]:
    """On stderr. Call what is given with how much is done and how much there is."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(name, total=None)

        def advance(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        yield advance
