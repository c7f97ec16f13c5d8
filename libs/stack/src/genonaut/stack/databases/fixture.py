"""What `init-test` does: the test database and its streams emptied, and a small gallery in it."""

import os
import re
import subprocess
import tempfile
import time
from pathlib import Path

import asyncpg
import httpx

from genonaut.platform.provisioning import SERVICES, login
from genonaut.stack import given
from genonaut.stack.databases import streams
from genonaut.stack.databases.place import Place, RefusedError, require_quiet
from genonaut.stack.demo.gallery import seed
from genonaut.stack.http import get
from genonaut.stack.ports import free_port
from genonaut.stack.processes import Process

PICTURES = 24
READY_SECONDS = 60.0


async def empty(place: Place) -> bool:
    """Removes all of the test environment; whether its database was there. Raises RefusedError for any other one."""
    others = {given.database(environment) for environment in given.DATABASES if environment != "test"}
    named_test = re.search(r"(^|[_-])test([_-]|$)", place.database)
    if place.environment != "test" or not named_test or place.database in others:
        raise RefusedError(
            f"Only a test environment is emptied, and only a database with `test` in its name; this is {place.words}."
        )
    if (bus := given.nats("test")) and bus.variable != "NATS_URL_TEST":
        raise RefusedError(
            f"{bus.variable} may name the streams of another environment. Name those of test: NATS_URL_TEST."
        )
    was_there = await _drop_schemas(place)
    await streams.remove(place)
    return was_there


async def _drop_schemas(place: Place) -> bool:
    try:
        connection = await asyncpg.connect(place.inside_url)
    except asyncpg.InvalidCatalogNameError:
        return False
    try:
        await require_quiet(connection, place)
        for service in SERVICES:
            await connection.execute(f"DROP SCHEMA IF EXISTS {service} CASCADE")
    finally:
        await connection.close()
    return True


def hang_gallery(place: Place, objects: Path, *, pictures: int = PICTURES) -> int:
    """People, tags and pictures through the content service, which runs for that. How many pictures.

    The other services hear of them when they run. Raises RefusedError when content does not start.
    """
    url = f"http://127.0.0.1:{free_port()}"
    service = Process(
        "content",
        ("-m", "genonaut.content", "serve"),
        {
            "APP_ENV": place.environment,
            "DATABASE_URL": place.url(login("content")),
            "NATS_URL": place.nats_url,
            "OBJECT_STORE_URL": os.environ.get("OBJECT_STORE_URL") or objects.as_uri(),
            "API_SECRET_KEY": "signs nothing that lasts: it serves a few seconds",
            "API_HOST": "127.0.0.1",
            "API_PORT": url.rpartition(":")[2],
        },
    )
    with tempfile.TemporaryFile() as log:
        content = subprocess.Popen(service.command(), env=service.environment(), stdout=log, stderr=log)  # noqa: S603 - ours
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
