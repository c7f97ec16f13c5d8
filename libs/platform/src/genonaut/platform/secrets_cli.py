"""`genonaut secrets`: the passwords of one deployment, made once, and what each of its processes needs of them.

Every process gets a folder of its own with nothing in it but its own logins: docker-compose.yml mounts it as
/run/secrets.
"""

import os
import secrets as randomness
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from genonaut.platform.bus_users import ADMIN, DRIVER, PROCESSES, SYSTEM, account, system_account, user_name
from genonaut.platform.provisioning import SERVICES, login
from genonaut.platform.settings import AppEnv

POSTGRES, NATS, VALKEY = "postgres:5432", "nats:4222", "valkey:6379"
"""Where the servers are in the network of the deployment."""

PASSWORDS = "passwords"
"""The folder that no process gets to see."""


CACHING = ("gateway", "content", "content-migrate")
"""Who has to do with Valkey."""


def secrets(
    folder: Annotated[Path, typer.Argument(help="Where they are kept.")],
    environment: Annotated[AppEnv, typer.Option(envvar="APP_ENV", help="dev, demo, test or prod.")] = "prod",
    database: Annotated[str, typer.Option(envvar="DB_NAME", help="The name of the database.")] = "genonaut",
) -> None:
    """Make what is missing of a deployment's passwords, and write each process's logins into a folder of its own.

    A password that exists stays as it is. Repeat it after an upgrade: who may do what on the bus is written anew.
    """
    for path, content in contents(Passwords(folder / PASSWORDS), environment, database).items():
        _write(folder / path, content, mode=0o444)  # each process runs as its own user, and sees its own folder only


class Passwords:
    """Random ones by name, each in a file that only its owner can read. Made when first asked for."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        self._folder = folder

    def of(self, name: str) -> str:
        """The same every time; 192 bits in letters that need no quoting anywhere."""
        path = self._folder / name
        if not path.exists():
            _write(path, randomness.token_hex(24), mode=0o400)
        return path.read_text()


def contents(passwords: Passwords, environment: AppEnv, database: str) -> Mapping[str, str]:
    """The content of every file, by its path: `<process>/<secret>`."""

    def postgres(role: str, name: str = database) -> str:
        return f"postgresql://{role}:{passwords.of(role)}@{POSTGRES}/{name}"

    def nats(process: str) -> str:
        user = user_name(environment, process)
        return f"nats://{user}:{passwords.of(f'nats_{user}')}@{NATS}"

    bus_passwords = {name: passwords.of(f"nats_{user_name(environment, name)}") for name in (ADMIN, *PROCESSES)}
    files = {
        "postgres/postgres_password": passwords.of("postgres"),
        "nats/accounts.conf": account(environment, bus_passwords) + system_account(passwords.of("nats_system")),
        "valkey/valkey.conf": f"requirepass {passwords.of('valkey')}\n",
        "provision/database_superuser_url": postgres("postgres", "postgres"),
        "provision/nats_url": nats(ADMIN),
        "provision/nats_system_url": f"nats://{SYSTEM}:{passwords.of('nats_system')}@{NATS}",
        **{f"{name}/redis_url": f"redis://:{passwords.of('valkey')}@{VALKEY}" for name in CACHING},
        f"{DRIVER}/database_url": postgres(login("generation")),
    }
    for role in ("admin", "rw", "ro", *SERVICES):
        files[f"provision/db_password_{role}"] = passwords.of(login(role))
    for service in SERVICES:
        # Migrating, and rebuilding in the same place, are done as the owner, with a consumer of one's own.
        for process, bus_user in ((service, service), (f"{service}-migrate", ADMIN)):
            files[f"{process}/database_url"] = postgres(login(service))
            files[f"{process}/nats_url"] = nats(bus_user)
        files[f"{service}-migrate/database_admin_url"] = postgres(login("admin"))
    for process in ("gateway", DRIVER):
        files[f"{process}/nats_url"] = nats(process)
    for process in (*PROCESSES, *(f"{service}-migrate" for service in SERVICES)):
        files[f"{process}/api_secret_key"] = passwords.of("api_secret_key")
    return files


def _write(path: Path, content: str, *, mode: int) -> None:
    """All of it or nothing, whatever happens in between."""
    path.parent.mkdir(exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.chmod(mode)
    new.replace(path)
