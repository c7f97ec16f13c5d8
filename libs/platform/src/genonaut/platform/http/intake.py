"""What is refused before a route sees it: bodies over the limit, and NUL characters, which no table holds."""

from collections.abc import Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from genonaut.platform.http.problems import InvalidError, PayloadTooLargeError


class Intake:
    """ASGI middleware. `body_limits` are bytes by path prefix, with one for `""`; the longest prefix wins."""

    def __init__(self, app: ASGIApp, *, body_limits: Mapping[str, int]) -> None:
        self.app = app
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
            received += len(message.get("body", b""))
            if received > limit:
                raise _too_large(limit)
            return message

        await self.app(scope, counted, send)


def _content_length(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() else 0
    return 0


def _too_large(limit: int) -> PayloadTooLargeError:
    return PayloadTooLargeError(f"The body is larger than the {limit} bytes that this path takes.")
