"""Who caused what is happening now: the request id, the causing event and the trace, carried by the running task."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True)
class Cause:
    """What every event stated under it carries."""

    correlation_id: str
    """The request id of the HTTP request that started it all, or the name of the command-line run."""
    causation_id: UUID | None = None
    """The event being reacted to."""
    traceparent: str | None = None
    """W3C trace context of the current span."""


_cause: ContextVar[Cause | None] = ContextVar("genonaut_cause", default=None)


def current_cause() -> Cause | None:
    return _cause.get()


@contextmanager
def caused_by(cause: Cause) -> Iterator[None]:
    token = _cause.set(cause)
    try:
        yield
    finally:
        _cause.reset(token)
