"""Job events into one row a job, and the numbers of each user. Any order of the same events gives the same rows.

A job is in the state that the latest of its events says, by its own numbering, whatever came in between.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.jobs.domain import STATUSES, Job, heard, moved
from genonaut.content.jobs.tables import user_job_counts, user_jobs
from genonaut.contracts.streams import CONTENT_JOB_COUNTS
from genonaut.platform.projections import Projection, Recorded

jobs_projection = Projection("job-counts", user_jobs, user_job_counts, source=CONTENT_JOB_COUNTS, keyed=True)


@jobs_projection.in_batches
async def _count(connection: AsyncConnection, recorded: Sequence[Recorded]) -> None:
    news = heard((each.event, each.envelope.sequence) for each in recorded)
    # Rows that are there by now, whoever has just made them, are looked at only when they are this transaction's alone:
    # two processes may have news of one job.
    new = set(await connection.scalars(text(_INSERT), _columns(news.values())))
    known = await _held(connection, news.keys() - new)
    after = {job_id: job.with_news(news[job_id]) for job_id, job in known.items()}
    changed = [job for job_id, job in after.items() if job != known[job_id]]
    if changed:
        await connection.execute(text(_UPDATE), _columns(changed))
    await _add_up(
        connection, [*((None, news[job_id]) for job_id in new), *((known[job.job_id], job) for job in changed)]
    )


async def _held(connection: AsyncConnection, job_ids: Collection[int]) -> Mapping[int, Job]:
    if not job_ids:
        return {}
    rows = await connection.execute(text(_HOLD), {"job_ids": list(job_ids)})
    return {row.job_id: Job(**row._mapping) for row in rows}  # noqa: SLF001 - SQLAlchemy's public name for it


async def _add_up(connection: AsyncConnection, steps: Iterable[tuple[Job | None, Job]]) -> None:
    changes = moved(steps)
    if not changes:
        return
    whose = sorted(changes)  # in one order everywhere, so that two writers wait for each other and never both
    columns: dict[str, list[Any]] = {
        "user_ids": [user_id for user_id, _ in whose],
        "private": [is_private for _, is_private in whose],
        **{status: [changes[each][status] for each in whose] for status in STATUSES},
    }
    await connection.execute(text(_ADD_UP), columns)


def _columns(jobs: Iterable[Job]) -> dict[str, list[Any]]:
    ordered = sorted(jobs, key=lambda job: job.job_id)
    return {
        "job_ids": [job.job_id for job in ordered],
        "user_ids": [job.user_id for job in ordered],
        "private": [job.is_private for job in ordered],
        "statuses": [job.status for job in ordered],
        "sequences": [job.sequence for job in ordered],
    }


_NEWS = """
unnest(CAST(:job_ids AS bigint[]), CAST(:user_ids AS uuid[]), CAST(:private AS boolean[]), CAST(:statuses AS text[]),
       CAST(:sequences AS int[]))
"""

_INSERT = f"""
INSERT INTO user_jobs (job_id, user_id, is_private, status, sequence) SELECT * FROM {_NEWS}
ON CONFLICT DO NOTHING RETURNING job_id
"""

_HOLD = """
SELECT job_id, user_id, is_private, status, sequence FROM user_jobs
WHERE job_id = ANY (CAST(:job_ids AS bigint[])) ORDER BY job_id FOR UPDATE
"""

_UPDATE = f"""
UPDATE user_jobs SET is_private = news.is_private, status = news.status, sequence = news.sequence
FROM {_NEWS} AS news (job_id, user_id, is_private, status, sequence) WHERE user_jobs.job_id = news.job_id
"""

_ADD_UP = f"""
INSERT INTO user_job_counts AS known (user_id, is_private, {", ".join(STATUSES)})
SELECT * FROM unnest(CAST(:user_ids AS uuid[]), CAST(:private AS boolean[]),
                     {", ".join(f"CAST(:{status} AS int[])" for status in STATUSES)})
ON CONFLICT (user_id, is_private)
DO UPDATE SET {", ".join(f"{status} = known.{status} + excluded.{status}" for status in STATUSES)}
"""
