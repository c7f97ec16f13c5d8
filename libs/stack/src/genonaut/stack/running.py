"""One process of the platform while the supervisor looks after it."""

import time
from pathlib import Path
from typing import Any

from genonaut.stack.child import Child, ChildError
from genonaut.stack.http import get
from genonaut.stack.processes import Process
from genonaut.stack.stackfile import NOT_READY, READY, STARTING, STOPPED, WAITING

ASK_SECONDS = 5.0  # from one question whether it is still ready to the next
HUNG_AFTER = 6  # questions in a row without any answer
STABLE_SECONDS = 30.0
LONGEST_PAUSE = 30.0
GRACE = 20.0


class Running:
    """Starts a process, sees whether it is ready, and starts it again, ever more patiently, when it ends by itself."""

    def __init__(self, process: Process, home: Path, log: Path, *, cwd: Path) -> None:
        self.process = process
        self.child = Child(process.name, home, log, grace=GRACE)
        self.state = STOPPED
        self.restarts = 0
        self.failures = 0  # in a row
        self._cwd = cwd
        self._started_at = 0.0
        self._start_again_at = 0.0
        self._ask_at = 0.0
        self._unanswered = 0  # questions in a row

    def start(self) -> None:
        """Returns at once; `look` sees when it is ready."""
        self.child.claim()
        self.child.spawn(self.process.command(), env=self.process.environment(), cwd=self._cwd)
        self.state = STARTING
        self._started_at = time.monotonic()
        self._unanswered = 0

    def look(self) -> bool:
        """Brings `state` up to date, starting again what ended; whether anything changed.

        Raises ChildError when it cannot be started now. It waits then, as after any other end.
        """
        before = self.state
        if self.state in {STARTING, READY, NOT_READY} and self.child.exit_code() is not None:
            if self.state != STARTING and time.monotonic() - self._started_at > STABLE_SECONDS:
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
            self._ask_at = time.monotonic() + ASK_SECONDS
        elif self.state in {READY, NOT_READY} and time.monotonic() >= self._ask_at:
            self._ask()
        return self.state != before

    @property
    def is_hung(self) -> bool:
        """It was ready, runs, and has not answered anything for about half a minute."""
        return self.state == NOT_READY and self._unanswered >= HUNG_AFTER

    def kill(self) -> None:
        """Ends it without asking, for it would not hear; `look` starts it again as after any other end."""
        self.child.kill()

    def _ask(self) -> None:
        is_ready = get(self.process.ready, timeout=1.0).ok
        # A service that looks for a server that is away may take longer to say so, and is as well as can be.
        answers = is_ready or get(self.process.url, timeout=1.0).status
        self.state = READY if is_ready else NOT_READY
        self._unanswered = 0 if answers else self._unanswered + 1
        self._ask_at = time.monotonic() + ASK_SECONDS

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
