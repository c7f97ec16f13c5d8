"""Processes of this machine, by their ids."""

import psutil


def alive(pid: int | None) -> bool:
    """Whether this process runs. A zombie does not, and neither does a process without an id."""
    try:
        return pid is not None and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
