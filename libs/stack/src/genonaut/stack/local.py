"""The stack of one clone, as commands see it: is it running, bring it up, take it down, forget it."""

import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from genonaut.stack import given
from genonaut.stack.child import BusyError, Child, ChildError
from genonaut.stack.processes import asked_for
from genonaut.stack.servers import Nats, Postgres, Valkey
from genonaut.stack.site import LOGINS
from genonaut.stack.stackfile import FAILED, READY, STARTING, StackFile

PLATFORM = "genonaut.stack.processes:platform"
MEGABYTE = 1024 * 1024
LEAST_FREE = 300
"""MB for the logs of Postgres, the streams and a few pictures."""
SECRETS = (
    *(
        Postgres.variable,
        "DATABASE_URL_DEMO",
        "DATABASE_URL_TEST",
        "DB_PASSWORD",
        *map(given.password_variable, LOGINS),
    ),
    *(Nats.variable, "NATS_URL_DEMO", "NATS_URL_TEST", Valkey.variable, "API_SECRET_KEY"),
)
"""Of the caller: each may, with _FILE behind its name, say in which file it is."""
SUPERVISOR_GRACE = 90.0
SUPERVISOR_SPEAKS = 10.0

Step = Callable[[str], None]


class StackError(ChildError):
    """The stack cannot do what was asked; the message says why and what to do."""


def clone_root() -> Path:
    """The clone this package is installed from (editable), else the current folder."""
    source = Path(__file__).resolve().parents[5]
    return source if (source / "libs" / "stack").is_dir() else Path.cwd()


class LocalStack:
    """The stack with its state in `<root>/.genonaut`, or where GENONAUT_STATE says. Errors are ChildError."""

    def __init__(self, root: Path | None = None, state: Path | None = None, *, planner: str = PLATFORM) -> None:
        self.root = root or clone_root()
        named = os.environ.get("GENONAUT_STATE")
        self.state = (state or (Path(named) if named else self.root / ".genonaut")).absolute()
        self.file = StackFile(self.state)
        self._planner = planner
        self._supervisor = Child("supervisor", self.state, self.state / "logs/supervisor.log", grace=SUPERVISOR_GRACE)

    @property
    def log(self) -> Path:
        """The supervisor's log."""
        return self._supervisor.log

    def is_running(self) -> bool:
        """Whether its supervisor lives."""
        return self._supervisor.is_running()

    def read(self) -> dict[str, Any]:
        """What stack.json says. Without a supervisor, that is how things were."""
        return self.file.read()

    def up(self, environment: str | None = None, *, on_step: Step = lambda _: None) -> dict[str, Any]:
        """Returns the content of stack.json when everything is ready.

        The environment is the one asked for, else APP_ENV, else the one of last time, else dev. A stack that runs in
        another environment, or with another of the settings that `processes.SAID` names, is stopped first. Raises
        StackError with the last words of what failed.
        """
        wanted = environment or os.environ.get("APP_ENV") or None
        if wanted is not None and wanted not in given.DATABASES:
            raise StackError(f"APP_ENV is {wanted!r}; it is one of {', '.join(given.DATABASES)}.")
        self._make_room()
        said = said_environment()
        while True:
            seen = self._running()
            if seen:
                before = seen.get("asked_for", {})
                other = [name for name, digest in asked_for(said).items() if before.get(name) != digest]
                if wanted not in {None, seen["environment"]}:
                    other.insert(0, "APP_ENV")
                if seen["state"] in {STARTING, READY} and not other:
                    return seen if seen["state"] == READY else self._wait(seen["pid"], on_step)
                on_step(f"stopping the stack, which runs with another {', '.join(other)}" if other else "stopping it")
                self.down()
            try:
                pid = self._launch(wanted or self.read().get("environment") or "dev", said)
            except BusyError:  # somebody else has just started it
                time.sleep(0.1)
            else:
                return self._wait(pid, on_step)

    def down(self) -> bool:
        """Stops everything that runs, orphans of a killed supervisor too; data stay. Whether anything ran."""
        if not self.state.exists():
            return False
        ran = False
        for child in (self._supervisor, *self._children()):
            if child.is_running():
                ran = True
                child.claim()  # ends it
                child.release()
        for server in self._servers():
            if server.runs_somewhere():
                ran = True
                server.end_orphan()
        return ran

    def left(self) -> list[str]:
        """The processes that run without a supervisor, because that was killed."""
        if self.is_running():
            return []
        servers = [server.name for server in self._servers() if server.runs_somewhere()]
        return servers + [child.name for child in self._children() if child.is_running()]

    def reset(self) -> None:
        """Stops everything and removes all data, logs and passwords."""
        self.down()
        for server in self._servers():
            server.forget()
        if self.state.is_mount():  # somebody's volume: it stays, and is empty
            for path in self.state.iterdir():
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        elif self.state.exists():
            shutil.rmtree(self.state)

    def _make_room(self) -> None:
        """The state folder is there, with space in it. Raises StackError."""
        try:
            self.state.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise StackError(f"{self.state} has to be a folder, and is something else. Move it away.") from None
        free = shutil.disk_usage(self.state).free // MEGABYTE
        if free < LEAST_FREE:
            raise StackError(f"The disk of {self.state} is full: {free} MB are free, a stack needs {LEAST_FREE} MB.")

    def _children(self) -> list[Child]:
        """Everything but the supervisor and the servers."""
        locks = sorted((self.state / "run").glob("*.lock"))
        return [Child(lock.stem, lock.parent, self.state / "logs" / f"{lock.stem}.log") for lock in locks]

    def _servers(self) -> tuple[Valkey, Nats, Postgres]:
        return Valkey(self.state), Nats(self.state), Postgres(self.state)

    def _running(self) -> dict[str, Any]:
        """What the running supervisor says, empty without one; waits for the first word of one that just started."""
        deadline = time.monotonic() + SUPERVISOR_SPEAKS
        while self.is_running():
            seen = self.read()
            if seen and seen["pid"] == self._supervisor.recorded_pid():
                return seen
            if time.monotonic() > deadline:
                raise StackError(f"The supervisor says nothing. Look into {self.log}, or: `make down`.")
            time.sleep(0.05)
        return {}

    def _launch(self, environment: str, said: Mapping[str, str]) -> int:
        self._supervisor.claim(end_orphans=False)
        self._supervisor.spawn(
            [
                *(sys.executable, "-m", "genonaut.stack.supervisor"),
                *(str(self.root), str(self.state), environment, version("genonaut-stack"), self._planner),
            ],
            env={**said, "MALLOC_ARENA_MAX": "1"},
            cwd=self.root,
        )
        pid = self._supervisor.pid or 0
        self._supervisor.leave()
        return pid

    def _wait(self, pid: int, on_step: Step) -> dict[str, Any]:
        told = 0
        while True:
            ended = not self.is_running()  # asked before reading, so that its last word is seen
            seen = self.read()
            if seen.get("pid") == pid:
                for step in seen["steps"][told:]:
                    on_step(step)
                told = len(seen["steps"])
                if seen["state"] == READY:
                    return seen
                if ended and seen["state"] == FAILED:
                    raise StackError(seen["message"])
            if ended:
                raise StackError(f"The supervisor has ended. {self.log} says:\n{self._supervisor.words()}")
            time.sleep(0.05)


def said_environment() -> dict[str, str]:
    """What our caller says, in words that another process in another folder understands. Raises StackError.

    Secrets in files are read here: the supervisor, which holds the standard library only, gets their values.
    """
    from genonaut.platform.settings import SettingsError, secret  # noqa: PLC0415 - 18 MB that only `up` needs

    said = dict(os.environ)
    if config := said.get("GENONAUT_CONFIG"):
        said["GENONAUT_CONFIG"] = str(Path(config).resolve())
    try:
        secrets = {name: secret(name) for name in SECRETS}
    except SettingsError as error:
        raise StackError(str(error)) from error
    for name, value in secrets.items():
        said.pop(f"{name}_FILE", None)
        if value:
            said[name] = value
    return said
