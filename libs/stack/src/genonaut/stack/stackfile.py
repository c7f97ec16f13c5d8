"""`stack.json`: what runs, where, and in which state. No secrets, so everybody may read it."""

import json
from pathlib import Path
from typing import Any

from genonaut.stack.files import write_whole

READABLE = 0o644

STARTING, READY, STOPPING, STOPPED, FAILED = "starting", "ready", "stopping", "stopped", "failed"
WAITING = "waiting"  # of a process: ended by itself, will be started again
NOT_READY = "not ready"  # of a process: it was, and will be when what it needs is back


class StackFile:
    """The file of one state folder. The supervisor writes it, everybody else reads it."""

    def __init__(self, state: Path) -> None:
        self.path = state / "stack.json"

    def read(self) -> dict[str, Any]:
        """The latest content; empty when there is none."""
        try:
            content: dict[str, Any] = json.loads(self.path.read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return content

    def write(self, content: dict[str, Any]) -> None:
        """Replaces it at once."""
        write_whole(self.path, json.dumps(content, indent=2) + "\n", mode=READABLE)
