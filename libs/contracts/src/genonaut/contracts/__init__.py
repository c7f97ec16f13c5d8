"""What the services say to each other: events, their envelope, and the streams they travel on. No I/O.

An event class is one fact in the past tense. Importing this package registers every event class by its type, so that
`Envelope.event()` can decode whatever arrives.
"""

from genonaut.contracts import content, gateway, generation, notifications
from genonaut.contracts.envelope import Envelope
from genonaut.contracts.event import (
    EVENTS,
    Event,
    InvalidEventError,
    UndecodableError,
    UnknownEventError,
)

__all__ = [
    "EVENTS",
    "Envelope",
    "Event",
    "InvalidEventError",
    "UndecodableError",
    "UnknownEventError",
    "content",
    "gateway",
    "generation",
    "notifications",
]
