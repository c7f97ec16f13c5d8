"""One plain GET, for health checks.

The supervisor asks often and should stay small: the HTTP clients of the standard library cost 7 MB.
"""

import socket
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Answer:
    """Status 0: nobody answered."""

    status: int
    body: str

    @property
    def ok(self) -> bool:
        """A 2xx."""
        return 200 <= self.status < 300  # noqa: PLR2004 - the class of HTTP statuses that this property is named for


def get(url: str, *, timeout: float = 5.0) -> Answer:
    """The answer to `GET url` (http only; HTTP/1.0, so never chunked); status 0 when there is none."""
    parts = urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    request = f"GET {path} HTTP/1.0\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n"
    try:
        with socket.create_connection((parts.hostname, parts.port or 80), timeout=timeout) as connection:
            connection.sendall(request.encode())
            with connection.makefile("rb") as file:
                head, _, body = file.read().partition(b"\r\n\r\n")
        return Answer(int(head.split(b" ", 2)[1]), body.decode(errors="replace"))
    except (OSError, ValueError, IndexError):
        return Answer(0, "")
