"""Jobs as the API shows them, kept in the transaction of each event."""

from typing import Any

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.contracts import Envelope
from genonaut.contracts.generation import (
    JobCancelled,
    JobCompleted,
    JobFailed,
    JobPublished,
    JobRequested,
    JobRequeued,
    JobStarted,
)
from genonaut.contracts.images import SHOWN_SIZE, image_path
from genonaut.generation.jobs.tables import jobs
from genonaut.platform.projections import Projection

jobs_projection = Projection("jobs", jobs)


@jobs_projection.on(JobRequested)
async def _requested(connection: AsyncConnection, event: JobRequested, envelope: Envelope) -> None:
    shown = event.model_dump(mode="json", include={"lora_models", "sampler_params", "params"})
    await connection.execute(
        insert(jobs).values(
            id=event.job_id,
            user_id=event.user_id,
            job_type=event.job_type,
            status="pending",
            prompt=event.prompt,
            content_ids=[],
            created_at=envelope.time,
            updated_at=envelope.time,
            dispatch_id=envelope.id,
            negative_prompt=event.negative_prompt,
            checkpoint_model=event.checkpoint_model,
            width=event.width,
            height=event.height,
            batch_size=event.batch_size,
            output_paths=[],
            thumbnail_paths=[],
            attempt=0,
            is_private=event.is_private,
            **shown,
        )
    )


@jobs_projection.on(JobStarted)
async def _started(connection: AsyncConnection, event: JobStarted, envelope: Envelope) -> None:
    await _update(
        connection,
        envelope,
        event.job_id,
        status="running",
        attempt=event.attempt,
        started_at=envelope.time,
        comfyui_prompt_id=event.comfyui_prompt_id,
    )


@jobs_projection.on(JobRequeued)
async def _requeued(connection: AsyncConnection, event: JobRequeued, envelope: Envelope) -> None:
    await _update(connection, envelope, event.job_id, status="pending", started_at=None)


@jobs_projection.on(JobCompleted)
async def _completed(connection: AsyncConnection, event: JobCompleted, envelope: Envelope) -> None:
    viewer = event.user_id if event.is_private else None
    await _update(
        connection,
        envelope,
        event.job_id,
        status="completed",
        completed_at=envelope.time,
        output_paths=[image_path(image.sha256, viewer=viewer) for image in event.images],
        thumbnail_paths=[image_path(image.sha256, size=SHOWN_SIZE, viewer=viewer) for image in event.images],
    )


@jobs_projection.on(JobFailed)
async def _failed(connection: AsyncConnection, event: JobFailed, envelope: Envelope) -> None:
    await _update(
        connection,
        envelope,
        event.job_id,
        status="failed",
        completed_at=envelope.time,
        error_type=event.error_type,
        error_message=event.error_message,
    )


@jobs_projection.on(JobCancelled)
async def _cancelled(connection: AsyncConnection, event: JobCancelled, envelope: Envelope) -> None:
    await _update(
        connection,
        envelope,
        event.job_id,
        status="cancelled",
        completed_at=envelope.time,
        error_message=event.reason or None,
    )


@jobs_projection.on(JobPublished)
async def _published(connection: AsyncConnection, event: JobPublished, envelope: Envelope) -> None:
    await _update(
        connection, envelope, event.job_id, content_id=event.content_ids[0], content_ids=list(event.content_ids)
    )


async def _update(connection: AsyncConnection, envelope: Envelope, job_id: int, **columns: Any) -> None:
    await connection.execute(jobs.update().where(jobs.c.id == job_id).values(updated_at=envelope.time, **columns))
