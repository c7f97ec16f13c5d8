"""The three servers: started, found again, told apart, kept."""

import asyncio
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import nats as nats_client
import psutil
import pytest

from genonaut.stack.child import ChildError
from genonaut.stack.http import Answer
from genonaut.stack.servers import Nats, Postgres, Server, ServerError, Valkey
from genonaut.stack.servers.nats import account_info
from genonaut.stack.servers.server import Installation, without_login

KINDS: list[type[Server]] = [Postgres, Nats, Valkey]


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> type[Server]:
    return request.param


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        yield holder.getsockname()[1]


def started(kind: type[Server], state: Path, **options) -> Server:
    if kind is not Valkey:
        options.setdefault("durable", False)
    server = kind(state, **options)
    server.start()
    return server


def test_stops_and_starts_again_with_the_same_login(kind: type[Server], state: Path) -> None:
    first = started(kind, state)
    url, pid = first.url(), first.pid
    first.stop()
    assert not psutil.pid_exists(pid)
    second = started(kind, state, prefer_port=first.port)
    assert second.url() == url
    second.stop()


def test_takes_another_port_when_the_preferred_one_is_taken(kind: type[Server], state: Path, taken_port: int) -> None:
    server = started(kind, state, prefer_port=taken_port)
    assert server.port != taken_port
    server.stop()


def test_a_port_taken_between_asking_and_listening_is_no_failure(
    kind: type[Server], state: Path, taken_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "genonaut.stack.servers.server.free_port",
        lambda prefer: prefer or socket_port(),
    )
    server = started(kind, state, prefer_port=taken_port)
    assert server.port != taken_port
    server.stop()


def socket_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_listens_on_this_machine_only(kind: type[Server], state: Path) -> None:
    server = started(kind, state)
    listening = {
        connection.laddr.ip
        for connection in psutil.Process(server.pid).net_connections()
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}
    server.stop()


def test_passwords_are_in_private_files_only(kind: type[Server], state: Path) -> None:
    server = started(kind, state)
    secret = server.credentials.all()
    server.stop()
    assert secret
    for path in state.rglob("*"):
        if path.is_file() and any(word in path.read_text(errors="replace") for word in secret.values()):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_a_second_starter_is_refused_while_the_first_lives(kind: type[Server], state: Path) -> None:
    first = started(kind, state)
    with pytest.raises(ChildError, match="already run by another process"):
        started(kind, state)
    assert psutil.pid_exists(first.pid)
    first.stop()


STARTER = """
import os, signal, sys
from pathlib import Path
from genonaut.stack import servers
server = getattr(servers, sys.argv[1])(Path(sys.argv[2]))
server.start()
print(server.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def start_and_die(kind: type[Server], state: Path) -> int:
    """The pid of a server whose starter was killed."""
    answer = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(STARTER), kind.__name__, str(state)],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert answer.returncode == -signal.SIGKILL
    return int(answer.stdout)


@pytest.mark.parametrize("pid_file", ["kept", "lost", "of another process"])
def test_an_orphan_is_found_and_ended(kind: type[Server], state: Path, pid_file: str) -> None:
    orphan = start_and_die(kind, state)
    assert psutil.pid_exists(orphan)
    file = state / kind.name / f"{kind.name}.pid"
    if pid_file == "lost":
        file.unlink()
    elif pid_file == "of another process":
        file.write_text(file.read_text().replace(str(orphan), str(os.getpid())))
    server = started(kind, state)
    assert server.pid != orphan
    assert not psutil.pid_exists(orphan) or psutil.Process(orphan).status() == psutil.STATUS_ZOMBIE
    server.stop()


def test_an_old_pid_file_ends_nobody(kind: type[Server], state: Path) -> None:
    orphan = start_and_die(kind, state)
    file = state / kind.name / f"{kind.name}.pid"
    record = file.read_text()
    os.kill(orphan, signal.SIGKILL)
    bystander = subprocess.Popen(["sleep", "60"])
    file.write_text(record.replace(str(orphan), str(bystander.pid)))
    server = started(kind, state)
    assert bystander.poll() is None
    server.stop()
    bystander.kill()
    bystander.wait()


def test_an_orphan_can_be_ended_without_a_start(kind: type[Server], state: Path) -> None:
    orphan = start_and_die(kind, state)
    kind(state).end_orphan()
    assert not psutil.pid_exists(orphan) or psutil.Process(orphan).status() == psutil.STATUS_ZOMBIE


def test_a_strangers_server_is_not_mistaken_for_ours(kind: type[Server], state: Path) -> None:
    """Same password, same port, another folder."""
    theirs = started(kind, state / "theirs")
    (state / "ours").mkdir()
    shutil.copy(state / "theirs/secrets.json", state / "ours/secrets.json")
    ours = kind(state / "ours")
    ours.port = theirs.port
    if isinstance(ours, Nats):
        ours.monitor_port = theirs.monitor_port
    with pytest.raises(ServerError, match="not our"):
        ours._verify(theirs.installation)
    theirs.stop()


@pytest.mark.parametrize("body", ["", "[]", '{"server_id": "x"}', '{"server_name": "x", "jetstream": null}'])
def test_a_monitor_that_says_nothing_of_itself_is_a_server_that_cannot_be_had(
    state: Path, monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    """The supervisor tries such a server again; any other error would be its end."""
    monkeypatch.setattr("genonaut.stack.servers.nats.get", lambda _: Answer(0 if not body else 200, body))
    with pytest.raises(ServerError, match="is no NATS that we could know by its name"):
        Nats(state)._verify(Installation("test", state, (2, 15)))


def test_a_given_url_is_used_and_nothing_started(kind: type[Server], state: Path) -> None:
    theirs = started(kind, state / "theirs")
    ours = started(kind, state / "ours", given=theirs.url())
    assert ours.url() == theirs.url()
    assert ours.pid is None
    assert ours.source == kind.variable
    ours.stop()
    assert psutil.pid_exists(theirs.pid)
    theirs.stop()


def test_a_given_url_that_nobody_answers_names_the_variable(kind: type[Server], state: Path) -> None:
    with pytest.raises(ServerError, match=rf"{kind.variable} is set, but nothing answers at 127.0.0.1:1\b"):
        kind(state, given="any://somebody:word@127.0.0.1:1/x").start()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:word@host:5432/db?sslmode=off&password=word", "postgresql://host:5432/db"),
        ("nats://me:word@one:4222,nats://me:word@two:4222", "nats://one:4222,nats://two:4222"),
        ("nats://token@one:4222", "nats://one:4222"),
        ("redis://:w%40rd@host/1", "redis://host/1"),
        ("postgresql:///db?host=/run/postgresql", "postgresql:///db"),
    ],
)
def test_logins_are_not_shown(url: str, shown: str) -> None:
    assert without_login(url) == shown


def test_of_several_given_addresses_the_first_is_asked(state: Path) -> None:
    with pytest.raises(ServerError, match=r"NATS_URL is set, but nothing answers at 127.0.0.1:1\."):
        Nats(state, given="nats://127.0.0.1:1,nats://127.0.0.1:2").start()


def test_a_given_url_that_is_none_is_named(kind: type[Server], state: Path) -> None:
    with pytest.raises(ServerError, match=f"{kind.variable} is no URL"):
        kind(state, given="any://host:port/").start()


def test_data_can_be_forgotten(kind: type[Server], state: Path) -> None:
    server = started(kind, state)
    server.stop()
    server.forget()
    assert not (state / kind.name).exists()


def test_a_server_that_ends_at_once_says_why(kind: type[Server], state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = kind._launch

    def broken(self, child, installation) -> None:
        spawn = child.spawn
        child.spawn = lambda argv, **options: spawn([argv[0], "--no-such-option"], **options)
        original(self, child, installation)

    monkeypatch.setattr(kind, "_launch", broken)
    with pytest.raises(ServerError, match=r"ended while starting. Its log .*\.log says:\n    .+"):
        kind(state).start()


async def test_committed_rows_survive_kill_9(state: Path) -> None:
    server = await asyncio.to_thread(started, Postgres, state, durable=True)
    connection = await asyncpg.connect(server.url())
    await connection.execute("create table kept (id int); insert into kept values (7)")
    connection.terminate()
    os.kill(server.pid, signal.SIGKILL)
    await asyncio.to_thread(server.stop)
    server = await asyncio.to_thread(started, Postgres, state)
    connection = await asyncpg.connect(server.url())
    assert await connection.fetchval("select id from kept") == 7
    await connection.close()
    await asyncio.to_thread(server.stop)


async def test_acknowledged_messages_survive_kill_9(state: Path) -> None:
    server = await asyncio.to_thread(started, Nats, state, durable=True)
    client = await nats_client.connect(server.url(), allow_reconnect=False)
    stream = client.jetstream()
    await stream.add_stream(name="KEPT", subjects=["kept.>"])
    await stream.publish("kept.one", b"7", stream="KEPT", timeout=5)
    os.kill(server.pid, signal.SIGKILL)
    await client.close()
    await asyncio.to_thread(server.stop)
    server = await asyncio.to_thread(started, Nats, state)
    again = await nats_client.connect(server.url())
    assert (await again.jetstream().get_msg("KEPT", seq=1)).data == b"7"
    await again.close()
    await asyncio.to_thread(server.stop)


async def test_environments_do_not_see_each_other(state: Path) -> None:
    server = await asyncio.to_thread(started, Nats, state, environment="demo")
    demo, dev = [await nats_client.connect(url) for url in (server.url(), server.url("dev"))]
    await demo.jetstream().add_stream(name="MINE", subjects=["mine.>"])
    assert [one.config.name for one in await demo.jetstream().streams_info()] == ["MINE"]
    assert await dev.jetstream().streams_info() == []
    await demo.close()
    await dev.close()
    await asyncio.to_thread(server.stop)


async def test_nobody_gets_in_without_a_password(state: Path) -> None:
    servers = [await asyncio.to_thread(started, kind, state) for kind in KINDS]
    postgres, nats, valkey = servers
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(postgres.url(user="postgres", password="guess"))
    for login in ("", "dev-admin@", "dev-admin:guess@", "nobody:guess@"):
        with pytest.raises(ServerError, match="Authorization Violation"):
            account_info(f"nats://{login}127.0.0.1:{nats.port}")
    with socket.create_connection(("127.0.0.1", valkey.port)) as connection:
        connection.sendall(b"*1\r\n$4\r\nPING\r\n")
        assert connection.recv(100).startswith(b"-NOAUTH")
    for server in servers:
        await asyncio.to_thread(server.stop)


def test_the_cluster_is_utf8_without_a_locale(state: Path) -> None:
    server = started(Postgres, state, durable=True)
    assert server.sql("select datcollate || ' ' || pg_encoding_to_char(encoding) from pg_database") == (
        "C UTF8\nC UTF8\nC UTF8"
    )
    assert server.sql("show fsync") == "on"
    assert server.sql("show unix_socket_directories") == ""
    server.stop()


def test_wrong_secrets_are_named(state: Path) -> None:
    server = started(Postgres, state)
    server.stop()
    (state / "secrets.json").unlink()
    with pytest.raises(ServerError, match=r"secrets.json does not belong to the data .*make reset"):
        Postgres(state).start()
