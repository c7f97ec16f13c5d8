"""The commands as a person types them."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from genonaut.stack import commands
from genonaut.stack.local import LocalStack
from genonaut.stack.ports import free_port

HERE = Path(__file__).parent


@pytest.fixture
def stack(state: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalStack]:
    for name in ("DATABASE_URL", "NATS_URL", "REDIS_URL", "APP_ENV"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("API_PORT", str(free_port()))
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    monkeypatch.setenv("COLUMNS", "200")
    stack = LocalStack(HERE, state / ".genonaut", planner="fake_platform:plan")
    monkeypatch.setattr(commands, "LocalStack", lambda: stack)
    monkeypatch.setattr(commands.console, "_width", 200)
    yield stack
    stack.down()


def genonaut(*words: str, answer: str | None = None) -> Result:
    app = typer.Typer()
    for command in (commands.up, commands.down, commands.status, commands.reset):
        app.command()(command)
    return CliRunner().invoke(app, words, input=answer)


def test_a_life(stack: LocalStack) -> None:
    assert genonaut("status").exit_code == 3

    up = genonaut("up")
    assert up.exit_code == 0, up.output
    assert "starting postgres" in up.output
    assert f"http://127.0.0.1:{os.environ['API_PORT']}/docs" in up.output

    status = genonaut("status")
    assert status.exit_code == 0
    for name in ("supervisor", "postgres", "nats", "valkey", "first", "gateway"):
        assert name in status.output
    assert "MB in all" in status.output
    told = json.loads(genonaut("status", "--json").output)
    assert told["running"] is True
    assert {one["state"] for one in told["live"]} == {"ready"}

    assert "the data stay" in genonaut("down").output
    assert "Nothing was running" in genonaut("down").output

    assert genonaut("reset", answer="n\n").exit_code == 1
    assert stack.state.exists()
    assert genonaut("reset", "--yes").exit_code == 0
    assert not stack.state.exists()
    assert "nothing to forget" in genonaut("reset").output


def test_status_tells_who_is_not_ready(stack: LocalStack) -> None:
    content = stack.up()
    os.kill(content["pid"], signal.SIGSTOP)  # or it would be back before we look
    try:
        os.kill(content["processes"]["second"]["pid"], signal.SIGSTOP)
        status = genonaut("status")
    finally:
        os.kill(content["processes"]["second"]["pid"], signal.SIGCONT)
        os.kill(content["pid"], signal.SIGCONT)
    assert status.exit_code == 1
    assert [line.split()[:3] for line in status.output.splitlines() if "not ready" in line] == [
        ["second", "not", "ready"]
    ]


def test_failure_is_one_clear_message(stack: LocalStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://somebody@127.0.0.1:1/x")
    up = genonaut("up")
    assert up.exit_code == 1
    assert "DATABASE_URL is set, but nothing answers at 127.0.0.1:1" in up.output
    assert "Traceback" not in up.output
    status = genonaut("status")
    assert status.exit_code == 3
    assert "The last start failed: DATABASE_URL is set" in status.output


FOREGROUND = """
import sys
from pathlib import Path
from genonaut.stack import commands
from genonaut.stack.local import LocalStack
from genonaut.stack.ports import free_port
commands.LocalStack = lambda: LocalStack(Path(sys.argv[1]), Path(sys.argv[2]), planner="fake_platform:plan")
commands.typer.run(commands.up)
"""


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_in_the_foreground_it_stays_until_asked(stack: LocalStack, sign: signal.Signals) -> None:
    script = FOREGROUND.replace("sys.argv[1]", repr(str(HERE))).replace("sys.argv[2]", repr(str(stack.state)))
    process = subprocess.Popen([sys.executable, "-c", script, "--foreground"], stdout=subprocess.PIPE, text=True)
    with process:
        while "Genonaut is up" not in process.stdout.readline():
            assert process.poll() is None
        assert stack.is_running()
        process.send_signal(sign)
        assert process.wait(20) == 0
    assert not stack.is_running()
