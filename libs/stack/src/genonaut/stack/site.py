"""What the processes of one stack need to know of each other: its folders, servers, passwords and ports."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from genonaut.stack import given
from genonaut.stack.credentials import Credentials
from genonaut.stack.ports import Ports
from genonaut.stack.servers import Nats, Postgres, Server, Valkey
from genonaut.stack.servers.server import without_login

LOGINS = tuple(
    f"genonaut_{who}" for who in ("admin", "rw", "ro", "content", "generation", "analytics", "notifications")
)
"""The roles of the database."""


@dataclass(frozen=True)
class Site:
    """One stack, its servers running."""

    root: Path  # the clone
    state: Path  # its .genonaut
    environment: str
    credentials: Credentials
    ports: Ports
    postgres: Postgres
    nats: Nats
    valkey: Valkey

    @classmethod
    def of(cls, root: Path, state: Path, environment: str, *, last_ports: Mapping[str, int]) -> "Site":
        """With servers that are not started yet; those named in our environment never will be."""

        def port(server: type[Postgres | Nats | Valkey]) -> int:
            return last_ports.get(server.name, server.default_port)

        postgres, nats = given.postgres(environment), given.nats(environment)
        site = cls(
            root=root,
            state=state,
            environment=environment,
            credentials=Credentials(state),
            ports=Ports(last_ports),
            postgres=Postgres(state, given=postgres.url if postgres else None, prefer_port=port(Postgres)),
            nats=Nats(state, given=nats.url if nats else None, prefer_port=port(Nats), environment=environment),
            valkey=Valkey(state, given=os.environ.get(Valkey.variable), prefer_port=port(Valkey)),
        )
        site.postgres.variable = postgres.variable if postgres else Postgres.variable
        site.nats.variable = nats.variable if nats else Nats.variable
        return site

    @property
    def servers(self) -> tuple[Postgres, Nats, Valkey]:
        """In the order of their start."""
        return self.postgres, self.nats, self.valkey

    @property
    def database(self) -> str:
        """The name of the database of the environment."""
        return given.database(self.environment)

    def password(self, login: str) -> str:
        """Of a role of the database: the one that is given, else one of ours, made once."""
        return given.password(login) or self.credentials.of(login)

    def database_url(self, login: str) -> str:
        """The database of the environment, as one of its roles."""
        return self.postgres.url(user=login, password=self.password(login), database=self.database)

    def public_url(self, server: Server) -> str:
        """Where the server answers, without login; empty before its start."""
        url = server.url(database=self.database) if isinstance(server, Postgres) else server.url()
        return without_login(url) if server.port else ""

    def http(self, name: str) -> str:
        """Where the process of this name listens."""
        return f"http://127.0.0.1:{self.ports.of(name)}"
