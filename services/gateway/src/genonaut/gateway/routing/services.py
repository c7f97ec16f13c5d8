"""The connections to the services: one pool, reused, with a limit on every wait."""

from types import TracebackType
from typing import Self

import aiohttp
import structlog
from aiohttp import ClientSession
from starlette.types import Scope

from genonaut.gateway.routing.table import SERVICES, Service
from genonaut.gateway.settings import GatewaySettings
from genonaut.platform.http.problems import BadGatewayError, Problem, TimeoutProblem, UnavailableError

log = structlog.get_logger()

KEEP_ALIVE_SECONDS = 3.5
"""How long an idle connection is kept. Shorter than the 5 s of the services, so that none is closed as we use it."""


class Services:
    """`async with services:` opens the pool. `session` makes requests; failures become problems with `problem`."""

    def __init__(self, settings: GatewaySettings) -> None:
        self.urls = {service: settings.base_url(service) for service in SERVICES}
        self._settings = settings
        self._session: ClientSession | None = None

    @property
    def session(self) -> ClientSession:
        if self._session is None:
            raise RuntimeError("the services are not open")
        return self._session

    async def __aenter__(self) -> Self:
        self._session = ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0,
                limit_per_host=self._settings.max_connections,
                keepalive_timeout=KEEP_ALIVE_SECONDS,
            ),
            timeout=aiohttp.ClientTimeout(
                total=None,
                connect=2 * self._settings.connect_timeout_seconds,
                sock_connect=self._settings.connect_timeout_seconds,
                sock_read=self._settings.silence_timeout_seconds,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def problem(self, service: Service, error: aiohttp.ClientError | TimeoutError, scope: Scope) -> Problem:
        """What the caller is told when a service could not be asked, or broke off before its answer."""
        log.warning("gateway.service_failed", service=service, path=scope["path"], error=type(error).__name__)
        if isinstance(error, aiohttp.ConnectionTimeoutError | aiohttp.ClientConnectorError):
            return UnavailableError(f"The {service} service is not reachable at the moment. Try again soon.")
        if isinstance(error, TimeoutError):
            return _timed_out(service, self._settings.silence_timeout_seconds, scope)
        return broken(service)


def broken(service: Service) -> Problem:
    return BadGatewayError(
        f"The {service} service did not give a proper answer. If the request changes something, it may have done so."
    )


def _timed_out(service: Service, seconds: float, scope: Scope) -> Problem:
    message = f"The {service} service took too long to answer. Please try again or refine your request."
    context = {"path": scope["path"], "method": scope["method"]}
    return TimeoutProblem(
        message,
        extra={
            "error_type": "service_timeout",
            "message": message,
            "timeout_duration": f"{seconds:g}s",
            "details": {"context": context},
        },
    )
