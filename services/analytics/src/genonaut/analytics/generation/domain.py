"""Events of generation jobs, each counted in the hour in which it happened. Pure.

A job that is asked for in one hour and completed in the next adds a request to the one and a success to the other.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Self
from uuid import UUID

from genonaut.analytics.rollups.histogram import bucket_of
from genonaut.analytics.rollups.hours import hour_of
from genonaut.contracts import Envelope
from genonaut.contracts.generation import JobCancelled, JobCompleted, JobFailed, JobRequested, JobStarted

Measured = JobRequested | JobStarted | JobCompleted | JobFailed | JobCancelled


@dataclass(frozen=True, slots=True)
class Happened:
    """An event of a job with what it is counted by."""

    event_id: UUID
    time: datetime
    hour: datetime
    event: Measured

    @classmethod
    def of(cls, event: Measured, envelope: Envelope) -> Self:
        return cls(envelope.id, envelope.time, hour_of(envelope.time), event)


@dataclass(slots=True)
class Tally:
    """Integers, and the latest moment: adding events in any order, in any batches, gives the same."""

    latest_event_at: datetime
    total_requests: int = 0
    started_attempts: int = 0
    successful_generations: int = 0
    failed_generations: int = 0
    cancelled_generations: int = 0
    total_images_generated: int = 0
    duration_ms_sum: int = 0
    """Of successful generations only, as in the histogram: how soon a failure failed says nothing about speed."""
    queue_wait_ms_sum: int = 0

    def add(self, happened: Happened) -> None:
        self.latest_event_at = max(self.latest_event_at, happened.time)
        match happened.event:
            case JobRequested():
                self.total_requests += 1
            case JobStarted(queue_wait_ms=queue_wait_ms):
                self.started_attempts += 1
                self.queue_wait_ms_sum += queue_wait_ms
            case JobCompleted(images=images, generation_ms=generation_ms):
                self.successful_generations += 1
                self.total_images_generated += len(images)
                self.duration_ms_sum += generation_ms
            case JobFailed():
                self.failed_generations += 1
            case JobCancelled():
                self.cancelled_generations += 1


@dataclass(frozen=True, slots=True)
class Rollup:
    tallies: dict[datetime, Tally] = field(default_factory=dict)
    durations: Counter[tuple[datetime, int]] = field(default_factory=Counter)
    """Successful generations by hour and bucket of their duration in milliseconds."""
    users: set[tuple[datetime, UUID]] = field(default_factory=set)
    """Who asked for something, by hour."""


def roll_up(events: Iterable[Happened]) -> Rollup:
    """`events` holds each one once."""
    rollup = Rollup()
    for happened in events:
        rollup.tallies.setdefault(happened.hour, Tally(happened.time)).add(happened)
        match happened.event:
            case JobRequested(user_id=user_id):
                rollup.users.add((happened.hour, user_id))
            case JobCompleted(generation_ms=generation_ms):
                rollup.durations[happened.hour, bucket_of(generation_ms)] += 1
    return rollup
