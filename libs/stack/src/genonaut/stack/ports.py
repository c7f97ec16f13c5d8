"""Free TCP ports of this machine."""

import errno
import random
import socket
from collections.abc import Mapping

LISTENING = range(20_000, 32_768)
"""Below the ports that systems give to outgoing connections: one of those could sit on a server's while it restarts."""


def is_free(port: int) -> bool:
    """Whether a server could listen on 127.0.0.1:port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen(1)
        except OSError as error:
            if error.errno in {errno.EADDRINUSE, errno.EACCES}:
                return False
            raise
    return True


def free_port(prefer: int | None = None) -> int:
    """`prefer` if it is free, else any free port of `LISTENING`. Raises OSError when there is none."""
    if prefer and is_free(prefer):
        return prefer
    for port in random.sample(LISTENING, len(LISTENING)):
        if is_free(port):
            return port
    raise OSError(errno.EADDRINUSE, "no port is free")


def answers(host: str, port: int) -> bool:
    """Whether somebody accepts connections there."""
    try:
        with socket.create_connection((host, port), timeout=2.0):
            return True
    except OSError:
        return False


class Ports:
    """One port for each name, all different; the one of last time where it is still free."""

    def __init__(self, last_time: Mapping[str, int]) -> None:
        self._last_time = last_time
        self._given: dict[str, int] = {}

    def of(self, name: str) -> int:
        """The port of this name, the same every time one asks."""
        if name not in self._given:
            port = self._last_time.get(name, 0)
            while not port or port in self._given.values() or not is_free(port):
                port = free_port()
            self._given[name] = port
        return self._given[name]

    def first_free(self, name: str, start: int) -> int:
        """`start` or, when it is taken, last time's port, else the next free one above."""
        candidates: tuple[int, ...] = (
            start,
            self._last_time.get(name, start),
            *range(start + 1, min(start + 200, 65536)),
        )
        for port in candidates:
            if port not in self._given.values() and is_free(port):
                self._given[name] = port
                return port
        return self.of(name)
