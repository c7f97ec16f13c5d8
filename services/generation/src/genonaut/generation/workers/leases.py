"""Who is at work on a job: at most one driver at a time, and anybody after it has given no sign of life.

The work queue alone cannot promise that: it may hold a job's message twice, and deliver one again that is in good
hands. Times are the database's, so the clocks of the drivers do not matter.
"""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


class HeldError(Exception):
    """Somebody else is at work on the job, and has `seconds` to say so again."""

    def __init__(self, seconds: float) -> None:
        super().__init__("another driver is at work on the job")
        self.seconds = seconds


async def take(connection: AsyncConnection, job_id: int, holder: UUID, *, seconds: float) -> int:
    """How often the job has been taken up by now, this time included. Raises HeldError."""
    parameters = {"job_id": job_id, "holder": holder, "seconds": seconds}
    takes = (await connection.execute(_TAKE, parameters)).scalar_one_or_none()
    if takes is None:
        raise HeldError(float((await connection.execute(_LEFT, {"job_id": job_id})).scalar_one()))
    return int(takes)


async def renew(connection: AsyncConnection, job_id: int, holder: UUID, *, seconds: float) -> bool:
    """False when somebody else has it by now. One that has run out and that nobody wanted is still the holder's."""
    parameters = {"job_id": job_id, "holder": holder, "seconds": seconds}
    return bool((await connection.execute(_RENEW, parameters)).rowcount)


async def release(connection: AsyncConnection, job_id: int, holder: UUID) -> None:
    """Anybody may take the job up at once. How often it was taken is remembered."""
    await connection.execute(_RELEASE, {"job_id": job_id, "holder": holder})


async def end(connection: AsyncConnection, job_id: int, holder: UUID) -> None:
    """The job is over, and nothing of it is left to stop."""
    await connection.execute(_END, {"job_id": job_id, "holder": holder})


async def any_unattended(connection: AsyncConnection, prompt_ids: Sequence[UUID]) -> bool:
    """Whether one of these prompts is an attempt that is not over and that nobody is at work on."""
    return bool(await connection.scalar(_ANY_UNATTENDED, {"prompt_ids": list(prompt_ids)}))


_TAKE = text("""
INSERT INTO job_leases AS lease (job_id, holder, takes, expires_at)
VALUES (:job_id, :holder, 1, clock_timestamp() + make_interval(secs => :seconds))
ON CONFLICT (job_id) DO UPDATE
SET holder = excluded.holder, takes = lease.takes + 1, expires_at = excluded.expires_at
WHERE lease.holder = excluded.holder OR lease.expires_at <= clock_timestamp()
RETURNING takes
""")
_LEFT = text("""
SELECT greatest(extract(epoch FROM expires_at - clock_timestamp()), 0)::float FROM job_leases WHERE job_id = :job_id
""")
_RENEW = text("""
UPDATE job_leases SET expires_at = clock_timestamp() + make_interval(secs => :seconds)
WHERE job_id = :job_id AND holder = :holder
""")
_RELEASE = text("UPDATE job_leases SET expires_at = clock_timestamp() WHERE job_id = :job_id AND holder = :holder")
_ANY_UNATTENDED = text("""
SELECT EXISTS (
    SELECT FROM generation_jobs LEFT JOIN job_leases ON job_id = id
    WHERE comfyui_prompt_id = ANY(:prompt_ids)
      AND CASE WHEN status = 'running' THEN coalesce(expires_at <= clock_timestamp(), true)
               -- Who sees a job to its end deletes the lease: one that is left says that the attempt was not stopped.
               WHEN status <> 'pending' THEN coalesce(expires_at <= clock_timestamp(), false)
               ELSE false END
)
""")
_END = text("DELETE FROM job_leases WHERE job_id = :job_id AND holder = :holder")
