"""What the events of generation jobs say of a job, in whatever order and however often they are heard. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from genonaut.contracts import Event
from genonaut.contracts.generation import (
    JobCancelled,
    JobCompleted,
    JobFailed,
    JobRequested,
    JobRequeued,
    JobStarted,
)

Status = Literal["pending", "running", "completed", "failed", "cancelled"]
STATUSES: tuple[Status, ...] = ("pending", "running", "completed", "failed", "cancelled")

_AFTER: Mapping[type[Event], Status] = {
    JobRequested: "pending",
    JobStarted: "running",
    JobRequeued: "pending",
    JobCompleted: "completed",
    JobFailed: "failed",
    JobCancelled: "cancelled",
}


@dataclass(frozen=True)
class Job:
    job_id: int
    user_id: UUID
    status: Status
    sequence: int
    """Of the event that has put it into this state: the latest in the job's own order that was heard."""
    is_private: bool | None
    """None while nothing that was heard says it. Until then the job is not counted."""

    def with_news(self, news: "Job") -> "Job":
        """What is known of it with both, whichever was heard first."""
        latest = news if news.sequence > self.sequence else self
        private = news.is_private if self.is_private is None else self.is_private
        return Job(self.job_id, self.user_id, latest.status, latest.sequence, private)


def heard(said: Iterable[tuple[Event, int]]) -> dict[int, Job]:
    """What events, each with its sequence number in its job, say of their jobs, by id. Others say nothing."""
    jobs: dict[int, Job] = {}
    for event, sequence in said:
        if isinstance(event, JobRequested | JobStarted | JobRequeued | JobCompleted | JobFailed | JobCancelled):
            private = event.is_private if isinstance(event, JobRequested | JobCompleted) else None
            job = Job(event.job_id, event.user_id, _AFTER[type(event)], sequence, private)
            jobs[job.job_id] = jobs[job.job_id].with_news(job) if job.job_id in jobs else job
    return jobs


def moved(steps: Iterable[tuple[Job | None, Job]]) -> dict[tuple[UUID, bool], Counter[Status]]:
    """How the counts of users change when jobs go from what was known of them to what is, by user and privacy."""
    changes: dict[tuple[UUID, bool], Counter[Status]] = {}
    for before, after in steps:
        for job, step in ((before, -1), (after, 1)):
            if job is not None and job.is_private is not None:
                changes.setdefault((job.user_id, job.is_private), Counter())[job.status] += step
    return {whose: counts for whose, counts in changes.items() if any(counts.values())}
