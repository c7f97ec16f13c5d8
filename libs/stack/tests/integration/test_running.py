"""One process of a stack: ready, not ready, hung, crashed, started again."""

import errno
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from genonaut.stack.child import ChildError
from genonaut.stack.http import get
from genonaut.stack.ports import free_port
from genonaut.stack.processes import Plan, Process
from genonaut.stack.running import Running
from genonaut.stack.supervisor import Supervisor
from genonaut.testkit.processes import alive
from genonaut.testkit.waiting import wait_until

HERE = Path(__file__).parent
HUNG_AFTER = 3


@pytest.fixture
def running(state: Path) -> Iterator[Running]:
    url = f"http://127.0.0.1:{free_port()}"
    env = {"PORT": url.rpartition(":")[2], "STATE": str(state), "NAME": "it", "TROUBLE": "never-ready"}
    process = Process("it", (str(HERE / "fake_service.py"),), env, url=url, ready=f"{url}/ready")
    running = Running(process, state / "run", state / "logs/it.log", cwd=state)
    yield running
    running.stop()


def test_a_process_that_is_never_ready_says_what_is_missing(running: Running) -> None:
    running.start()
    wait_until(lambda: get(running.process.url).status == 503)
    assert running.look() is False
    assert running.state == "starting"
    assert 'answers 503: {"database": "unreachable"}' in running.why_not_ready()


def ready(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs, was ready, and is asked at every look."""
    monkeypatch.setattr("genonaut.stack.running.ASK_SECONDS", 0.0)
    monkeypatch.setattr("genonaut.stack.running.HUNG_AFTER", HUNG_AFTER)
    running.process = replace(running.process, env={**running.process.env, "TROUBLE": ""})
    running.start()
    wait_until(lambda: running.look() and running.state == "ready")


def test_a_process_whose_servers_are_away_is_said_to_be_not_ready_and_goes_on(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready(running, monkeypatch)
    pid = running.child.pid
    away = Path(running.process.env["STATE"], "server-away")
    away.touch()
    assert running.look()
    for _ in range(HUNG_AFTER + 1):
        assert running.look() is False
        assert (running.state, running.is_hung) == ("not ready", False)

    away.unlink()

    assert running.look()
    assert (running.state, running.child.pid, running.restarts) == ("ready", pid, 0)


def test_a_process_that_answers_nobody_for_long_is_hung_and_one_that_pauses_is_not(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready(running, monkeypatch)
    os.kill(running.child.pid, signal.SIGSTOP)
    assert running.look()
    for _ in range(HUNG_AFTER - 2):
        assert running.look() is False
        assert (running.state, running.is_hung) == ("not ready", False)
    os.kill(running.child.pid, signal.SIGCONT)
    wait_until(running.look)
    assert running.state == "ready"

    os.kill(running.child.pid, signal.SIGSTOP)
    for _ in range(HUNG_AFTER):
        assert running.is_hung is False
        running.look()
    assert running.is_hung
    running.kill()


def test_a_hung_process_is_started_again(
    running: Running, state: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    supervisor = Supervisor(root=HERE, state=state, environment="dev", version="", planner=lambda _: Plan(processes=()))
    ready(running, monkeypatch)
    hung = running.child.pid
    os.kill(hung, signal.SIGSTOP)

    def is_back() -> bool:
        supervisor._look_at(running)
        return running.state == "ready" and running.child.pid != hung

    wait_until(is_back)
    assert running.restarts == 1
    assert not alive(hung)
    assert capsys.readouterr().out.count("it runs and answers nobody; it is killed and started again") == 1


def test_restarts_wait_longer_each_time(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("genonaut.stack.running.time.monotonic", lambda: now[0])
    pauses = []
    running.start()
    for _ in range(9):
        os.kill(running.child.pid, signal.SIGKILL)
        while running.child.exit_code() is None:
            os.sched_yield()
        assert running.look()
        assert running.state == "waiting"
        pauses.append(running._start_again_at - now[0])
        assert running.look() is False
        now[0] = running._start_again_at
        assert running.look()
    assert pauses == [0.25, 0.5, 1, 2, 4, 8, 16, 30, 30]
    assert running.restarts == 9


def test_a_process_that_cannot_be_started_now_is_tried_again_later(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full when its pid shall be noted: nobody would find it, so it does not run."""
    running.start()
    os.kill(running.child.pid, signal.SIGKILL)
    wait_until(running.look)
    monkeypatch.setattr("genonaut.stack.child.write_whole", _no_space)

    with pytest.raises(ChildError, match=r"it cannot be started: .*No space left"):
        wait_until(running.look)

    assert (running.state, running.restarts, running.failures) == ("waiting", 1, 2)
    living = [child for child in psutil.Process().children() if alive(child.pid)]
    assert [child for child in living if child.environ().get("NAME") == "it"] == []
    monkeypatch.undo()
    wait_until(running.look)
    assert running.state == "starting"
    assert running.child.pid


def _no_space(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_process_that_does_not_listen_is_killed(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running.child, "_grace", 0.2)
    running.process = replace(running.process, env={**running.process.env, "TROUBLE": "deaf"})
    running.start()
    wait_until(lambda: running.look() and running.state == "ready")
    pid = running.child.pid
    running.stop()
    assert not alive(pid)
    assert not (Path(running.process.env["STATE"]) / "ends").exists()
