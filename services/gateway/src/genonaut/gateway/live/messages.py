"""What clients are told about a job, from its events and its progress."""

from functools import singledispatch
from typing import Any

import orjson
import structlog

from genonaut.contracts import Envelope, Event, UndecodableError
from genonaut.contracts.generation import (
    JobCancelled,
    JobCompleted,
    JobFailed,
    JobPublished,
    JobRequested,
    JobRequeued,
    JobStarted,
)
from genonaut.contracts.live import JobProgress

log = structlog.get_logger()

Message = dict[str, Any]

TERMINAL = frozenset({JobCompleted.type, JobFailed.type, JobCancelled.type})
"""Types of the events after which nothing happens to a job that a client would wait for."""


def of_event(job_id: int, envelope: Envelope) -> Message | None:
    """The message of one event of the job's log; None for an event that this release does not know."""
    try:
        told = _told(envelope.event())
    except UndecodableError as error:
        log.warning("live.unknown_event", type=envelope.type, error=str(error))
        return None
    return {
        "type": "job",
        "job_id": job_id,
        **told,
        "timestamp": envelope.time,
        "sequence": envelope.sequence,
    }


def of_progress(progress: JobProgress) -> Message:
    """It has no `sequence`: it is not in the log."""
    shown = progress.model_dump(include={"attempt", "node", "step", "steps", "fraction", "preview"}, exclude_none=True)
    return {
        "type": "job",
        "job_id": progress.job_id,
        "status": "processing",
        "timestamp": progress.timestamp,
        "progress": shown,
    }


def connection(job_id: int) -> Message:
    """The first message of a socket."""
    return {"type": "connection", "job_id": job_id, "status": "connected"}


def to_json(message: Message) -> bytes:
    return orjson.dumps(message, option=orjson.OPT_UTC_Z)


def to_sse(message: Message) -> bytes:
    """One event of a stream. Its id is the position in the job's own log, which a reconnect continues from."""
    sequence = message.get("sequence")
    head = f"id: {sequence}\n".encode() if sequence is not None else b""
    return b"".join((head, b"event: job\ndata: ", to_json(message), b"\n\n"))


@singledispatch
def _told(event: Event) -> Message:
    """The status word and what belongs to it."""
    raise UndecodableError(f"nothing is told about {event.type}")


@_told.register
def _(_: JobRequested) -> Message:
    return {"status": "pending"}


@_told.register
def _(event: JobRequeued) -> Message:
    return {"status": "pending", "attempt": event.attempt, "reason": event.reason}


@_told.register
def _(event: JobStarted) -> Message:
    return {"status": "started", "attempt": event.attempt}


@_told.register
def _(event: JobCompleted) -> Message:
    images = [image.model_dump(mode="json") for image in event.images]
    return {"status": "completed", "attempt": event.attempt, "images": images}


@_told.register
def _(event: JobPublished) -> Message:
    return {"status": "completed", "content_id": event.content_ids[0], "content_ids": event.content_ids}


@_told.register
def _(event: JobFailed) -> Message:
    return {"status": "failed", "error": event.error_message, "error_type": event.error_type}


@_told.register
def _(event: JobCancelled) -> Message:
    return {"status": "cancelled", "reason": event.reason}
