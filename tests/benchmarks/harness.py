"""What the benchmarks share: servers that sync as in production, processes of the platform, and how they are measured.

Nothing here judges: a benchmark prints what it saw beside a baseline of the same run, and never fails on a time.
"""

import asyncio
import contextlib
import logging
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import structlog
from rich.console import Console
from rich.table import Table

from genonaut.platform.bus import Bus
from genonaut.platform.database import Database
from genonaut.platform.migrations import migrate
from genonaut.platform.provisioning import SERVICES, Passwords, login, provision_bus, provision_database
from genonaut.stack.inspection import memory
from genonaut.stack.servers import Nats, Postgres

MB = 1024 * 1024
PASSWORD = "bench"
SECRET = "a benchmark's secret key, long enough"

console = Console(width=130)


@dataclass(frozen=True)
class Servers:
    """Postgres and NATS of one benchmark, with every schema, stream and durable."""

    folder: Path
    postgres: Postgres
    nats: Nats

    def database_url(self, user: str) -> str:
        return self.postgres.url(user=user, password=PASSWORD, database="genonaut")

    @contextlib.asynccontextmanager
    async def database(self, service: str) -> AsyncIterator[Database]:
        """A pool, as the service itself."""
        database = Database(self.database_url(login(service)), name="bench", search_path=service)
        try:
            yield database
        finally:
            await database.close()

    @contextlib.asynccontextmanager
    async def bus(self) -> AsyncIterator[Bus]:
        bus = await Bus.connect(self.nats.url(), name="bench")
        try:
            yield bus
        finally:
            await bus.close()

    def settings(self, service: str) -> dict[str, str]:
        """The environment of one of the service's processes, without a port."""
        return {
            "APP_ENV": "test",
            "API_HOST": "127.0.0.1",
            "API_SECRET_KEY": SECRET,
            "NATS_URL": self.nats.url(),
            "OBJECT_STORE_URL": (self.folder / "objects").as_uri(),
            **({"DATABASE_URL": self.database_url(login(service))} if service in SERVICES else {}),
        }

    def processes(self) -> dict[str, "Group"]:
        """The two servers as what is measured."""
        return {"postgres": of_server("postgres", self.folder), "nats": of_server("nats", self.folder)}


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="genonaut-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # the user of Postgres passes through
        yield folder


@contextlib.asynccontextmanager
async def servers() -> AsyncIterator[Servers]:
    """Started with an empty state, provisioned, and gone afterwards. They sync as production's do."""
    if task := asyncio.current_task():  # who is told to end stops them, too
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    with _folder() as folder:
        postgres, nats = Postgres(folder), Nats(folder, environment="test")
        try:
            postgres.start()
            nats.start()
            passwords = Passwords(PASSWORD, PASSWORD, PASSWORD, dict.fromkeys(SERVICES, PASSWORD))
            await asyncio.gather(
                provision_database(postgres.url(), database="genonaut", passwords=passwords),
                provision_bus(nats.url()),
            )
            ready = Servers(folder, postgres, nats)
            for service in SERVICES:
                await migrate(service, admin_url=ready.database_url("genonaut_admin"))
            yield ready
        finally:
            nats.stop()
            postgres.stop()
            postgres.forget()


class Group:
    """A process and its children, those that have come since included."""

    def __init__(self, pid: int) -> None:
        self.process = psutil.Process(pid)

    def memory(self) -> int:
        """Bytes, those shared with others counted in proportion (PSS)."""
        return memory(self.process.pid)

    def cpu_seconds(self) -> float:
        """Of all of them that live, and of those that have ended and were waited for."""
        times = self.process.cpu_times()
        total = times.user + times.system + times.children_user + times.children_system
        for child in self.process.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                spent = child.cpu_times()
                total += spent.user + spent.system
        return float(total)


class Several:
    """Processes that are of one kind."""

    def __init__(self, groups: Iterable[Group]) -> None:
        self._groups = list(groups)

    def cpu_seconds(self) -> float:
        return sum(group.cpu_seconds() for group in self._groups)


def of_server(name: str, folder: Path) -> Group:
    """The server that keeps its data in the folder, found by its command line."""
    for process in psutil.process_iter(["cmdline", "ppid", "pid"]):
        command = process.info["cmdline"] or []
        if name in " ".join(command[:1]) and any(str(folder) in word for word in command):
            return Group(process.info["pid"])
    raise LookupError(f"no {name} runs in {folder}")


@contextlib.contextmanager
def running(
    command: Sequence[str], environment: Mapping[str, str], *, log: Path | None = None, end: int = signal.SIGTERM
) -> Iterator[Group]:
    """Python with these arguments as a process, ended when left."""
    with contextlib.ExitStack() as stack:
        output = stack.enter_context(log.open("ab")) if log else subprocess.DEVNULL
        process = subprocess.Popen(
            [sys.executable, *command],
            env=os.environ | dict(environment),
            stdout=output,
            stderr=output if log else None,
        )
        try:
            yield Group(process.pid)
        finally:
            process.send_signal(end)
            process.wait(30)


async def ready(url: str) -> None:
    """Returns when the URL answers 200. Raises TimeoutError."""

    async def answers() -> bool:
        try:
            async with session.get(url) as response:
                return response.status == 200
        except aiohttp.ClientError:
            return False

    async with aiohttp.ClientSession() as session:
        await until(answers, within=30, what=f"{url} to be ready")


async def until(condition: Callable[[], Awaitable[Any]], *, within: float, what: str, every: float = 0.05) -> Any:
    """The first true result. Raises TimeoutError: what is measured did not happen."""
    deadline = time.monotonic() + within
    while not (result := await condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {within:.0f} s for {what}")
        await asyncio.sleep(every)
    return result


def require(is_so: bool, what: str) -> None:
    """Raises RuntimeError: something quick that does not do its work is no figure."""
    if not is_so:
        raise RuntimeError(f"this is no measurement: {what}")


class Cpu:
    """CPU time of several processes between two moments."""

    def __init__(self, groups: Mapping[str, Group | Several]) -> None:
        self._groups = dict(groups)
        self._before = self._now()

    def spent(self) -> dict[str, float]:
        """Seconds of each since it was made."""
        return {name: seconds - self._before[name] for name, seconds in self._now().items()}

    def _now(self) -> dict[str, float]:
        return {name: group.cpu_seconds() for name, group in self._groups.items()}


@dataclass(frozen=True)
class Cost:
    """What some work took: seconds by the clock, and CPU seconds of this process and of others."""

    seconds: float
    own: float
    others: Mapping[str, float]

    def each(self, count: int) -> list[str]:
        """For a row of a table: how many a second, and microseconds of CPU for each, here and elsewhere."""
        microseconds = (spent / count * 1e6 for spent in (self.own, *self.others.values()))
        return [f"{count / self.seconds:,.0f}", *(f"{each:.0f}" for each in microseconds)]


async def cost(work: Callable[[], Awaitable[None]], groups: Mapping[str, Group]) -> Cost:
    others, began, own = Cpu(groups), time.perf_counter(), time.process_time()
    await work()
    return Cost(time.perf_counter() - began, time.process_time() - own, others.spent())


def machine() -> str:
    """What a figure is worth little without."""
    memory = psutil.virtual_memory().total / 2**30
    return (
        f"{os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.release().split('-')[0]}, "
        f"Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}"
    )


def table(title: str, *columns: str) -> Table:
    """The first column names things, the others are figures."""
    made = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        made.add_column(column, justify="right" if number else "left")
    return made


def show(*tables: Table, note: str = "") -> None:
    for each in tables:
        console.print(each)
    console.print(f"{note}\n{machine()}" if note else machine(), highlight=False)


def quiet_logs() -> None:
    """Of what runs in this process."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
