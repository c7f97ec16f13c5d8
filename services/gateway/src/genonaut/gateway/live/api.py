"""`GET /api/v1/generation-jobs/{id}/events`, `/ws/jobs/{id}` and `/ws/jobs?job_ids=`."""

from typing import Annotated
from uuid import UUID

from fastapi import Header, Path, Query, WebSocket
from fastapi.responses import Response

from genonaut.gateway.live.socket import relay
from genonaut.gateway.live.stream import EventStream
from genonaut.gateway.runtime import RuntimeDep
from genonaut.platform.http.problems import BadRequestError
from genonaut.platform.http.routing import Router

MAX_BIGINT = 2**63 - 1
MAX_JOBS = 50
"""Of one socket."""

router = Router(tags=["generation-jobs"])

JobId = Annotated[int, Path(ge=1, le=MAX_BIGINT)]


@router.get(
    "/api/v1/generation-jobs/{id}/events",
    response_class=Response,
    responses={
        200: {"description": "Events named `job`", "content": {"text/event-stream": {}}},
        204: {"description": "The job is over and the client has its whole log"},
    },
)
async def events(
    id: JobId,  # noqa: A002 - the name in the path
    runtime: RuntimeDep,
    last_event_id: Annotated[str | None, Header(description="The position to continue after.")] = None,
    after: Annotated[str | None, Query(alias="last_event_id", description="The same, for a first request.")] = None,
    user_id: Annotated[UUID | None, Query(description="Who looks: a private job is its user's only.")] = None,
) -> Response:
    """The job's log from `Last-Event-ID` on, then what happens as it happens, until the job is over.

    The id of an event is its position in the job's own log: a client that comes back with it misses nothing and
    gets nothing twice. Step progress has no id.
    """
    viewer = str(user_id) if user_id else None
    return EventStream(runtime.feed, id, after=_position(last_event_id or after), viewer=viewer)


@router.websocket("/ws/jobs/{job_id}")
async def socket(websocket: WebSocket, runtime: RuntimeDep, job_id: str, user_id: str = "") -> None:
    await relay(websocket, runtime.feed, _job_ids(job_id), viewer=user_id.lower() or None)


@router.websocket("/ws/jobs")
async def sockets(websocket: WebSocket, runtime: RuntimeDep, job_ids: str = "", user_id: str = "") -> None:
    await relay(websocket, runtime.feed, _job_ids(job_ids), viewer=user_id.lower() or None)


def _position(text: str | None) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdecimal()) or len(text) > len(str(MAX_BIGINT)):
        raise BadRequestError("Last-Event-ID is the id of an event of this job.", error_code="INVALID_LAST_EVENT_ID")
    return int(text)


def _job_ids(text: str) -> list[int]:
    """The ids without repeats; none when any of them is no id, or when there are more than a socket takes."""
    parts = text.split(",")
    if len(parts) > MAX_JOBS or not all(part.isascii() and part.isdecimal() and len(part) < 19 for part in parts):  # noqa: PLR2004 - a bigint
        return []
    ids = list(dict.fromkeys(int(part) for part in parts))
    return [] if 0 in ids else ids
