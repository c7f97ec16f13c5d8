"""Events of generation jobs into raw rows and hourly rollups.

Only events that are new to the raw table change the rollup, so adding one twice, late or out of order gives the same
rows.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.analytics.generation.domain import Happened, Measured, Rollup, roll_up
from genonaut.analytics.generation.tables import (
    generation_durations_hourly,
    generation_events,
    generation_metrics_hourly,
    generation_users_hourly,
)
from genonaut.analytics.rollups.upserts import Row, add_up, insert_new
from genonaut.contracts.generation import JobCancelled, JobCompleted, JobFailed, JobRequested, JobStarted
from genonaut.contracts.streams import ANALYTICS_GENERATION
from genonaut.platform.projections import Projection, Recorded

generations_projection = Projection(
    "generations",
    generation_events,
    generation_metrics_hourly,
    generation_durations_hourly,
    generation_users_hourly,
    source=ANALYTICS_GENERATION,
    cells="hour",
    keyed=True,
)


@generations_projection.in_batches
async def _measure(connection: AsyncConnection, recorded: Sequence[Recorded]) -> None:
    """Writes the tables in the order in which they are named above, as a rebuild locks them."""
    events = {
        each.envelope.id: Happened.of(each.event, each.envelope)
        for each in recorded
        if isinstance(each.event, Measured)
    }
    new = await insert_new(connection, generation_events, [_raw(happened) for happened in events.values()])
    rollup = roll_up(events[event_id] for _, event_id in new)
    await add_up(connection, generation_metrics_hourly, _tallies(rollup))
    await add_up(connection, generation_durations_hourly, _durations(rollup))
    await insert_new(connection, generation_users_hourly, rollup.users)


def _raw(happened: Happened) -> Row:
    said = {"hour": happened.hour, "event_id": happened.event_id, "timestamp": happened.time, **_said(happened.event)}
    return tuple(said.get(column.name) for column in generation_events.columns)


def _said(event: Measured) -> dict[str, Any]:
    """The columns that the event itself fills; what it does not say is missing."""
    said: dict[str, Any] = {"job_id": event.job_id, "user_id": event.user_id}
    match event:
        case JobRequested():
            return said | {
                "event_type": "request",
                "generation_type": event.job_type,
                "model_checkpoint": event.checkpoint_model,
                "width": event.width,
                "height": event.height,
                "batch_size": event.batch_size,
            }
        case JobStarted():
            return said | {"event_type": "start", "queue_wait_ms": event.queue_wait_ms}
        case JobCompleted():
            return said | {
                "event_type": "completion",
                "success": True,
                "duration_ms": event.generation_ms,
                "model_checkpoint": event.checkpoint_model,
                "images": len(event.images),
            }
        case JobFailed():
            return said | {
                "event_type": "completion",
                "success": False,
                "duration_ms": event.generation_ms,
                "error_type": event.error_type,
                "error_message": event.error_message,
                "model_checkpoint": event.checkpoint_model,
            }
        case JobCancelled():
            return said | {"event_type": "cancellation", "model_checkpoint": event.checkpoint_model}


def _tallies(rollup: Rollup) -> list[Row]:
    return [
        (
            hour,
            tally.latest_event_at,
            tally.total_requests,
            tally.started_attempts,
            tally.successful_generations,
            tally.failed_generations,
            tally.cancelled_generations,
            tally.total_images_generated,
            tally.duration_ms_sum,
            tally.queue_wait_ms_sum,
        )
        for hour, tally in rollup.tallies.items()
    ]


def _durations(rollup: Rollup) -> list[Row]:
    return [(hour, bucket, generations) for (hour, bucket), generations in rollup.durations.items()]
