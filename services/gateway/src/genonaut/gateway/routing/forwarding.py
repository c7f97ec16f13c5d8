"""Forwarding: a request goes to its service, the answer comes back, both as they arrive.

Plain ASGI: FastAPI sees only what is the gateway's own. A request that changes nothing when repeated (GET, PUT,
DELETE, …) is sent once more when its connection breaks before the answer; others never are.
"""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import orjson
import structlog
from aiohttp import ClientResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from yarl import URL

from genonaut.gateway.routing import bodies
from genonaut.gateway.routing.departures import Departure
from genonaut.gateway.routing.headers import Answered, to_client, to_service
from genonaut.gateway.routing.services import Services, broken
from genonaut.gateway.routing.table import TABLE, Service, Table
from genonaut.platform import telemetry
from genonaut.platform.http.middleware import ROUTE_KEY
from genonaut.platform.http.problems import ERROR_KEY, MEDIA_TYPE, Problem

log = structlog.get_logger()

WATCH_AFTER = 0.05
"""Seconds after which somebody listens whether the client is still there. Most answers are faster."""
MAX_PROBLEM_BYTES = 1024 * 1024

_PROBLEM = MEDIA_TYPE.encode()


class Forwarding:
    """ASGI middleware in front of the gateway's own routes."""

    def __init__(self, app: ASGIApp, *, services: Services, upload_pause: float, table: Table = TABLE) -> None:
        self.app = app
        self._services = services
        self._upload_pause = upload_pause
        self._table = table

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        service, raw_path = self._table.resolve(scope["path"], scope.get("raw_path") or scope["path"].encode())
        if service is None:
            await self.app(scope, receive, send)
            return
        async with Departure(receive) as departure:
            try:
                response = await self._asked(service, raw_path, scope, receive, departure)
            except Problem:
                # Otherwise an outage would count for no route at all.
                scope[ROUTE_KEY] = self._table.prefix_of(scope["path"])
                raise
            try:
                await self._answer(service, response, scope, send)
            finally:
                response.close()  # of a response that was read to its end, the connection is kept

    async def _asked(
        self, service: Service, raw_path: bytes, scope: Scope, receive: Receive, departure: Departure
    ) -> ClientResponse:
        """The service's answer up to its headers. Raises a Problem when there is none."""
        headers, length = to_service(scope, telemetry.outgoing_headers())
        upload: bodies.Upload | None = None
        data: bytes | AsyncIterator[bytes] | None = None
        if length is None or length > bodies.SMALL:
            upload = bodies.Upload(
                receive, pause=self._upload_pause, finished=lambda: departure.watch(after=WATCH_AFTER)
            )
            data = upload.chunks()
            if length is not None:
                headers["Content-Length"] = str(length)
        else:
            if length:
                data = await bodies.whole(receive, pause=self._upload_pause)
            departure.watch(after=WATCH_AFTER)
        try:
            return await self._services.session.request(
                scope["method"],
                _url(self._services.urls[service], raw_path, scope["query_string"]),
                headers=headers,
                data=data,
                allow_redirects=False,
            )
        except (aiohttp.ClientError, TimeoutError) as error:
            if upload is not None and upload.error is not None:
                raise upload.error from error
            raise self._services.problem(service, error, scope) from error

    async def _answer(self, service: Service, response: ClientResponse, scope: Scope, send: Send) -> None:
        answered = to_client(response.raw_headers, response.status)
        if answered.route:
            scope[ROUTE_KEY] = answered.route
        if response.status >= 400:  # noqa: PLR2004 - from here on it is an error
            if answered.media_type == _PROBLEM:
                scope[ERROR_KEY], body = await self._problem(service, response, scope)
                await _start(send, response.status, answered)
                await send({"type": "http.response.body", "body": body})
                return
            if response.status >= 500:  # noqa: PLR2004 - the definition of a server error
                log.error("gateway.improper_answer", service=service, path=scope["path"], status=response.status)
                raise broken(service)
        await _start(send, response.status, answered)
        try:
            await _pass_on(response, send)
        except (aiohttp.ClientError, TimeoutError) as error:
            # Without the rest, the server cuts the connection.
            scope[ERROR_KEY] = "ANSWER_CUT"
            log.warning("gateway.answer_cut", service=service, path=scope["path"], error=type(error).__name__)

    async def _problem(self, service: Service, response: ClientResponse, scope: Scope) -> tuple[str | None, bytes]:
        """The `error_code` of a problem body, and the body."""
        try:
            body = await response.content.read(MAX_PROBLEM_BYTES)
            while not response.content.at_eof():
                if len(body) >= MAX_PROBLEM_BYTES:
                    raise broken(service)
                body += await response.content.read(MAX_PROBLEM_BYTES - len(body))
        except (aiohttp.ClientError, TimeoutError) as error:
            raise self._services.problem(service, error, scope) from error
        return _error_code(body), body


async def _start(send: Send, status: int, answered: Answered) -> None:
    await send({"type": "http.response.start", "status": status, "headers": answered.to_client})


async def _pass_on(response: ClientResponse, send: Send) -> None:
    content = response.content
    chunk = await content.readany()
    while not content.at_eof():
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
        chunk = await content.readany()
    await send({"type": "http.response.body", "body": chunk})


def _url(base: str, raw_path: bytes, query: bytes) -> URL:
    target = f"{base}{raw_path.decode('latin-1')}"
    return URL(f"{target}?{query.decode('latin-1')}" if query else target, encoded=True)


def _error_code(body: bytes) -> str | None:
    try:
        problem: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    code = problem.get("error_code") if isinstance(problem, dict) else None
    return code if isinstance(code, str) else None
