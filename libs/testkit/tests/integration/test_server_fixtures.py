"""The session's servers answer, databases are new and separate, and nothing stays behind."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import nats as nats_client
import pytest
import redis.asyncio

from genonaut.stack.servers import Postgres
from genonaut.testkit.processes import alive
from genonaut.testkit.servers import fresh_database
from genonaut.testkit.waiting import wait_until


async def test_a_fresh_database_is_empty_and_nobody_elses(postgres: Postgres) -> None:
    urls = [fresh_database(postgres) for _ in range(2)]
    first, second = [await asyncpg.connect(url) for url in urls]
    await first.execute("create table only_here (id int)")
    assert await second.fetchval("select to_regclass('only_here')") is None
    assert await first.fetchval("show server_encoding") == "UTF8"
    await first.close()
    await second.close()


async def test_a_fresh_database_can_be_a_copy(postgres: Postgres) -> None:
    model = fresh_database(postgres)
    connection = await asyncpg.connect(model)
    await connection.execute("create table copied (id int)")
    await connection.close()
    connection = await asyncpg.connect(fresh_database(postgres, template=model.rpartition("/")[2]))
    assert await connection.fetchval("select to_regclass('copied')") == "copied"
    await connection.close()


async def test_nats_has_jetstream_in_the_account_of_tests(nats: str) -> None:
    client = await nats_client.connect(nats)
    account = await client.jetstream().account_info()
    assert account.api.level >= 3
    await client.close()


async def test_valkey_answers(valkey: str) -> None:
    client = redis.asyncio.from_url(valkey)
    assert await client.set("key", "value")
    assert await client.config_get("maxmemory-policy") == {"maxmemory-policy": "allkeys-lru"}
    await client.aclose()


@pytest.fixture
def session_folder() -> Iterator[Path]:
    """The temporary files of a pytest of its own; no other session sweeps there."""
    folder = Path(tempfile.mkdtemp(prefix="genonaut-session-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


SESSION = """
import os, signal, threading, time
from pathlib import Path

def test_everything(postgres, nats, valkey, server_state):
    Path("pids").write_text(" ".join(
        (server_state / name / f"{name}.pid").read_text().split(",")[0].rpartition(" ")[2]
        for name in ("postgres", "nats", "valkey")
    ))
    Path("state").write_text(str(server_state))
    os.kill(os.getpid(), signal.SIGNAL)
    threading.Event().wait(30)
"""


def _pytest(folder: Path, **environment: str) -> str:
    """What it says."""
    # The servers' fixtures alone: what else there is takes seconds to import.
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "genonaut.testkit.servers"],
        cwd=folder,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "TMPDIR": str(folder), **environment},
        capture_output=True,
        check=False,
        text=True,
    ).stdout


def _run_session(folder: Path, how: str) -> tuple[list[int], Path]:
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "test_session.py").write_text(textwrap.dedent(SESSION).replace("SIGNAL", how))
    _pytest(folder)
    return [int(pid) for pid in (folder / "pids").read_text().split()], Path((folder / "state").read_text())


def test_ctrl_c_leaves_nothing(session_folder: Path) -> None:
    pids, state = _run_session(session_folder, "SIGINT")
    assert len(pids) == 3
    assert not any(alive(pid) for pid in pids)
    assert not state.exists()


def test_a_killed_session_is_cleaned_up_by_the_next(session_folder: Path) -> None:
    pids, state = _run_session(session_folder, "SIGKILL")
    assert state.exists()
    try:
        assert all(alive(pid) for pid in pids)
        _run_session(session_folder, "SIGINT")
        wait_until(lambda: not any(alive(pid) for pid in pids))
        assert not state.exists()
    finally:
        for pid in pids:
            if alive(pid):
                os.kill(pid, signal.SIGKILL)


def test_a_session_without_servers_starts_none(session_folder: Path) -> None:
    (session_folder / "test_unit.py").write_text("def test_unit(): open('ran', 'w').close()\n")
    (session_folder / "pytest.ini").write_text("[pytest]\n")
    _pytest(session_folder)
    assert (session_folder / "ran").exists()
    assert not list(session_folder.glob("genonaut-test-*"))


def test_containers_that_cannot_be_are_asked_for_once_and_what_needs_them_is_skipped(session_folder: Path) -> None:
    programs = session_folder / "programs"
    programs.mkdir()
    docker = programs / "docker"
    docker.write_text(f"#!/bin/sh\necho $* >> {session_folder}/asked\necho 'Is the daemon running?' >&2\nexit 1\n")
    docker.chmod(0o755)
    (session_folder / "pytest.ini").write_text("[pytest]\n")
    (session_folder / "test_servers.py").write_text(
        "def test_one(postgres): ...\ndef test_two(postgres, nats): ...\n"
        "def test_three(valkey): ...\ndef test_none(): ...\n"
    )
    given = dict.fromkeys(("TEST_DATABASE_URL", "TEST_NATS_URL", "TEST_REDIS_URL"), "")

    said = _pytest(session_folder, PATH=f"{programs}:{os.environ['PATH']}", TEST_CONTAINERS="1", **given)

    assert "1 passed, 3 skipped" in said, said
    assert "start it, set TEST_DATABASE_URL, or" in said
    assert "Is the daemon running?" in said
    assert (session_folder / "asked").read_text() == "info\ncompose version\n"
