"""What `init-test` does: the test database and its streams emptied, and a small gallery in it."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import asyncpg
import httpx

from genonaut.platform.provisioning import SERVICES, login
from genonaut.stack import given
from genonaut.stack.databases import streams
from genonaut.stack.databases.place import Place, RefusedError
from genonaut.stack.demo.gallery import seed
from genonaut.stack.http import get
from genonaut.stack.ports import free_port

PICTURES = 24
READY_SECONDS = 60.0


async def empty(place: Place) -> bool:
    """Removes all of the test environment; whether there was anything. Raises RefusedError for any other one."""
    if place.environment != "test" or "test" not in place.database:
        raise RefusedError(
            f"Only a test environment is emptied, and only a database with `test` in its name; this is {place.words}."
        )
    if (bus := given.nats("test")) and bus.variable != "NATS_URL_TEST":
        raise RefusedError(
            f"{bus.variable} may name the streams of another environment. Name those of test: NATS_URL_TEST."
        )
    connection = await asyncpg.connect(place.superuser_url)
    try:
        if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", place.database):
            return False
    finally:
        await connection.close()
    connection = await asyncpg.connect(place.inside_url)
    try:
        busy = await connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename = ANY($1)",
            [login(service) for service in SERVICES],
        )
        if busy:
            raise RefusedError(f"Services are at work on {place.words}. Stop them first: make down")
        for service in SERVICES:
            await connection.execute(f"DROP SCHEMA IF EXISTS {service} CASCADE")
    finally:
        await connection.close()
    await streams.start_again(place)
    return True


def hang_gallery(place: Place, objects: Path, *, pictures: int = PICTURES) -> int:
    """People, tags and pictures through the content service, which runs for that. How many pictures.

    The other services hear of them when they run. Raises RefusedError when content does not start.
    """
    port = free_port()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.endswith("_FILE")},
        "APP_ENV": place.environment,
        "DATABASE_URL": place.url(login("content")),
        "NATS_URL": place.nats_url,
        "OBJECT_STORE_URL": os.environ.get("OBJECT_STORE_URL") or objects.as_uri(),
        "API_SECRET_KEY": "signs nothing that lasts: it serves a few seconds",
        "API_HOST": "127.0.0.1",
        "API_PORT": str(port),
        "LOG_LEVEL": "WARNING",
    }
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryFile() as log:
        command = [sys.executable, "-m", "genonaut.content", "serve"]
        content = subprocess.Popen(command, env=environment, stdout=log, stderr=log)  # noqa: S603 - our own service
        try:
            _wait(content, f"{url}/ready")
            with httpx.Client(base_url=url, timeout=30) as api:
                seed(api, pictures, lambda _: None)
        except (httpx.HTTPError, TimeoutError) as error:
            log.seek(0)
            words = log.read().decode(errors="replace")[-2000:]
            raise RefusedError(f"The gallery could not be hung: {error}\n{words}") from error
        finally:
            content.terminate()
            content.wait(30)
    return pictures


def _wait(process: "subprocess.Popen[bytes]", url: str) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not get(url, timeout=1.0).ok:
        if process.poll() is not None or time.monotonic() > deadline:
            raise TimeoutError("content does not get ready")
        time.sleep(0.1)
