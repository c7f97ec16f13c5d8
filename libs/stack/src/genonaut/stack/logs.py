"""Log files of the processes: appended to, rotated by size when a process starts."""

import os
from pathlib import Path

LIMIT = 5_000_000


def open_log(path: Path) -> int:
    """A descriptor that appends to `path`; a file past the limit becomes `<name>.1` first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > LIMIT:
        path.replace(path.with_name(f"{path.name}.1"))
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)


def last_lines(path: Path, count: int = 15, *, since: int = 0) -> str:
    """The last lines of the log behind byte `since`, indented; empty when there is no log."""
    if not path.exists():
        return ""
    with path.open("rb") as file:
        file.seek(max(since, path.stat().st_size - 20_000))
        lines = [line for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    return "\n".join(f"    {line}" for line in lines[-count:])
