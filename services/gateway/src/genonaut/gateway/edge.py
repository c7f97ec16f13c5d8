"""What browsers are told with every answer: which pages may read it, and to take its media type as it is said."""

from collections.abc import Sequence

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from genonaut.platform.http.middleware import REQUEST_ID

_NOSNIFF = (b"x-content-type-options", b"nosniff")
_VARY = (b"vary", b"Origin")


class Edge:
    """ASGI middleware: CORS for requests that pages of other origins make, safe headers for all."""

    def __init__(self, app: ASGIApp, *, origins: Sequence[str]) -> None:
        self.app = app
        self._cors = CORSMiddleware(
            app, allow_origins=origins, allow_methods=["*"], allow_headers=["*"], expose_headers=[REQUEST_ID]
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        crossing = any(name == b"origin" for name, _ in scope["headers"])
        # Without Vary a cache could hand the answer for our own pages, which allows nobody, to the others.
        ours = (_NOSNIFF,) if crossing else (_NOSNIFF, _VARY)

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *ours]
            await send(message)

        await (self._cors if crossing else self.app)(scope, receive, sent)
