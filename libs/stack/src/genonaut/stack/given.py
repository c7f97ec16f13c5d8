"""Which servers, names and passwords the environment gives, by the variables of docs/database.md.

The standard library only: the supervisor asks, too. Secrets are values here; whoever is asked by a person has read
the files that `<name>_FILE` names before.
"""

import os
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

DATABASES = {"dev": "genonaut", "demo": "genonaut_demo", "test": "genonaut_test", "prod": "genonaut"}
"""The database of each environment, unless another one is named."""

_OWN_URLS = {"demo": "DATABASE_URL_DEMO", "test": "DATABASE_URL_TEST"}
_OWN_NAMES = {"demo": "DB_NAME_DEMO", "test": "DB_NAME_TEST"}
PARTS = ("DB_HOST", "DB_PORT", "DB_USER", "DB_PASSWORD")
"""Any of them names a server."""
NAMES = ("DB_NAME", "DB_NAME_DEMO", "DB_NAME_TEST")
_NOT_A_NAME = {"", "postgres"}
"""Databases of a URL that say nothing: one connects somewhere to make another one."""


@dataclass(frozen=True)
class Given:
    """A server that somebody else runs."""

    variable: str
    """What names it, for messages."""
    url: str


def postgres(environment: str) -> Given | None:
    """The server of the environment's database, as a role that makes roles and databases."""
    for variable in (_OWN_URLS.get(environment, ""), "DATABASE_URL"):
        if url := os.environ.get(variable):
            return Given(variable, url)
    if not any(os.environ.get(part) for part in PARTS):
        return None
    host, port, user, password = (os.environ.get(part, "") for part in PARTS)
    login = quote(user or "postgres", safe="") + (f":{quote(password, safe='')}" if password else "")
    named = next(part for part in PARTS if os.environ.get(part))
    return Given(named, f"postgresql://{login}@{host or 'localhost'}:{port or 5432}/postgres")


def nats(environment: str) -> Given | None:
    """The server of the environment's streams, as a user who may make them."""
    for variable in (f"NATS_URL_{environment.upper()}", "NATS_URL"):
        if url := os.environ.get(variable):
            return Given(variable, url)
    return None


def database(environment: str) -> str:
    """The database's name: as it is said, else that of the environment's own URL, else its usual one."""
    if name := os.environ.get(_OWN_NAMES.get(environment, "DB_NAME")):
        return name
    # Another environment's database is never this one's.
    own = os.environ.get(_OWN_URLS.get(environment, "DATABASE_URL"), "")
    name = unquote(urlsplit(own).path.strip("/"))
    return DATABASES[environment] if name in _NOT_A_NAME else name


def password_variable(login: str) -> str:
    """`DB_PASSWORD_ADMIN` for genonaut_admin, and so on."""
    return f"DB_PASSWORD_{login.removeprefix('genonaut_').upper()}"


def password(login: str) -> str:
    """What is given for a role of the database; empty when nothing is."""
    return os.environ.get(password_variable(login), "")
