"""From the items that content makes of a finished job back to the job."""

import structlog
from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.contracts import Envelope
from genonaut.contracts.content import ItemCreated
from genonaut.generation.jobs.domain import JOB, PublishJob
from genonaut.generation.jobs.tables import item_arrivals, jobs
from genonaut.platform.events import EventStore

log = structlog.get_logger()


async def publish(store: EventStore, connection: AsyncConnection, event: ItemCreated, _: Envelope) -> None:
    """Once every image of a job has its item, in whatever order they come, the job is published."""
    if event.job_id is None:
        return
    # Two items of one job may be handled at once, by two processes; one waits here and then sees the other's row.
    job = select(jobs.c.id).where(jobs.c.id == event.job_id).with_for_update()
    if await connection.scalar(job) is None:
        log.error("jobs.item_of_unknown_job", job_id=event.job_id, item_id=event.item_id)
        return
    arrival = insert(item_arrivals).values(job_id=event.job_id, image_index=event.image_index, content_id=event.item_id)
    await connection.execute(arrival.on_conflict_do_nothing())
    arrived = select(item_arrivals.c.content_id).where(item_arrivals.c.job_id == event.job_id)
    content_ids = (await connection.scalars(arrived.order_by(item_arrivals.c.image_index))).all()
    if len(content_ids) == event.image_count:
        await store.execute_in(connection, JOB, event.job_id, PublishJob(content_ids))
        await connection.execute(delete(item_arrivals).where(item_arrivals.c.job_id == event.job_id))
