"""Looking up jobs."""

from typing import Any
from uuid import UUID

from sqlalchemy import Select, exists, or_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.generation.jobs.domain import Status
from genonaut.generation.jobs.tables import jobs


async def by_id(connection: AsyncConnection, job_id: int) -> dict[str, Any] | None:
    row = (await connection.execute(select(jobs).where(jobs.c.id == job_id))).mappings().one_or_none()
    return dict(row) if row else None


async def is_running(connection: AsyncConnection, job_id: int, *, attempt: int) -> bool:
    """Whether the job runs, and runs as this attempt."""
    running = exists().where(jobs.c.id == job_id, jobs.c.status == "running", jobs.c.attempt == attempt)
    return bool(await connection.scalar(select(running)))


async def next_id(connection: AsyncConnection) -> int:
    """A number that no job has had."""
    return int((await connection.execute(text("SELECT nextval('jobs_id_seq')"))).scalar_one())


def matching(
    *,
    viewer: UUID | None,
    user_id: UUID | None = None,
    status: Status | None = None,
    job_type: str | None = None,
) -> Select[Any]:
    """The jobs that fit what is given, in no order; private ones only when they are the viewer's."""
    statement = select(jobs).where(or_(~jobs.c.is_private, jobs.c.user_id == viewer) if viewer else ~jobs.c.is_private)
    if user_id is not None:
        statement = statement.where(jobs.c.user_id == user_id)
    if status is not None:
        statement = statement.where(jobs.c.status == status)
    if job_type is not None:
        statement = statement.where(jobs.c.job_type == job_type)
    return statement
