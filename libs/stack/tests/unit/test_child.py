"""What a starter keeps of a child, and what it does not."""

import os
import signal
from pathlib import Path

import psutil

from genonaut.stack.child import Child
from genonaut.testkit.waiting import wait_until


def test_a_child_that_was_left_goes_on_and_is_no_zombie_afterwards(tmp_path: Path) -> None:
    child = Child("it", tmp_path / "run", tmp_path / "it.log")
    child.claim()
    child.spawn(["sleep", "60"], env={"PATH": os.environ["PATH"]})
    pid = child.pid
    assert pid
    child.leave()
    assert child.is_running()

    os.kill(pid, signal.SIGTERM)

    wait_until(lambda: not psutil.pid_exists(pid), reason="a zombie stayed")
