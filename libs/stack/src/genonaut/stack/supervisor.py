"""The one process that looks after all others of a stack: starts, restarts and stops them, in order.

`genonaut up` runs it as `python -m genonaut.stack.supervisor ROOT STATE ENVIRONMENT VERSION PLANNER` in a session of
its own. It tells everything through `stack.json`; SIGTERM and SIGINT ask it to stop everything and end. It stays
small: only the standard library is in its import path.
"""

import os
import select
import signal
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any

from genonaut.stack.child import Child, ChildError
from genonaut.stack.files import write_whole
from genonaut.stack.logs import rotate
from genonaut.stack.processes import Plan, Planner, asked_for
from genonaut.stack.running import Running
from genonaut.stack.servers import Server
from genonaut.stack.site import Site
from genonaut.stack.stackfile import FAILED, NOT_READY, READY, STARTING, STOPPED, STOPPING, StackFile

READY_SECONDS = 120.0
TRIES = 4  # of a process that ends before the stack was ever ready
BUSY_PAUSE, IDLE_PAUSE, SERVER_PAUSE = 0.1, 5.0, 2.0


class StartError(RuntimeError):
    """The stack does not come up; the message says which process and why."""


class Supervisor:
    """One stack from its start to its end."""

    def __init__(self, *, root: Path, state: Path, environment: str, version: str, planner: Planner) -> None:
        self._state_folder = state
        self._planner = planner
        self._file = StackFile(state)
        last = self._file.read()
        self._last_ports: dict[str, int] = last.get("ports", {})
        self._site = Site.of(root, state, environment, last_ports=self._last_ports)
        self._plan = Plan(processes=())
        self._running: list[Running] = []
        self._server_restarts = dict.fromkeys((server.name for server in self._site.servers), 0)
        self._try_again_at = dict.fromkeys(self._server_restarts, 0.0)
        self._stop_asked = False
        self._is_told = True  # whether stack.json says how things are
        self._wake_reader, self._wake_writer = os.pipe()
        self._about: dict[str, Any] = {
            "state": STARTING,
            "message": "",
            "steps": [],  # of the start, for those who watch it
            "environment": environment,
            "version": version,
            "pid": os.getpid(),
            "root": str(root),
            "asked_for": asked_for(os.environ),
            "started_at": _now(),
        }

    def run(self) -> int:
        """The exit code of the supervisor: 0 when it was asked to stop, 1 when the stack did not come up."""
        self._listen_to_signals()
        code = 0
        try:
            self._bring_up()
            self._look_after()
        except (ChildError, StartError) as error:
            self._tell(FAILED, str(error))
            code = 1
        except Exception as error:
            self._tell(FAILED, f"The supervisor failed: {error!r}. Its log has more.")
            code = 1
            raise
        finally:
            self._take_down(failed=code != 0)
        return code

    # Up -----------------------------------------------------------------------------------------------------------

    def _bring_up(self) -> None:
        self._end_orphans()
        for server in self._site.servers:
            self._tell(STARTING, f"starting {server.name}" if not server.given else f"using {server.variable}")
            server.start()
            if self._stop_asked:
                return
        self._make_plan()
        self._prepare()
        if self._stop_asked:
            return
        self._tell(STARTING, "starting the services")
        self._start_processes()
        self._wait_until_ready()

    def _make_plan(self) -> None:
        """What to run, with the servers where they are now; should one have to start again, it is wanted back there."""
        self._plan = self._planner(self._site)
        for server in self._site.servers:
            server.prefer_port = server.port
        self._write_command_env()

    def _start_processes(self) -> None:
        self._running = [
            Running(process, self._home, self._log(process.name), cwd=self._site.root)
            for process in self._plan.processes
        ]
        for running in self._running:
            running.start()

    def _end_orphans(self) -> None:
        """Ends processes of a killed supervisor, whatever they were called then."""
        for lock in sorted(self._home.glob("*.lock")):
            orphan = Child(lock.stem, self._home, self._log(lock.stem))
            if orphan.is_running():
                self._tell(STARTING, f"ending {orphan.name}, left by a killed supervisor")
                orphan.claim()
                orphan.release()

    def _prepare(self) -> None:
        """Runs the plan's preparation, unless nothing it depends on has changed since the last time."""
        process = self._plan.prepare
        # Beside the data of each server: whoever loses their data loses the mark.
        marks = [server.home / "prepared" for server in self._site.servers[:2]]
        fingerprint = self._plan.fingerprint
        if process is None or (fingerprint and all(_text(mark) == fingerprint for mark in marks)):
            return
        self._tell(STARTING, "preparing the servers: roles, schemas, streams, tables")
        child = Child(process.name, self._home, self._log(process.name))
        child.claim()
        try:
            child.spawn(process.command(), env=process.environment(), cwd=self._site.root)
            while child.exit_code() is None and not self._stop_asked:
                self._pause(BUSY_PAUSE)
            if child.exit_code():
                raise StartError(f"Preparing the servers failed. {child.log} says:\n{child.words()}")
        finally:
            child.stop()
            child.release()
        if fingerprint and not self._stop_asked:
            for mark in marks:
                write_whole(mark, fingerprint)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not self._stop_asked:
            self._look()
            waiting = [running for running in self._running if running.state != READY]
            if not waiting:
                self._about["ready_at"] = _now()
                self._tell(READY, "")
                return
            hopeless = [running for running in waiting if running.failures >= TRIES]
            if hopeless or time.monotonic() > deadline:
                raise StartError("\n".join(running.why_not_ready() for running in hopeless or waiting))
            self._pause(BUSY_PAUSE)

    # While it runs --------------------------------------------------------------------------------------------------

    def _look_after(self) -> None:
        while not self._stop_asked:
            self._look()
            self._rotate_logs()
            settled = all(running.state in {READY, NOT_READY} for running in self._running)
            self._pause(IDLE_PAUSE if settled else BUSY_PAUSE)

    def _rotate_logs(self) -> None:
        names = [server.name for server in self._site.servers] + [running.process.name for running in self._running]
        for name in names:
            with suppress(OSError):  # no room to set it aside: the next look tries again
                rotate(self._log(name))

    def _look(self) -> None:
        for server in self._site.servers:
            if time.monotonic() >= self._try_again_at[server.name] and (server.is_down() or server.is_stuck()):
                self._restart_server(server)
        changes = [self._look_at(running) for running in self._running]
        if any(changes) or not self._is_told:
            self._write()

    def _look_at(self, running: Running) -> bool:
        try:
            changed = running.look()
        except ChildError as error:
            self._say(str(error))
            return True
        if running.is_hung:
            self._say(f"{running.process.name} runs and answers nobody; it is killed and started again")
            running.kill()
        return changed

    def _restart_server(self, server: Server) -> None:
        self._server_restarts[server.name] += 1
        what = "ended by itself" if server.is_down() else "is stuck until it starts again"
        self._say(f"{server.name} {what}:\n{server.last_words()}")
        server.stop()
        try:
            server.start()
        except ChildError as error:
            self._say(str(error))
            self._try_again_at[server.name] = time.monotonic() + SERVER_PAUSE
            return
        if server.port != server.prefer_port:
            self._follow_servers()
        self._write()

    def _follow_servers(self) -> None:
        """A server had to move to another port: everything starts again with the new addresses."""
        self._make_plan()
        self._stop_processes()
        self._start_processes()

    # Down -----------------------------------------------------------------------------------------------------------

    def _take_down(self, *, failed: bool) -> None:
        if not failed:
            self._tell(STOPPING, "stopping")
        self._stop_processes()
        for server in reversed(self._site.servers):
            server.stop()
        if not failed:
            self._tell(STOPPED, "")
        else:
            self._write()

    def _stop_processes(self) -> None:
        for running in self._running[-1:]:  # the entrance first: nothing new comes in while the others finish
            running.stop()
        for running in reversed(self._running):
            running.ask_to_stop()
        for running in reversed(self._running):
            running.stop()

    # Telling --------------------------------------------------------------------------------------------------------

    def _tell(self, state: str, message: str) -> None:
        if (state, message) != (self._about["state"], self._about["message"]):
            self._say(f"{state}: {message}" if message else state)
        self._about |= {"state": state, "message": message}
        if state == STARTING and message:
            self._about["steps"].append(message)
        self._write()

    def _write(self) -> None:
        servers = {server.name: self._describe(server) for server in self._site.servers}
        version = {"version": self._about["version"]}
        processes = {running.process.name: running.describe() | version for running in self._running}
        ports = {name: entry["port"] for name, entry in servers.items() if entry["port"] and not entry["given"]}
        ports |= {name: int(entry["url"].rpartition(":")[2]) for name, entry in processes.items() if entry["url"]}
        content = {
            **self._about,
            "urls": dict(self._plan.urls),
            "notes": list(self._plan.notes),
            "ports": self._last_ports | ports,
            "processes": {**servers, **processes},
        }
        try:
            self._file.write(content)
        except OSError as error:  # a full disk: what runs goes on, and the next look tries again
            if self._is_told:
                self._say(f"stack.json cannot be written: {error}")
            self._is_told = False
        else:
            self._is_told = True

    def _describe(self, server: Server) -> dict[str, Any]:
        return {
            "kind": "server",
            "state": READY if server.pid or (server.given and server.port) else STOPPED,
            "pid": server.pid,
            "url": self._site.public_url(server),
            "port": server.port,
            "given": bool(server.given),
            "version": server.installation.version_text if server.installation else "",
            "source": server.source,
            "programs": str(server.installation.programs) if server.installation else "",
            "restarts": self._server_restarts[server.name],
            "log": str(self._log(server.name)),
        }

    def _say(self, text: str) -> None:
        with suppress(OSError):  # the log is on the disk that may be full
            sys.stdout.write(f"{_now()} {text}\n")
            sys.stdout.flush()

    def _write_command_env(self) -> None:
        """What `genonaut <service> …` needs to work on this stack, in one private file for each service."""
        for name, settings in self._plan.command_env.items():
            lines = "".join(f"{key}={value}\n" for key, value in settings.items())
            write_whole(self._state_folder / "env" / f"{name}.env", lines)

    @property
    def _home(self) -> Path:
        return self._state_folder / "run"

    def _log(self, name: str) -> Path:
        return self._state_folder / "logs" / f"{name}.log"

    # Signals --------------------------------------------------------------------------------------------------------

    def _listen_to_signals(self) -> None:
        os.set_blocking(self._wake_writer, False)
        signal.set_wakeup_fd(self._wake_writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, self._on_child)
        for asked in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(asked, self._on_stop)

    def _on_child(self, _signal: int, _frame: FrameType | None) -> None:
        """Nothing: the wake-up is what counts."""

    def _on_stop(self, _signal: int, _frame: FrameType | None) -> None:
        self._stop_asked = True

    def _pause(self, seconds: float) -> None:
        """Until then, or until a signal arrives."""
        readable, _, _ = select.select([self._wake_reader], [], [], seconds)
        if readable:
            os.read(self._wake_reader, 4096)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def main(arguments: list[str]) -> int:
    """ROOT STATE ENVIRONMENT VERSION PLANNER, the last as `module:function`."""
    root, state, environment, version, planner = arguments
    module, _, function = planner.partition(":")
    return Supervisor(
        root=Path(root),
        state=Path(state),
        environment=environment,
        version=version,
        planner=getattr(import_module(module), function),
    ).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
