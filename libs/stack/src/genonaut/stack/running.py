"""One process of the platform while the supervisor looks after it."""

import time
from pathlib import Path
from typing import Any

from genonaut.stack.child import Child, ChildError
from genonaut.stack.http import get
from genonaut.stack.processes import Process
from genonaut.stack.stackfile import READY, STARTING, STOPPED, WAITING

STABLE_SECONDS = 30.0
LONGEST_PAUSE = 30.0
GRACE = 20.0


class Running:
    """Starts a process, sees when it is ready, and starts it again, ever more patiently, when it ends by itself."""

    def __init__(self, process: Process, home: Path, log: Path, *, cwd: Path) -> None:
        self.process = process
        self.child = Child(process.name, home, log, grace=GRACE)
        self.state = STOPPED
        self.restarts = 0
        self.failures = 0  # in a row
        self._cwd = cwd
        self._started_at = 0.0
        self._start_again_at = 0.0

    def start(self) -> None:
        """Returns at once; `look` sees when it is ready."""
        self.child.claim()
        self.child.spawn(self.process.command(), env=self.process.environment(), cwd=self._cwd)
        self.state = STARTING
        self._started_at = time.monotonic()

    def look(self) -> bool:
        """Brings `state` up to date, starting again what ended; whether anything changed.

        Raises ChildError when it cannot be started now. It waits then, as after any other end.
        """
        before = self.state
        if self.state in {STARTING, READY} and self.child.exit_code() is not None:
            if self.state == READY and time.monotonic() - self._started_at > STABLE_SECONDS:
                self.failures = 0
            self._put_off()
        elif self.state == WAITING and time.monotonic() >= self._start_again_at:
            self.restarts += 1
            try:
                self.start()
            except ChildError:
                self._put_off()
                raise
        elif self.state == STARTING and get(self.process.ready, timeout=1.0).ok:
            self.state = READY
        return self.state != before

    def _put_off(self) -> None:
        self.state = WAITING
        self._start_again_at = time.monotonic() + min(0.25 * 2**self.failures, LONGEST_PAUSE)
        self.failures += 1

    def why_not_ready(self) -> str:
        """For a person: the answer of its ready URL, or its exit code, and its last words."""
        code = self.child.exit_code()
        if code is None:
            answer = get(self.process.ready, timeout=2.0)
            reason = (
                f"{self.process.ready} answers {answer.status}: {answer.body[:500]}"
                if answer.status
                else (f"nothing answers at {self.process.ready}")
            )
        else:
            reason = f"it ended with exit code {code}" if code >= 0 else f"it was ended by signal {-code}"
        return f"{self.process.name} is not ready: {reason}\n  {self.child.log} says:\n{self.child.words()}"

    def ask_to_stop(self) -> None:
        """Sends the signal and does not wait."""
        self.child.ask()

    def stop(self) -> None:
        """Ends it; returns when it has ended."""
        self.child.stop()
        self.child.release()
        self.state = STOPPED

    def describe(self) -> dict[str, Any]:
        """Its entry in stack.json."""
        return {
            "kind": "process",
            "state": self.state,
            "pid": self.child.pid,
            "url": self.process.url,
            "ready": self.process.ready,
            "restarts": self.restarts,
            "log": str(self.child.log),
        }
