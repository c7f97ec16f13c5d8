"""Asking for a job: the number, the seed and the default model are decided here, once, and recorded."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.generation.jobs import queries
from genonaut.generation.jobs.domain import JOB, RequestJob
from genonaut.generation.jobs.schemas import NewJob
from genonaut.platform.service import Runtime


async def request_job(runtime: Runtime[Any], wish: NewJob) -> dict[str, Any]:
    """The row of the new job, which is committed and on its way to a driver."""

    async def work(connection: AsyncConnection) -> dict[str, Any]:
        job_id = await queries.next_id(connection)
        job = wish.requested(job_id, default_checkpoint=runtime.settings.default_checkpoint)
        await runtime.store.execute_in(connection, JOB, job_id, RequestJob(job), history=())  # the number is new
        row = await queries.by_id(connection, job_id)
        if row is None:
            raise LookupError(f"job {job_id} has no row in its own transaction")
        return row

    return await runtime.database.transact(work)
