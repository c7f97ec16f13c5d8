"""What the three servers share: where they come from, how they start, how they are known to be ours."""

import os
import re
import shutil
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from genonaut.stack.child import Child, ChildError
from genonaut.stack.credentials import Credentials
from genonaut.stack.ports import answers, free_port


class ServerError(ChildError):
    """A server that cannot be had; the message says what to do."""


class TooOldError(ServerError):
    """The installation runs but cannot do what we need."""


@dataclass(frozen=True)
class Installation:
    """Programs of a server on this machine: `programs` is a folder, or the file of a single program."""

    source: str  # PATH, system or wheel
    programs: Path
    version: tuple[int, ...]

    @property
    def version_text(self) -> str:
        """Such as 18.4."""
        return ".".join(map(str, self.version))

    def __str__(self) -> str:
        return f"{self.version_text} ({self.source}: {self.programs})"


class Server(ABC):
    """One server. After `start` it answers at `url()`, whoever runs it.

    `state`: the folder everything goes below; `given`: a URL from outside, then nothing is started;
    `prefer_port`: used when it is free. Data stay when it stops.
    """

    name: str
    variable: str  # the environment variable that names a server run by somebody else
    default_port: int
    stop_signal = signal.SIGTERM
    start_seconds = 60.0  # recovery after a kill -9 is part of a start

    def __init__(self, state: Path, *, given: str | None = None, prefer_port: int | None = None) -> None:
        self.state = state.absolute()
        self.given = given or None
        self.prefer_port = prefer_port
        self.credentials = Credentials(self.state)
        self.port = 0
        self.installation: Installation | None = None
        self._child: Child | None = None

    @property
    def home(self) -> Path:
        """Where its data and locks are. `<state>/<name>` may be a link to it."""
        return (self.state / self.name).resolve()

    @property
    def pid(self) -> int | None:
        """The process id, when it is ours and runs."""
        return self._child.pid if self._child else None

    @property
    def source(self) -> str:
        """Where it comes from: the variable that names it, PATH, system or wheel; empty before the start."""
        if self.given:
            return self.variable
        return self.installation.source if self.installation else ""

    def start(self) -> None:
        """Returns when the server answers and is proven to be ours. Raises ServerError or ChildError."""
        if self.given:
            self._check_given(self.given)
            return
        if self.pid:
            return
        self.stop()
        self._prepare_home()
        self._child = self._make_child()
        try:
            self._child.claim()
            self._start_first_good(self._child)
        except BaseException as error:
            self.stop()
            if isinstance(error, OSError | subprocess.SubprocessError):
                raise ServerError(f"{self.name} cannot be started: {error}") from error
            raise

    def stop(self) -> None:
        """Ends the server if it is ours; its data stay."""
        if self._child:
            self._child.stop()
            self._child.release()
            self._child = None

    def runs_somewhere(self) -> bool:
        """Whether it runs on our data, whoever started it."""
        return not self.given and self.home.exists() and self._make_child().is_running()

    def end_orphan(self) -> None:
        """Ends what a killed starter left running here, and starts nothing."""
        if self.given or not self.home.exists():
            return
        child = self._make_child()
        try:
            child.claim()
        finally:
            child.release()

    def forget(self) -> None:
        """Removes the data of a stopped server."""
        self.end_orphan()
        if self.home.exists():
            shutil.rmtree(self.home)
        (self.state / self.name).unlink(missing_ok=True)  # when it was a link

    def is_down(self) -> bool:
        """Whether it is ours and does not run."""
        return not self.given and self.pid is None

    def is_stuck(self) -> bool:
        """Whether it runs and cannot do its work before it is started again, which would help now."""
        return False

    def last_words(self) -> str:
        """The last lines of the log since the start."""
        return self._child.words() if self._child else ""

    @abstractmethod
    def url(self) -> str:
        """The address, with everything needed to connect."""

    @abstractmethod
    def _installations(self) -> Iterator[Installation]:
        """What this machine has above the version floor, best first. Raises ServerError when nothing."""

    @abstractmethod
    def _launch(self, child: Child, installation: Installation) -> None:
        """Spawns the process to listen on `self.port`."""

    @abstractmethod
    def _answers(self) -> bool:
        """Whether the freshly started process takes connections."""

    @abstractmethod
    def _verify(self, installation: Installation) -> None:
        """Proves by its answers that the server on `self.port` is the one just started.

        Raises ServerError if not, TooOldError if it is but cannot do what we need.
        """

    def _prepare_home(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)

    def _make_child(self) -> Child:
        log = self.state / "logs" / f"{self.name}.log"
        return Child(self.name, self.home, log, stop_signal=self.stop_signal, grace=20.0)

    def _check_given(self, url: str) -> None:
        try:
            parts = urlsplit(first_of(url))
            self.port = parts.port or self.default_port
        except ValueError as error:
            raise ServerError(f"{self.variable} is no URL: {error}.") from error
        # Without a host it names a socket file, which is its client's business.
        if parts.hostname and not answers(parts.hostname, self.port):
            raise ServerError(
                f"{self.variable} is set, but nothing answers at {parts.hostname}:{self.port}. "
                f"Start that server, or unset {self.variable} to have one started here."
            )

    def _start_first_good(self, child: Child) -> None:
        refused: TooOldError | None = None
        for installation in self._installations():
            try:
                self._start_on_free_port(child, installation)
            except TooOldError as error:
                child.stop()
                refused = error
            else:
                self.installation = installation
                return
        if refused:
            raise refused

    def _start_on_free_port(self, child: Child, installation: Installation) -> None:
        for attempt in range(4):
            # Between asking for a free port and listening on it, somebody else may take it.
            self.port = free_port(self.prefer_port if attempt == 0 else None)
            self._launch(child, installation)
            if self._wait(child):
                self._verify(installation)
                return
            words = child.words()
            child.stop()
            if "in use" not in words.lower():
                raise ServerError(f"{self.name} ended while starting. Its log {child.log} says:\n{words}")
        raise ServerError(f"{self.name}: four ports in a row were taken by others while it started. Try again.")

    def _wait(self, child: Child) -> bool:
        """True when it answers, False when it ended."""
        deadline = time.monotonic() + self.start_seconds
        while not self._answers():
            if child.exit_code() is not None:
                return False
            if time.monotonic() > deadline:
                raise ServerError(
                    f"{self.name} did not answer within {self.start_seconds:.0f} s. "
                    f"Its log {child.log} says:\n{child.words()}"
                )
            time.sleep(0.02)
        return True


def first_of(url: str) -> str:
    """The first address of a URL that lists several."""
    return url.split(",", 1)[0]


def without_login(url: str) -> str:
    """The addresses of a URL for everybody to see: no logins, no options."""
    return re.sub(r"(?<=//)[^/]*@", "", url.split("?", 1)[0])


def child_environment(**more: str) -> dict[str, str]:
    """A small environment: settings of the person's own clients (PGPORT, PGOPTIONS …) must not leak in."""
    kept = {key: os.environ[key] for key in ("PATH", "HOME", "TMPDIR") if key in os.environ}
    return {**kept, "LANG": "C", "LC_ALL": "C", "TZ": "UTC", **more}
