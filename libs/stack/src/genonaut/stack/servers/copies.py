"""Copies of server programs for a user who cannot read the originals, such as a wheel below /root."""

import os
import shutil
import stat
import tempfile
from hashlib import sha256
from pathlib import Path

from genonaut.stack.servers.server import Installation, ServerError

PLACE = Path("/var/tmp")  # noqa: S108 - everybody writes here: ownership is checked before anything is used


def readable_copy(installation: Installation) -> Installation:
    """The same Postgres below /var/tmp, made once, readable by all and writable by us only.

    A wheel's programs find their libraries beside the package, in `<package>.libs`: both are copied.
    """
    install = installation.programs.parent  # <package>/<install>/bin
    package = install.parent
    libraries = package.with_name(f"{package.name}.libs")
    key = sha256(f"{os.geteuid()} {install}".encode()).hexdigest()[:8]
    copy = PLACE / f"genonaut-postgres-{installation.version_text}-{key}"
    if not _is_ours(copy):
        draft = Path(tempfile.mkdtemp(prefix=f"{copy.name}.", dir=PLACE))
        for source in filter(Path.exists, (install, libraries)):
            shutil.copytree(source, draft / source.relative_to(package.parent), symlinks=True)
        _open_for_reading(draft)
        try:
            draft.rename(copy)
        except OSError as error:
            shutil.rmtree(draft)
            if not _is_ours(copy):  # else another start was faster
                raise ServerError(f"{copy} exists and is not ours ({error}). Remove it.") from error
    programs = copy / install.relative_to(package.parent) / "bin"
    return Installation(installation.source, programs, installation.version)


def _open_for_reading(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            is_program = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
            path.chmod(0o755 if is_program else 0o644)


def _is_ours(folder: Path) -> bool:
    try:
        seen = folder.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(seen.st_mode) and seen.st_uid == os.geteuid() and not seen.st_mode & 0o022
