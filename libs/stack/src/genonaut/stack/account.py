"""The user a server runs as. Postgres refuses root, so root hands it to somebody with fewer rights."""

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class AccountError(RuntimeError):
    """No user to run as; the message says what to do."""


@dataclass(frozen=True)
class Account:
    """A user of this machine."""

    name: str
    uid: int
    gid: int

    def popen(self) -> dict[str, Any]:
        """What makes `Popen` run as this user; nothing when we are this user already."""
        if self.uid == os.geteuid():
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def give(self, path: Path) -> None:
        """Makes the user the owner of the file or folder."""
        if self.uid != os.geteuid():
            os.chown(path, self.uid, self.gid)

    def can_enter(self, folder: Path) -> bool:
        """Whether the user can reach the folder through all its parents."""
        return self._can(["/bin/sh", "-c", 'cd "$1"', "sh", str(folder)])

    def can_run(self, program: Path) -> bool:
        """Whether the user can start the program (a `--version` of it succeeds)."""
        return self._can([str(program), "--version"])

    def _can(self, argv: list[str]) -> bool:
        try:
            return (
                subprocess.run(  # noqa: S603 - fixed commands
                    argv, cwd="/", capture_output=True, timeout=20, check=False, **self.popen()
                ).returncode
                == 0
            )
        except PermissionError:
            return False


def unprivileged(owner: int | None = None) -> Account:
    """The user to run as: ourselves, or, as root, the `owner` of earlier data, else postgres, else nobody.

    Raises AccountError for a user id without an entry in the password database.
    """
    if os.geteuid() != 0:
        return _by_id(os.geteuid())
    if owner:
        return _by_id(owner)
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
    raise AccountError(
        "Postgres refuses to run as root, and there is no user postgres or nobody to run it as. "
        "Create one (`useradd --system postgres`), run as a normal user, or set DATABASE_URL."
    )


def _by_id(uid: int) -> Account:
    try:
        entry = pwd.getpwuid(uid)
    except KeyError as error:
        raise AccountError(
            f"The user id {uid} has no entry in the password database, and Postgres refuses to run without one. "
            "Add a line for it to /etc/passwd, run as a user that has one, or set DATABASE_URL."
        ) from error
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
