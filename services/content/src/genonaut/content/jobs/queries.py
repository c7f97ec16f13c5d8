"""How many jobs users have."""

from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.jobs.domain import STATUSES, Status
from genonaut.content.jobs.tables import user_job_counts


async def jobs_of(connection: AsyncConnection, user_id: UUID, *, own: bool) -> dict[Status, int]:
    """The user's jobs by what became of them; their `own` view has the private ones too."""
    sums = (func.coalesce(func.sum(user_job_counts.c[status]), 0).label(status) for status in STATUSES)
    statement = select(*sums).where(user_job_counts.c.user_id == user_id)
    if not own:
        statement = statement.where(~user_job_counts.c.is_private)
    row = (await connection.execute(statement)).mappings().one()
    return {status: row[status] for status in STATUSES}
