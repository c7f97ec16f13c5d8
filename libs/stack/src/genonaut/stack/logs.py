"""Log files of the processes: appended to, rotated by size, when a process starts and while it runs."""

import os
import shutil
from pathlib import Path

LIMIT = 5_000_000


def open_log(path: Path) -> int:
    """A descriptor that appends to `path`; a file past the limit becomes `<name>.1` first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > LIMIT:
        path.replace(path.with_name(f"{path.name}.1"))
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)


def rotate(path: Path) -> None:
    """Sets a log past the limit aside as `<name>.1`, its process going on with an empty one.

    Lines of that very moment may be lost. Raises OSError when there is no room.
    """
    if path.exists() and path.stat().st_size > LIMIT:
        shutil.copyfile(path, path.with_name(f"{path.name}.1"))
        os.truncate(path, 0)  # everybody appends, so nobody writes behind a hole


def last_lines(path: Path, count: int = 15, *, since: int = 0) -> str:
    """The last lines of the log behind byte `since` (all of it if rotated since), indented; empty without one."""
    if not path.exists():
        return ""
    with path.open("rb") as file:
        size = path.stat().st_size
        file.seek(max(since if since <= size else 0, size - 20_000))
        lines = [line for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    return "\n".join(f"    {line}" for line in lines[-count:])
