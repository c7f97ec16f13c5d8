"""Jobs: ask for one, see what becomes of them, cancel."""

from collections.abc import Container
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Path, Query, Response

from genonaut.contracts.generation import JobType
from genonaut.contracts.streams import GENERATION_USERS
from genonaut.generation.jobs import queries
from genonaut.generation.jobs.commands import request_job
from genonaut.generation.jobs.domain import JOB, CancelJob, JobEndedError
from genonaut.generation.jobs.schemas import AnyStatus, Cancellation, Job, JobEvents, NewJob, stored_status
from genonaut.generation.jobs.tables import jobs
from genonaut.generation.users.queries import Standing, standing
from genonaut.platform.http.errors import ConflictError, InvalidError, NotFoundError, UnavailableError
from genonaut.platform.http.lists import MAX_BIGINT, ListBody, ListQuery, fetch_list, list_query
from genonaut.platform.http.routing import Router
from genonaut.platform.service import Runtime, RuntimeDep

router = Router(tags=["generation-jobs"])

PREFIX = "/api/v1/generation-jobs"

JobId = Annotated[int, Path(ge=1, le=MAX_BIGINT)]
Viewer = Annotated[
    UUID | None, Query(alias="user_id", description="Who looks: a private job is its user's only, to others it is 404.")
]
Listed = Annotated[
    ListQuery,
    Depends(
        list_query(
            {
                "created_at": jobs.c.created_at,
                "updated_at": jobs.c.updated_at,
                "started_at": jobs.c.started_at,
                "completed_at": jobs.c.completed_at,
            },
            key=jobs.c.id,
        )
    ),
]


@router.post(PREFIX, status_code=201, responses={422: {"description": "Also when the user is unknown or not active"}})
async def request_generation(wish: NewJob, runtime: RuntimeDep, response: Response) -> Job:
    """Ask for a generation. The job is queued and safe when this answers; follow its events to see it happen.

    Only images can be generated so far: other types are accepted and fail at once.
    """
    user = await _standing(runtime, wish.user_id, hoped={"active"})
    if user == "unknown":
        raise InvalidError(f"There is no user {wish.user_id}", loc=("body", "user_id"))
    if user == "inactive":
        raise InvalidError("This user is not active", loc=("body", "user_id"))
    job = Job.model_validate(await request_job(runtime, wish))
    response.headers["Location"] = f"{PREFIX}/{job.id}"
    return job


@router.get(PREFIX)
async def list_jobs(
    query: Listed,
    runtime: RuntimeDep,
    user_id: Annotated[UUID | None, Query()] = None,
    status: Annotated[AnyStatus | None, Query()] = None,
    job_type: Annotated[JobType | None, Query()] = None,
) -> ListBody[Job]:
    """All jobs, newest first. `user_id` chooses that user's, and shows the private ones among them."""
    stored = stored_status(status) if status else None
    return await _listed(runtime, query, viewer=user_id, user_id=user_id, status=stored, job_type=job_type)


@router.get(f"{PREFIX}/by-status/{{status}}")
async def list_jobs_by_status(
    status: AnyStatus, query: Listed, runtime: RuntimeDep, viewer: Viewer = None
) -> ListBody[Job]:
    """The jobs in this state, newest first."""
    return await _listed(runtime, query, viewer=viewer, status=stored_status(status))


@router.get("/api/v1/users/{id}/generation-jobs")
async def list_jobs_of_user(id: UUID, query: Listed, runtime: RuntimeDep) -> ListBody[Job]:  # noqa: A002 - the seed's word
    """The user's jobs, newest first."""
    if await _standing(runtime, id, hoped={"active", "inactive"}) == "unknown":
        raise NotFoundError(f"There is no user {id}")
    return await _listed(runtime, query, viewer=id, user_id=id)


@router.get(f"{PREFIX}/{{id}}")
async def get_job(id: JobId, runtime: RuntimeDep, viewer: Viewer = None) -> Job:  # noqa: A002 - the seed's word
    """The job as it stands."""
    return await _job(runtime, id, viewer)


@router.post(f"{PREFIX}/{{id}}/cancel", responses={409: {"description": "The job has ended another way"}})
async def cancel_job(
    id: JobId,  # noqa: A002 - the seed's word
    runtime: RuntimeDep,
    cancellation: Cancellation | None = None,
    reason: Annotated[str | None, Query(max_length=1000, description="Instead of a body.")] = None,
    viewer: Viewer = None,
) -> Job:
    """End a job that waits or runs. It is cancelled when this answers, and its worker stops soon after.

    Cancelling a cancelled job changes nothing.
    """
    await _job(runtime, id, viewer)
    said = (cancellation.reason if cancellation else "") or reason or ""
    try:
        await runtime.store.execute(JOB, id, CancelJob(said))
    except JobEndedError as error:
        raise ConflictError(
            f"Job {id} is {error.status} already", error_code="JOB_ENDED", extra={"job_status": error.status}
        ) from None
    return await _job(runtime, id, viewer)


@router.get("/internal/jobs/{id}/events", include_in_schema=False)
async def job_events(
    id: JobId,  # noqa: A002 - as in the public paths
    runtime: RuntimeDep,
    after: Annotated[int, Query(ge=0, le=MAX_BIGINT, description="Position in the job's log.")] = 0,
) -> JobEvents:
    """The job's events after a position."""
    async with runtime.database.reading() as connection:
        history = await runtime.store.load(connection, JOB.name, str(id))
    if not history:
        raise NotFoundError(f"There is no generation job {id}")
    return JobEvents(
        events=[
            recorded.envelope.model_dump(mode="json", exclude_none=True)
            for recorded in history
            if recorded.envelope.sequence > after
        ],
    )


async def _standing(runtime: Runtime[Any], user_id: UUID, *, hoped: Container[Standing]) -> Standing:
    """Who this is. Nobody is refused on old news: what is not `hoped` for stands when all news has been handled.

    Raises UnavailableError while the news of them may still be under way.
    """
    database, wait = runtime.database, runtime.settings.user_wait_seconds
    seen = await standing(database, user_id, hoped=hoped, within=0)
    if seen in hoped:
        return seen
    end = await runtime.bus.end_of(GENERATION_USERS)
    seen = await standing(database, user_id, hoped=hoped, within=wait)
    if seen in hoped:
        return seen
    if end is None or not await runtime.bus.has_handled(GENERATION_USERS, end):
        raise UnavailableError("The news of users is held up, so nobody can say whether this is one of them.")
    return await standing(database, user_id, hoped=hoped, within=0)


async def _job(runtime: Runtime[Any], job_id: int, viewer: UUID | None) -> Job:
    async with runtime.database.reading() as connection:
        row = await queries.by_id(connection, job_id)
    if row is None or (row["is_private"] and row["user_id"] != viewer):
        raise NotFoundError(f"There is no generation job {job_id}")
    return Job.model_validate(row)


async def _listed(runtime: Runtime[Any], query: ListQuery, **filters: Any) -> ListBody[Job]:
    async with runtime.database.reading() as connection:
        return await fetch_list(connection, queries.matching(**filters), query, Job.model_validate)
