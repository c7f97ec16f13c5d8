"""A child process that nobody can lose.

A running child holds an inherited lock on its home folder, so no second one can start there, even if the
process that started it was killed. Its pid file says where to look for it; the next start ends it first, after
checking that the pid still has the same command line and belongs to the same home.
"""

import fcntl
import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Thread

from genonaut.stack.account import Account
from genonaut.stack.files import write_whole
from genonaut.stack.logs import last_lines, open_log

MARK = "GENONAUT_CHILD"
"""In every child's environment: its home and name."""


class ChildError(RuntimeError):
    """A child that does not start, or a home that is in use; the message says what to do."""


class BusyError(ChildError):
    """Another living process looks after this child now."""


class Child:
    """One process with its home (locks, pid file) and its log.

    `claim` before anything is written to the home, `spawn` any number of times, `stop`, then `release`.
    """

    def __init__(
        self,
        name: str,
        home: Path,
        log: Path,
        *,
        stop_signal: signal.Signals = signal.SIGTERM,
        grace: float = 10.0,
    ) -> None:
        self.name = name
        self.home = home
        self.log = log
        self._stop_signal = stop_signal
        self._grace = grace
        self._owner: int | None = None
        self._lock: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0
        self._asked = False

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def is_running(self) -> bool:
        """Whether the process runs, whoever started it. Asks the lock, so it cannot be fooled by an old pid."""
        try:
            lock = os.open(self._path("lock"), os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            return not _locked(lock)
        finally:
            os.close(lock)

    def recorded_pid(self) -> int | None:
        """The pid of the latest spawn, whoever did it."""
        pid = self._record().get("pid")
        return pid if isinstance(pid, int) else None

    def claim(self, *, end_orphans: bool = True) -> None:
        """Makes the home ours alone; ends what an earlier starter left running in it, or raises BusyError.

        Raises BusyError as well when another living process has claimed it.
        """
        self.home.mkdir(parents=True, exist_ok=True)
        if self._owner is None:
            self._owner = _open_lock(self._path("owner"))
            if not _locked(self._owner):
                self.release()
                raise BusyError(f"{self.name} in {self.home} is already run by another process.")
        if self._lock is None:
            self._lock = _open_lock(self._path("lock"))
        if not _locked(self._lock):
            try:
                if not end_orphans:
                    raise BusyError(f"{self.name} runs in {self.home} already.")
                self._end_orphans()
            except ChildError:
                self.release()
                raise

    def spawn(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path | None = None,
        account: Account | None = None,
    ) -> None:
        """Starts the process in a session of its own (a Ctrl-C in the terminal does not reach it).

        Raises ChildError, and then nothing of it runs.
        """
        if self._lock is None:
            raise ChildError(f"{self.name}: spawn before claim.")
        self._asked = False
        try:
            log = open_log(self.log)
        except OSError as error:
            raise ChildError(f"{self.name} cannot be started: {error}") from error
        self._log_start = os.fstat(log).st_size
        try:
            self._process = subprocess.Popen(  # noqa: S603 - argv is built by this package
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**env, MARK: str(self._path())},
                cwd=cwd or self.home,
                start_new_session=True,
                pass_fds=(self._lock,),
                **(account.popen() if account else {}),
            )
        except OSError as error:
            raise ChildError(f"{self.name} cannot be started: {error}") from error
        finally:
            os.close(log)
        try:
            write_whole(self._path("pid"), json.dumps({"pid": self._process.pid, "argv": list(argv)}))
        except OSError as error:
            self._kill(self._process)
            raise ChildError(f"{self.name} cannot be started: {error}") from error

    def exit_code(self) -> int | None:
        """None while it runs or was never started."""
        return self._process.poll() if self._process else None

    def words(self, count: int = 15) -> str:
        """The last log lines since the latest spawn."""
        return last_lines(self.log, count, since=self._log_start)

    def ask(self) -> None:
        """Asks the process to end, once, and does not wait."""
        if self._process is not None and self._process.poll() is None and not self._asked:
            self._asked = True
            self._process.send_signal(self._stop_signal)

    def kill(self) -> None:
        """Ends the process without asking; `exit_code` says so."""
        if self.pid is not None and self._process is not None:
            self._kill(self._process)

    def stop(self) -> None:
        """Ends the process: asks, waits, then kills. Afterwards nothing of it runs."""
        if self._process is None:
            return
        self.ask()
        try:
            self._process.wait(self._grace)
        except subprocess.TimeoutExpired:
            self._kill(self._process)
        self._process = None
        self._path("pid").unlink(missing_ok=True)

    def leave(self) -> None:
        """Lets the process go on without us. Should it end first, no zombie stays."""
        if self._process is not None:
            if self._process.poll() is None:
                Thread(target=os.waitpid, args=(self._process.pid, 0), daemon=True).start()
            self._process.returncode = 0  # else Popen complains at our end that it still runs
            self._process = None
        self.release()

    def release(self) -> None:
        """Gives the home back. A process that still runs keeps its lock."""
        for descriptor in (self._lock, self._owner):
            if descriptor is not None:
                os.close(descriptor)
        self._lock = self._owner = None

    @staticmethod
    def _kill(process: subprocess.Popen[bytes]) -> None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def _path(self, kind: str = "") -> Path:
        return self.home / (f"{self.name}.{kind}" if kind else self.name)

    def _record(self) -> dict[str, object]:
        try:
            record: dict[str, object] = json.loads(self._path("pid").read_text())
        except (OSError, ValueError):
            return {}
        return record

    def _end_orphans(self) -> None:
        for sign in (self._stop_signal, signal.SIGKILL):
            for pid in self._orphans():
                try:
                    os.kill(pid, sign)
                except ProcessLookupError:
                    continue
                except PermissionError as error:
                    raise ChildError(
                        f"{self.name} (process {pid}) still runs in {self.home} and belongs to another user. "
                        "Run this as that user."
                    ) from error
            if self._wait_for_lock():
                self._path("pid").unlink(missing_ok=True)
                return
        raise ChildError(
            f"A process that was not started as {self.name} holds {self._path('lock')}. "
            f"See which: `fuser -v {self._path('lock')}`."
        )

    def _orphans(self) -> list[int]:
        """Living processes that are this child: the pid on file, else (killed before it was written) any."""
        import psutil  # noqa: PLC0415 - 7 MB that a supervisor without orphans never needs

        def is_marked(process: psutil.Process) -> bool:
            try:
                return process.environ().get(MARK) == str(self._path())
            except psutil.Error:
                return False

        record = self._record()
        try:
            recorded = psutil.Process(self.recorded_pid() or 0)
            if recorded.cmdline() == record.get("argv") and is_marked(recorded):
                return [recorded.pid]
        except psutil.Error:
            pass  # it is gone, or not readable and so not ours
        return [process.pid for process in psutil.process_iter() if is_marked(process)]

    def _wait_for_lock(self) -> bool:
        deadline = time.monotonic() + self._grace
        while self._lock is not None and not _locked(self._lock):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True


def _open_lock(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except PermissionError as error:
        raise ChildError(
            f"{path} belongs to another user. Run as the user who made it, or remove {path.parent}."
        ) from error


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
