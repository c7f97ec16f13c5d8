"""Up, down, kill -9, crashes, neighbours: with real servers and tiny services."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import nats as nats_client
import nats.errors
import psutil
import pytest

from genonaut.stack.child import ChildError
from genonaut.stack.http import get
from genonaut.stack.inspection import look
from genonaut.stack.local import SECRETS, LocalStack, StackError
from genonaut.stack.ports import free_port
from genonaut.stack.processes import Plan, Planner
from genonaut.stack.servers import Nats, Postgres, Server, Valkey
from genonaut.stack.site import Site
from genonaut.stack.supervisor import Supervisor
from genonaut.testkit.disks import SmallDisk, small_disk
from genonaut.testkit.processes import alive
from genonaut.testkit.waiting import wait_until

HERE = Path(__file__).parent
NAMES = ["postgres", "nats", "valkey", "first", "second", "gateway"]


@pytest.fixture(autouse=True)
def caller(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*SECRETS, "APP_ENV", "API_PORT", "GENONAUT_STATE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(f"{name}_FILE", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    monkeypatch.setenv("API_PORT", str(free_port()))


@pytest.fixture
def stack(state: Path) -> Iterator[LocalStack]:
    stack = LocalStack(HERE, state, planner="fake_platform:plan")
    # Not the usual ones, which another stack of this machine may take whenever they are free.
    stack.file.write({"pid": 0, "ports": {name: free_port() for name in ("postgres", "nats", "valkey")}})
    yield stack
    pids = all_pids(stack)
    stack.down()
    wait_until(lambda: not any(alive(pid) for pid in pids))


def pids_by_name(stack: LocalStack) -> dict[str, int]:
    return {name: entry["pid"] for name, entry in stack.read().get("processes", {}).items()}


def all_pids(stack: LocalStack) -> list[int]:
    pids = [stack.read().get("pid"), *pids_by_name(stack).values()]
    return [pid for pid in pids if pid]


def sql(stack: LocalStack, statement: str) -> str:
    server = Postgres(stack.state)
    server.port = stack.read()["ports"]["postgres"]
    from genonaut.stack.servers import installations

    return server._psql(installations.postgres()[0], statement)


def test_up_down_up_keeps_data_and_ports(stack: LocalStack) -> None:
    steps: list[str] = []
    first = stack.up(on_step=steps.append)
    assert first["state"] == "ready"
    assert list(first["processes"]) == NAMES
    assert [one.name for one in look(stack) if not one.ok] == []
    assert [step.split()[:2] for step in steps] == [
        ["starting", "postgres"],
        ["starting", "nats"],
        ["starting", "valkey"],
        ["preparing", "the"],
        ["starting", "the"],
    ]
    sql(stack, "create table kept as select 7 as id")
    assert stack.down() is True
    assert not any(alive(pid) for pid in all_pids(stack))
    assert stack.read()["state"] == "stopped"
    assert (stack.state / "ends").read_text().split()[0] == "gateway"
    assert sorted((stack.state / "ends").read_text().split()) == ["first", "gateway", "second"]

    second = stack.up()
    assert second["ports"] == first["ports"]
    assert sql(stack, "select id from kept") == "7"
    assert (stack.state / "prepared.txt").read_text() == "x"


def test_down_of_nothing_is_no_error(stack: LocalStack) -> None:
    assert stack.down() is False
    assert look(stack) == []


def test_stack_json_has_no_secrets_and_secrets_are_private(stack: LocalStack) -> None:
    stack.up()
    secrets = json.loads((stack.state / "secrets.json").read_text()).values()
    assert secrets
    readable = [stack.file.path.read_text(), *(log.read_text() for log in (stack.state / "logs").iterdir())]
    assert not [word for word in secrets for text in readable if word in text]
    env = stack.state / "env/first.env"
    assert env.stat().st_mode & 0o777 == 0o600
    assert env.read_text().startswith("DATABASE_URL=postgresql://genonaut_first:")
    assert env.read_text().endswith("/genonaut\n")


def test_the_supervisor_is_small(stack: LocalStack) -> None:
    stack.up()
    supervisor = look(stack)[0]
    assert supervisor.name == "supervisor"
    assert 0 < supervisor.memory < 25_000_000


@pytest.mark.parametrize("what", ["everything", "the supervisor"])
def test_up_after_kill_9(stack: LocalStack, what: str) -> None:
    stack.up()
    sql(stack, "create table kept as select 7 as id")
    killed = all_pids(stack)
    for pid in killed if what == "everything" else killed[:1]:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not stack.is_running())
    assert stack.up()["state"] == "ready"
    assert not set(killed) & set(all_pids(stack))
    wait_until(lambda: not any(alive(pid) for pid in killed))
    assert sql(stack, "select id from kept") == "7"


def test_down_after_kill_9_of_the_supervisor_ends_everything(stack: LocalStack) -> None:
    stack.up()
    pids = all_pids(stack)
    os.kill(pids[0], signal.SIGKILL)
    wait_until(lambda: not stack.is_running())
    assert all(alive(pid) for pid in pids[1:])
    assert stack.down() is True
    assert not any(alive(pid) for pid in pids)


def test_a_crashed_process_comes_back_and_nobody_else_is_touched(stack: LocalStack) -> None:
    before = stack.up()["processes"]
    get(before["second"]["url"] + "/crash")

    def is_back() -> bool:
        entry = stack.read()["processes"]["second"]
        return entry["state"] == "ready" and entry["restarts"] == 1

    wait_until(is_back)
    after = stack.read()["processes"]
    assert [name for name in NAMES if before[name]["pid"] != after[name]["pid"]] == ["second"]
    assert get(after["second"]["ready"]).ok


@pytest.mark.parametrize("name", ["postgres", "nats", "valkey"])
def test_a_killed_server_comes_back_where_it_was(stack: LocalStack, name: str) -> None:
    before = stack.up()["processes"]
    os.kill(before[name]["pid"], signal.SIGKILL)
    wait_until(lambda: stack.read()["processes"][name]["restarts"] == 1)
    after = stack.read()["processes"]
    assert after[name]["url"] == before[name]["url"]
    assert alive(after[name]["pid"])
    assert after["first"]["pid"] == before["first"]["pid"]


def test_a_bus_that_met_a_full_disk_starts_again_when_there_is_room(stack: LocalStack, tmp_path: Path) -> None:
    """nats-server itself refuses everything for a stream that once could not be written, until it is started again."""
    with small_disk(tmp_path / "disk", megabytes=64) as disk:
        if disk is None:
            pytest.skip("mounting a small disk takes root")
        tmp_path.chmod(0o755)
        disk.hold(stack.state / "nats")
        before = stack.up("test")["processes"]["nats"]
        bus = Nats(stack.state, environment="test")
        bus.port = before["port"]
        asyncio.run(_write_until_it_fails(bus.url(), disk))

        disk.free()

        wait_until(lambda: stack.read()["processes"]["nats"]["restarts"] == 1)
        asyncio.run(_write(bus.url()))
        stack.down()  # before the disk goes


def test_a_full_disk_ends_nobody(stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be started or told now is started and told when there is room."""
    monkeypatch.setattr("genonaut.stack.local.LEAST_FREE", 1)
    tmp_path.chmod(0o755)
    with small_disk(tmp_path / "disk", megabytes=128) as disk:
        if disk is None:
            pytest.skip("mounting a small disk takes root")
        stack = LocalStack(HERE, disk.folder / "state", planner="fake_platform:plan")
        try:
            before = stack.up()["processes"]
            disk.fill()
            os.kill(before["second"]["pid"], signal.SIGKILL)
            wait_until(lambda: not psutil.pid_exists(before["second"]["pid"]))  # the supervisor has seen its end
            assert [name for name in NAMES if not alive(before[name]["pid"])] == ["second"]

            disk.free()

            wait_until(lambda: pids_by_name(stack)["second"] not in {None, before["second"]["pid"]})
            wait_until(lambda: [one.name for one in look(stack) if not one.ok] == [])
        finally:
            stack.down()  # before the disk goes


async def _write_until_it_fails(url: str, disk: SmallDisk) -> None:
    client = await nats_client.connect(url, allow_reconnect=False)
    await client.jetstream().add_stream(name="FULL", subjects=["full.>"])
    disk.fill()
    with pytest.raises(nats_client.errors.Error):
        await client.jetstream().publish("full.one", bytes(100_000), timeout=2)
    await client.close()


async def _write(url: str) -> None:
    client = await nats_client.connect(url, allow_reconnect=False)
    await client.jetstream().publish("full.one", b"x", timeout=5)
    await client.close()


def test_a_server_that_has_to_move_takes_everybody_along(stack: LocalStack) -> None:
    before = stack.up()
    supervisor, nats = before["pid"], before["processes"]["nats"]
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)

        def squats() -> bool:
            try:
                squatter.bind(("127.0.0.1", nats["port"]))
            except OSError:
                return False
            return True

        os.kill(supervisor, signal.SIGSTOP)
        try:
            os.kill(nats["pid"], signal.SIGKILL)
            wait_until(squats)
            squatter.listen()
        finally:
            os.kill(supervisor, signal.SIGCONT)
        wait_until(lambda: stack.read()["processes"]["nats"]["port"] != nats["port"])
        new_url = stack.read()["processes"]["nats"]["url"].removeprefix("nats://")

        def follows() -> bool:
            entry = stack.read()["processes"]["first"]
            if entry["state"] != "ready":
                return False
            return psutil.Process(entry["pid"]).environ()["NATS_URL"].endswith(new_url)

        wait_until(follows)


def test_a_server_that_moved_in_a_start_that_failed_is_followed(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What counts is where the processes look for it, not where the last start tried."""
    plans = []
    supervisor = Supervisor(root=HERE, state=state, environment="dev", version="", planner=planned(plans))
    nats = supervisor._site.nats
    nats.port = free_port()
    supervisor._make_plan()
    elsewhere = free_port()
    troubles = [ChildError("the first start on it fails")]

    def start() -> None:
        nats.port = elsewhere
        if troubles:
            raise troubles.pop()

    monkeypatch.setattr(nats, "start", start)
    supervisor._restart_server(nats)
    assert elsewhere not in plans
    supervisor._restart_server(nats)
    assert plans[-1] == elsewhere


def test_a_server_that_cannot_start_holds_up_no_other(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    supervisor = Supervisor(root=HERE, state=state, environment="dev", version="", planner=planned([]))
    tried: list[str] = []

    def start(server: Server) -> None:
        tried.append(server.name)
        raise ChildError(f"{server.name} cannot be started")

    monkeypatch.setattr(Server, "start", start)
    monkeypatch.setattr("genonaut.stack.supervisor.time.monotonic", lambda: 1000.0)
    for _ in range(2):
        supervisor._look()
    assert tried == ["postgres", "nats", "valkey"]


def planned(ports: list[int]) -> Planner:
    """Runs nothing; notes where NATS is."""

    def plan(site: Site) -> Plan:
        ports.append(site.nats.port)
        return Plan(processes=())

    return plan


def test_the_log_of_a_process_that_runs_for_long_does_not_grow_for_ever(stack: LocalStack) -> None:
    stack.up()
    log = stack.state / "logs/second.log"
    os.truncate(log, 6_000_000)
    get(stack.read()["processes"]["first"]["url"] + "/crash")  # so that the supervisor looks soon
    wait_until(lambda: log.stat().st_size == 0)
    assert log.with_name("second.log.1").stat().st_size == 6_000_000


def test_a_process_that_cannot_start_is_named_with_its_last_words(
    stack: LocalStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_TROUBLE", "second:crash")
    with pytest.raises(
        StackError, match=r"(?s)second is not ready: .* exit code 1.*second.log says:.*I cannot live"
    ) as e:
        stack.up()
    assert "first" not in str(e.value)
    assert stack.read()["state"] == "failed"
    assert not stack.is_running()
    assert not any(alive(pid) for pid in all_pids(stack))
    monkeypatch.delenv("FAKE_TROUBLE")
    assert stack.up()["state"] == "ready"


def test_a_failing_preparation_is_told_and_tried_again(stack: LocalStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_TROUBLE", "prepare:the database is unfit")
    with pytest.raises(StackError, match=r"(?s)Preparing the servers failed.*the database is unfit"):
        stack.up()
    monkeypatch.delenv("FAKE_TROUBLE")
    stack.up()
    assert (stack.state / "prepared.txt").read_text() == "xx"


def test_lost_data_are_prepared_again(stack: LocalStack) -> None:
    stack.up()
    stack.down()
    (stack.state / "nats/prepared").unlink()
    stack.up()
    assert (stack.state / "prepared.txt").read_text() == "xx"


def test_a_taken_api_port_moves_to_the_next_and_says_so(stack: LocalStack) -> None:
    with socket.create_server(("127.0.0.1", int(os.environ["API_PORT"]))):
        content = stack.up()
    assert 0 < content["ports"]["gateway"] - int(os.environ["API_PORT"]) < 10
    assert content["notes"] == [f"The API listens on {content['ports']['gateway']}."]
    assert get(content["processes"]["gateway"]["ready"]).ok


def test_two_stacks_live_side_by_side(stack: LocalStack) -> None:
    mine = stack.up()
    other = LocalStack(HERE, stack.state / "neighbour", planner="fake_platform:plan")
    try:
        theirs = other.up()
        assert not set(mine["ports"].values()) & set(theirs["ports"].values())
        other.down()
        assert [one.name for one in look(stack) if not one.ok] == []
    finally:
        other.down()


def test_up_of_a_running_stack_changes_nothing(stack: LocalStack) -> None:
    first = stack.up()
    assert stack.up() == first


def test_two_who_start_it_at_once_get_the_same_stack(stack: LocalStack) -> None:
    other = LocalStack(HERE, stack.state, planner="fake_platform:plan")
    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(lambda one: one.up(), (stack, other))
    assert first["state"] == "ready"
    assert first["pid"] == second["pid"]


def test_another_environment_restarts_the_stack_in_it_and_it_stays(
    stack: LocalStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert stack.up()["environment"] == "dev"
    monkeypatch.setenv("APP_ENV", "demo")
    content = stack.up()
    assert content["environment"] == "demo"
    assert content["processes"]["postgres"]["url"].endswith("/genonaut_demo")
    monkeypatch.delenv("APP_ENV")
    stack.down()
    assert stack.up()["environment"] == "demo"


def test_other_settings_restart_the_stack_and_the_same_do_not(
    stack: LocalStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = stack.up()
    assert stack.up()["pid"] == before["pid"]
    port = free_port()
    monkeypatch.setenv("API_PORT", str(port))

    steps: list[str] = []
    after = stack.up(on_step=steps.append)

    assert steps[0] == "stopping the stack, which runs with another API_PORT"
    assert after["ports"]["gateway"] == port
    assert str(port) not in json.dumps(after["asked_for"])
    monkeypatch.delenv("API_PORT")
    assert stack.up()["pid"] == after["pid"]


def test_what_a_killed_supervisor_left_is_named(stack: LocalStack) -> None:
    stack.up()
    assert stack.left() == []
    os.kill(stack.read()["pid"], signal.SIGKILL)

    wait_until(lambda: not stack.is_running())
    assert sorted(stack.left()) == sorted(NAMES)
    stack.down()
    assert stack.left() == []


def test_a_state_folder_that_is_a_file_is_said_so(state: Path) -> None:
    (state / "file").touch()
    for path in (state / "file", state / "file" / "below"):
        with pytest.raises(StackError, match="has to be a folder, and is something else"):
            LocalStack(HERE, path).up()


def test_a_full_disk_is_said_so(stack: LocalStack, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = SimpleNamespace(free=20 * 1024 * 1024)
    monkeypatch.setattr("genonaut.stack.local.shutil.disk_usage", lambda _: usage)

    with pytest.raises(StackError, match="is full: 20 MB are free, a stack needs 300 MB"):
        stack.up()


def test_a_state_folder_that_is_a_mount_point_stays_and_is_emptied(
    stack: LocalStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    (stack.state / "objects").mkdir()
    (stack.state / "stack.json").write_text("{}")
    monkeypatch.setattr(Path, "is_mount", lambda path: path == stack.state)

    stack.reset()

    assert list(stack.state.iterdir()) == []


def test_an_unknown_environment_is_refused(stack: LocalStack) -> None:
    with pytest.raises(StackError, match="APP_ENV is 'production'; it is one of dev, demo, test, prod"):
        stack.up("production")


@pytest.mark.parametrize("variable", ["DATABASE_URL", "DATABASE_URL_FILE"])
def test_given_servers_are_used_and_left_alone(
    stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    postgres = Postgres(stack.state / "theirs", durable=False)
    postgres.start()
    (tmp_path / "url").write_text(postgres.url() + "\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(variable, "url" if variable.endswith("_FILE") else postgres.url())
    entry = stack.up()["processes"]["postgres"]
    assert (entry["pid"], entry["state"], entry["source"]) == (None, "ready", "DATABASE_URL")
    assert not (stack.state / "postgres/data").exists()
    stack.down()
    assert alive(postgres.pid)
    postgres.stop()


@pytest.mark.parametrize("name", ["DATABASE_URL", "NATS_URL", "REDIS_URL", "API_SECRET_KEY"])
def test_a_secret_whose_file_is_not_there_is_named(
    stack: LocalStack, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(f"{name}_FILE", "/nowhere/secret")
    with pytest.raises(StackError, match=f"{name}_FILE names /nowhere/secret, which cannot be read"):
        stack.up()


def test_another_secret_in_the_same_file_restarts_the_stack(
    stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    valkey = Valkey(stack.state / "theirs")
    valkey.start()
    file = tmp_path / "url"
    file.write_text(valkey.url(0))
    monkeypatch.setenv("REDIS_URL_FILE", str(file))
    before = stack.up()
    assert stack.up()["pid"] == before["pid"]
    file.write_text(valkey.url(1))

    steps: list[str] = []
    after = stack.up(on_step=steps.append)

    assert steps[0] == "stopping the stack, which runs with another REDIS_URL"
    assert after["processes"]["valkey"]["url"] == before["processes"]["valkey"]["url"].removesuffix("0") + "1"
    stack.down()
    valkey.stop()


def test_reset_forgets_everything(stack: LocalStack) -> None:
    stack.up()
    pids = all_pids(stack)
    stack.reset()
    assert not any(alive(pid) for pid in pids)
    assert not stack.state.exists()
    stack.state.mkdir()


def test_a_supervisor_that_stops_answers_nobody_twice(stack: LocalStack) -> None:
    stack.up()
    subprocess.run([sys.executable, "-c", DOWN, str(stack.state)], check=True)
    assert stack.down() is False


DOWN = """
import sys
from pathlib import Path
from genonaut.stack.local import LocalStack
assert LocalStack(Path.cwd(), Path(sys.argv[1])).down()
"""


def test_the_supervisor_imports_only_the_standard_library() -> None:
    script = (
        "import sys; before = set(sys.modules)\n"
        "import genonaut.stack.supervisor, genonaut.stack.processes\n"
        "print(*(name for name in set(sys.modules) - before"
        " if 'site-packages' in (getattr(sys.modules[name], '__file__', None) or '')))"
    )
    answer = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert answer.stdout.split() == []
