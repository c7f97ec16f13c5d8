"""A job's log as the generation service has it: the truth that live streams follow."""

import aiohttp
import structlog
from pydantic import BaseModel, ValidationError

from genonaut.contracts import Envelope
from genonaut.gateway.routing.services import Services
from genonaut.platform import telemetry
from genonaut.platform.http.problems import BadGatewayError, NotFoundError, UnavailableError

log = structlog.get_logger()

TIMEOUT = aiohttp.ClientTimeout(total=5)


class JobLog(BaseModel):
    """The events of one job from some position on, in order."""

    events: list[Envelope]


class JobLogs:
    """Reads job logs from the generation service."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def after(self, job_id: int, position: int) -> JobLog:
        """Raises NotFoundError for an unknown job, UnavailableError when the service cannot say, BadGatewayError."""
        url = f"{self._services.urls['generation']}/internal/jobs/{job_id}/events"
        try:
            async with self._services.session.get(
                url, params={"after": position}, headers=telemetry.outgoing_headers(), timeout=TIMEOUT
            ) as response:
                body = await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            log.warning("live.log_unreachable", job_id=job_id, error=type(error).__name__)
            raise UnavailableError("The generation service is not reachable at the moment. Try again soon.") from error
        if response.status == 404:  # noqa: PLR2004 - not found
            raise NotFoundError(f"There is no generation job {job_id}")
        if response.status >= 500:  # noqa: PLR2004 - the definition of a server error
            raise UnavailableError("The generation service cannot answer at the moment. Try again soon.")
        try:
            return JobLog.model_validate_json(body)
        except ValidationError as error:
            log.warning("live.log_unreadable", job_id=job_id, status=response.status, error=str(error))
            raise BadGatewayError("The generation service did not give a proper answer.") from error
