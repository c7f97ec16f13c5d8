"""The health check of the NATS container: it ends a server that is stuck when that helps, and only then."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "deploy" / "nats" / "healthy.sh"
ROOM_KB = 16384

# Functions, because the shell has a `kill` of its own that it prefers to any program; what it would end is process 1.
STUBS = """
kill() { echo "kill $*"; }
df() { printf 'Filesystem 1024-blocks Used Available Capacity Mounted\\n/dev/sda 9999999 1 %s 1%% /\\n' "$ROOM"; }
wget() {
    [ "$1 $2" = "-qO /dev/null" ] || { echo "wget $*"; return 2; }
    case $3 in
        http://127.0.0.1:8222/healthz) return "$WRITES" ;;
        "http://127.0.0.1:8222/healthz?js-enabled-only=true") return "$WORKS" ;;
        *) echo "wget $*"; return 2 ;;
    esac
}
"""


@dataclass(frozen=True)
class Check:
    script: Path

    def __call__(self, *, writes: bool, works: bool = True, room_kb: int = ROOM_KB + 1) -> tuple[int, str]:
        """The exit code and what is said, by a server that `works` but for what it `writes`."""
        environment = {"PATH": "/usr/bin:/bin", "ROOM": str(room_kb)}
        environment |= {"WRITES": str(int(not writes)), "WORKS": str(int(not works))}
        ran = subprocess.run(["/bin/sh", self.script], env=environment, capture_output=True, text=True, check=False)
        assert ran.stderr == ""
        return ran.returncode, ran.stdout


HEALTHY = (0, "")
UNHEALTHY = (1, "")
ENDED = (1, "a stream cannot be written: starting again\nkill -TERM 1\n")


@pytest.fixture
def check(tmp_path: Path) -> Check:
    """One container's: its /tmp is a folder of the test."""
    text = SCRIPT.read_text()
    assert text.count("=/tmp/") == 1
    script = tmp_path / SCRIPT.name
    script.write_text(STUBS + text.replace("=/tmp/", f"={tmp_path}/"))
    return Check(script)


def test_a_server_that_writes_is_healthy(check: Check) -> None:
    assert [check(writes=True) for _ in range(3)] == [HEALTHY] * 3
    assert check(writes=True, room_kb=0) == HEALTHY


def test_a_stuck_server_is_ended_at_the_second_look(check: Check) -> None:
    assert [check(writes=False) for _ in range(2)] == [UNHEALTHY, ENDED]


def test_a_stuck_server_is_left_alone_while_the_disk_is_full_and_ended_when_there_is_room_again(check: Check) -> None:
    assert [check(writes=False, room_kb=ROOM_KB) for _ in range(5)] == [UNHEALTHY] * 5
    assert [check(writes=False, room_kb=ROOM_KB + 1) for _ in range(2)] == [UNHEALTHY, ENDED]


def test_one_bad_look_between_good_ones_ends_nothing(check: Check) -> None:
    assert [check(writes=writes) for writes in (False, True, False, True)] == [UNHEALTHY, HEALTHY] * 2


def test_a_server_that_does_not_work_at_all_is_not_ended_but_unhealthy(check: Check) -> None:
    """It may be starting. What ends a process that hangs is no business of this check."""
    assert [check(writes=False, works=False) for _ in range(3)] == [UNHEALTHY] * 3
