"""An event in an envelope, where a test cares for some attributes of it at most."""

from datetime import datetime
from uuid import UUID, uuid4

from genonaut.contracts import Envelope, Event
from genonaut.platform.clock import utc_now


def enveloped(
    event: Event,
    subject: object = "subject",
    *,
    id: UUID | None = None,  # noqa: A002 - named as in the envelope
    time: datetime | None = None,
    sequence: int = 1,
    correlationid: str = "request-1",
) -> Envelope:
    """Of another id each time, and of now, unless they are given."""
    return Envelope.of(
        event,
        id=id or uuid4(),
        source="genonaut/test",
        subject=str(subject),
        time=time or utc_now(),
        sequence=sequence,
        correlationid=correlationid,
    )
