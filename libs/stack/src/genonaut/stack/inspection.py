"""How the processes of a stack are now: alive, ready, and how much memory each really costs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from genonaut.stack.http import get
from genonaut.stack.local import LocalStack
from genonaut.stack.stackfile import NOT_READY, READY

GONE = "gone"


@dataclass(frozen=True)
class Seen:
    """One process of the stack, asked just now."""

    name: str
    state: str
    pid: int | None
    memory: int  # bytes, with children; 0 when it is not ours
    entry: dict[str, Any]  # of stack.json

    @property
    def ok(self) -> bool:
        """Whether it does its work."""
        return self.state == READY


def look(stack: LocalStack) -> list[Seen]:
    """Every process that stack.json names, the supervisor first. Nothing when it does not run."""
    if not stack.is_running():
        return []
    content = stack.read()
    pid = content.get("pid")
    supervisor = {"kind": "supervisor", "log": str(stack.log), "version": content.get("version", "")}
    seen = [Seen("supervisor", "ready", pid, memory(pid, children=False), supervisor)]
    for name, entry in content.get("processes", {}).items():
        seen.append(Seen(name, _state(entry), entry["pid"], memory(entry["pid"]), entry))
    return seen


def _state(entry: dict[str, Any]) -> str:
    state: str = entry["state"]
    if entry["pid"] is None:
        return state
    if not psutil.pid_exists(entry["pid"]):
        return GONE
    if state in {READY, NOT_READY} and entry.get("ready"):
        return READY if get(entry["ready"], timeout=3).ok else NOT_READY
    return state


def memory(pid: int | None, *, children: bool = True) -> int:
    """The proportional set size in bytes: pages shared with n others count 1/n. Resident size where unknown."""
    try:
        process = psutil.Process(pid or 0)
        family = [process, *(process.children(recursive=True) if children else [])]
    except psutil.Error:
        return 0
    return sum(_proportional(process) for process in family) if pid else 0


def _proportional(process: psutil.Process) -> int:
    try:
        for line in Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass  # not Linux, or not ours to read
    try:
        resident: int = process.memory_info().rss
    except psutil.Error:
        return 0
    return resident
