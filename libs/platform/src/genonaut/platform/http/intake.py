"""What is refused before a route sees it: bodies that are too large or too many, and NULs, which no table holds."""

from collections.abc import Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from genonaut.platform.http.problems import InvalidError, PayloadTooLargeError, UnavailableError


class Intake:
    """ASGI middleware. `body_limits` are bytes by path prefix, with one for `""`; the longest prefix wins.

    `room` is how many bytes of bodies may have been read for requests that are not answered yet, in a process that
    keeps bodies in memory. It refuses only bodies above the limit for `""`, so that uploads do not crowd out the rest.
    """

    def __init__(self, app: ASGIApp, *, body_limits: Mapping[str, int], room: int | None = None) -> None:
        self.app = app
        self._usual_limit = body_limits[""]
        self._room = room
        self._held = 0
        self._limits = sorted(body_limits.items(), key=lambda entry: len(entry[0]), reverse=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and ("\0" in scope["path"] or b"%00" in scope["query_string"]):
            place = "path" if "\0" in scope["path"] else "query"
            raise InvalidError(f"The {place} contains a NUL character.", loc=(place,))
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = next(limit for prefix, limit in self._limits if scope["path"].startswith(prefix))
        if _content_length(scope) > limit:
            raise _too_large(limit)
        received = 0

        async def counted() -> Message:
            # A body may come in chunks without a length.
            nonlocal received
            message = await receive()
            size = len(message.get("body", b""))
            received += size
            self._held += size
            if received > limit:
                raise _too_large(limit)
            # What has come is counted, not what is announced: whoever announces much and sends nothing takes no room.
            if self._room is not None and self._held > self._room and received > self._usual_limit:
                raise UnavailableError("Too much is being uploaded just now. Try again soon.", error_code="NO_ROOM")
            return message

        try:
            await self.app(scope, counted, send)
        finally:
            self._held -= received


def _content_length(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() else 0
    return 0


def _too_large(limit: int) -> PayloadTooLargeError:
    return PayloadTooLargeError(f"The body is larger than the {limit} bytes that this path takes.")
