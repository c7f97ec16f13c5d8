"""Live messages: worth seeing now, worth nothing later. No log keeps them, no state comes from them."""

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field


class JobProgress(BaseModel):
    """Where the running attempt of a job stands.

    The LIVE stream keeps the latest one of each job for who comes late.
    """

    model_config = ConfigDict(frozen=True)

    job_id: int
    attempt: int
    timestamp: AwareDatetime
    node: str | None = None
    """The node's class, e.g. `KSampler`."""
    step: int = 0
    steps: int = 0
    fraction: float = Field(default=0.0, ge=0, le=1)
    """Of the whole attempt, from 0 to 1."""
    preview: str | None = None
    """A small picture as a data URL, when the worker sends one."""


def job_progress_subject(job_id: int) -> str:
    return f"live.job.{job_id}"
