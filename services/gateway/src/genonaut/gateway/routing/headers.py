"""Which headers pass: everything but what belongs to one connection or is ours to say."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from multidict import CIMultiDict
from starlette.types import Scope

from genonaut.platform.http.middleware import ROUTE

Headers = Iterable[tuple[bytes, bytes]]

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)

_NOT_TO_SERVICES = HOP_BY_HOP | {
    b"host",
    b"expect",
    b"content-length",
    b"x-request-id",
    b"traceparent",
    b"forwarded",
    b"x-real-ip",
}
_OURS = (b"x-forwarded-", b"x-genonaut-")
"""Prefixes of headers that only the platform states."""

_ROUTE = ROUTE.lower().encode()
_NOT_TO_CLIENTS = HOP_BY_HOP | {b"date", b"server", _ROUTE}
_WITHOUT_BODY = (204, 304)


def to_service(scope: Scope, ours: Mapping[str, str]) -> tuple[CIMultiDict[str], int | None]:
    """The headers for the service, and the length of the body: 0 without one, None when it is not said.

    `ours` are added. X-Forwarded-* states the client as this server knows it, whatever the client says of itself.
    """
    headers: CIMultiDict[str] = CIMultiDict()
    length: int | None = 0
    named: frozenset[bytes] = frozenset()
    for name, value in scope["headers"]:
        if name in _NOT_TO_SERVICES:
            if name == b"content-length":
                length = int(value)
            elif name == b"transfer-encoding":
                length = None
            elif name == b"connection":
                named |= _tokens(value)
            elif name == b"host":
                headers["X-Forwarded-Host"] = _text(value)
        elif not name.startswith(_OURS):
            headers.add(name.decode("latin-1"), _text(value))
    for name in named - {b"close", b"keep-alive"}:
        headers.popall(name.decode("latin-1"), None)
    headers["X-Forwarded-Proto"] = scope["scheme"]
    if client := scope.get("client"):
        headers["X-Forwarded-For"] = client[0]
    headers.update(ours)
    return headers, length


@dataclass(frozen=True, slots=True)
class Answered:
    """The headers of a service's answer, sorted by who reads them."""

    to_client: list[tuple[bytes, bytes]]
    route: str | None
    media_type: bytes


def to_client(raw_headers: Headers, status: int) -> Answered:
    """What passes to the client, and what the gateway reads itself."""
    passing = []
    route = None
    media_type = b""
    named: frozenset[bytes] = frozenset()
    for name, value in raw_headers:
        lower = name.lower()
        if lower in _NOT_TO_CLIENTS:
            if lower == _ROUTE:
                route = value.decode("latin-1")
            elif lower == b"connection":
                named |= _tokens(value)
            continue
        if lower == b"content-type":
            media_type = value.partition(b";")[0].strip().lower()
        elif lower == b"content-length" and status in _WITHOUT_BODY:
            continue
        passing.append((lower, value))
    if named:
        passing = [header for header in passing if header[0] not in named]
    return Answered(passing, route, media_type)


def _tokens(value: bytes) -> frozenset[bytes]:
    return frozenset(token.strip().lower() for token in value.split(b","))


def _text(value: bytes) -> str:
    """As text that the client library encodes to the same bytes; it writes UTF-8."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
