"""Files that are whole or absent, never half written."""

import os
from pathlib import Path

PRIVATE = 0o600


def write_whole(path: Path, text: str, *, mode: int = PRIVATE) -> None:
    """Replaces the file at once, or leaves it as it was. It has the rights `mode` from its first moment on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
