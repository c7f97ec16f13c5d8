"""Jobs that nobody will come for: their message is gone from the work queue, and no driver is at work on them.

That takes a lost stream, a message older than the queue keeps, or one that was parked. Every so often such jobs are
looked for; those whose message was parked fail, the others get a new message. A second message for a job does no harm.
"""

import asyncio
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import text

from genonaut.contracts.generation import JobRequested
from genonaut.contracts.streams import GENERATION_DRIVERS, GENERATION_WORK, WORK
from genonaut.generation.jobs.domain import JOB, AbandonJob
from genonaut.platform.bus import Bus, Message
from genonaut.platform.service import Runtime

log = structlog.get_logger()

SUBJECT = WORK[JobRequested.type]
MOST_LISTED = 100_000
"""The server tells no more subjects of a stream than this."""


async def look_for_orphans(runtime: Runtime[Any]) -> None:
    """For ever, every `sweep_seconds`."""
    while True:
        await asyncio.sleep(runtime.settings.sweep_seconds)
        try:
            await rescue_orphans(runtime)
        except Exception as error:  # noqa: BLE001 - whatever it was, the next look may succeed
            log.warning("jobs.sweep_failed", error=f"{type(error).__name__}: {error}")


async def rescue_orphans(runtime: Runtime[Any]) -> None:
    """One look. Jobs that have moved within `orphan_seconds` are not minded."""
    waiting = await _waiting(runtime.bus)  # before the jobs: one that ends in between is then no candidate
    if len(waiting) >= MOST_LISTED:
        log.warning("jobs.sweep_skipped", hint=f"{MOST_LISTED} jobs or more wait: which ones is not known")
        return
    before = runtime.clock() - timedelta(seconds=runtime.settings.orphan_seconds)
    async with runtime.database.reading() as connection:
        rows = await connection.execute(text(_STANDING_STILL), {"before": before, **_PARKED})
        still = [(row.id, row.parked) for row in rows]
    for job_id, parked in still:
        if _subject(job_id) in waiting:
            continue
        if parked:
            log.error("jobs.orphan_failed", job_id=job_id)
            await runtime.store.execute(
                JOB, job_id, AbandonJob("undeliverable", "The job could not be given to a worker.")
            )
        else:
            log.warning("jobs.orphan_dispatched", job_id=job_id)
            await dispatch(runtime, job_id)


async def _waiting(bus: Bus) -> set[str]:
    """The subjects of the messages in the work queue."""
    info = await bus.jetstream.stream_info(GENERATION_WORK.name, subjects_filter=GENERATION_WORK.filter(SUBJECT))
    return set(info.state.subjects or ())


def _subject(job_id: int) -> str:
    return GENERATION_WORK.subject(SUBJECT, str(job_id))


async def dispatch(runtime: Runtime[Any], job_id: int) -> None:
    """Put a message for the job into the work queue, at most one for each look."""
    async with runtime.database.reading() as connection:
        requested = (await runtime.store.load(connection, JOB.name, str(job_id)))[0]
    # Not the event's own id, which the stream remembers for a while; and the same one for all who look at this time.
    look = int(runtime.clock().timestamp() // runtime.settings.sweep_seconds)
    again = f"{requested.envelope.id}/{look}"
    message = Message.of(requested.envelope, subject=_subject(job_id), traceparent=requested.traceparent, id=again)
    await runtime.bus.publish(GENERATION_WORK.name, [message])


_PARKED = {"consumer": GENERATION_DRIVERS.name, "subject": f"{SUBJECT}."}
_STANDING_STILL = """
SELECT id, EXISTS (
    SELECT FROM dead_letters
    WHERE consumer = :consumer AND subject = :subject || generation_jobs.id AND redriven_at IS NULL
) AS parked
FROM generation_jobs
WHERE status IN ('pending', 'running') AND updated_at < :before
  AND NOT EXISTS (SELECT FROM job_leases WHERE job_id = generation_jobs.id AND expires_at > clock_timestamp())
  AND NOT EXISTS (SELECT FROM outbox WHERE event_id = dispatch_id)
ORDER BY id
"""
