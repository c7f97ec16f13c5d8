"""Real servers for tests: started when the first test asks, shared by the session, gone afterwards.

They are never the ones of a running stack: their state is a temporary folder, and only TEST_DATABASE_URL,
TEST_NATS_URL and TEST_REDIS_URL name servers from outside; TEST_CONTAINERS=1 runs the others in containers, and skips
what needs them where there is no Docker. What a killed session left running, the next one ends.
"""

import asyncio
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from genonaut.stack.child import BusyError
from genonaut.stack.servers import Nats, Postgres, Valkey
from genonaut.testkit.docker import without_docker

_PREFIX = "genonaut-test-"


@pytest.fixture(scope="session")
def server_state() -> Iterator[Path]:
    """The folder of this session's servers, removed at the end."""
    _sweep()
    folder, lock = _claim_folder()
    yield folder
    _remove(folder)
    os.close(lock)


@pytest.fixture(scope="session")
def postgres(server_state: Path) -> Iterator[Postgres]:
    """A running Postgres (no fsync); `postgres.url()` is the superuser's."""
    with _given("TEST_DATABASE_URL", "postgres") as url:
        server = Postgres(server_state, given=url, durable=False)
        server.start()
        yield server
        server.stop()


@pytest.fixture(scope="session")
def nats_server(server_state: Path) -> Iterator[Nats]:
    """A running NATS with JetStream; `nats_server.url()` is the account `test`."""
    with _given("TEST_NATS_URL", "nats") as url:
        server = Nats(server_state, given=url, environment="test", durable=False)
        server.start()
        yield server
        server.stop()


@pytest.fixture(scope="session")
def nats(nats_server: Nats) -> str:
    """The URL of a running NATS with JetStream."""
    return nats_server.url()


@pytest.fixture(scope="session")
def valkey_server(server_state: Path) -> Iterator[Valkey]:
    """A running Valkey (or Redis)."""
    with _given("TEST_REDIS_URL", "valkey") as url:
        server = Valkey(server_state, given=url)
        server.start()
        yield server
        server.stop()


@pytest.fixture(scope="session")
def valkey(valkey_server: Valkey) -> str:
    """The URL of a running Valkey (or Redis)."""
    return valkey_server.url()


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[Valkey]:
    """A running Valkey of this test's own, which it may stop, and start again at the same port."""
    server = Valkey(tmp_path / "valkey")
    server.start()
    server.prefer_port = server.port
    yield server
    server.stop()


@contextmanager
def _given(variable: str, server: str) -> Iterator[str | None]:
    """The URL of a server that is not a process of ours, if it shall be none."""
    url = os.environ.get(variable)
    if url or os.environ.get("TEST_CONTAINERS") != "1":
        yield url
        return
    if why := without_docker():
        pytest.skip(f"TEST_CONTAINERS=1 needs Docker: start it, set {variable}, or leave TEST_CONTAINERS out ({why})")
    from genonaut.testkit import containers  # noqa: PLC0415 - half a second that other sessions save

    with containers.running(server) as url:
        yield url


def fresh_database(postgres: Postgres, *, template: str = "template0") -> str:
    """The superuser's URL of a new database: empty, or a copy of `template` (which nobody may be using).

    It goes with the session's server.
    """
    name = f"genonaut_test_{uuid4().hex[:12]}"
    as_superuser(postgres, f'create database "{name}" template "{template}" strategy file_copy')
    return postgres.url(database=name)


def as_superuser(postgres: Postgres, statement: str) -> None:
    """Runs one statement in the database postgres. Callable from sync and async tests alike."""

    async def execute() -> None:
        connection = await asyncpg.connect(postgres.url())
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    # In a thread of its own: an async test already runs a loop in this one.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, execute()).result()


def _claim_folder() -> tuple[Path, int]:
    """A new folder and the lock that says that its session lives."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        folder.chmod(0o711)  # the user of Postgres passes through
        if (lock := _try_lock(folder)) is not None:
            return folder, lock


def _try_lock(folder: Path) -> int | None:
    try:
        lock = os.open(folder / "session", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:  # swept by another session, or another user's
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def _remove(folder: Path) -> None:
    for part in (folder / "postgres", folder):
        shutil.rmtree(part.resolve(), ignore_errors=True)


def _sweep() -> None:
    """Ends and removes what killed sessions of this user left; leaves living sessions alone."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        if (lock := _try_lock(folder)) is None:
            continue
        try:
            for server in (Postgres(folder), Nats(folder), Valkey(folder)):
                server.end_orphan()
        except BusyError:  # somebody else is sweeping, or a session is just beginning there
            pass
        else:
            _remove(folder)
        os.close(lock)
