"""The envelope of every event: CloudEvents 1.0 in structured JSON, where the event stands and what caused it."""

from datetime import datetime
from typing import Any, Literal, Self
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from genonaut.contracts.event import Event, InvalidEventError, decode


class Envelope(BaseModel):
    """One event with its CloudEvents attributes. The trace context travels beside it, in the message's headers."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    specversion: Literal["1.0"] = "1.0"
    id: UUID
    """Unique for ever. The bus and every consumer recognise a repeat by it."""
    source: str
    """The service that states it, e.g. `genonaut/generation`."""
    type: str
    subject: str = Field(min_length=1, max_length=200)
    """The aggregate's id, e.g. the job id."""
    time: AwareDatetime
    dataversion: int = Field(ge=1)
    sequence: int = Field(ge=1)
    """Position in the aggregate's own log, from 1 without gaps: what `Last-Event-ID` counts."""
    correlationid: str = Field(max_length=200)
    """The request id of the HTTP request that started it all."""
    causationid: UUID | None = None
    """The event that this one is a consequence of."""
    data: dict[str, Any]

    @classmethod
    def of(
        cls,
        event: Event,
        *,
        id: UUID,  # noqa: A002 - the CloudEvents word
        source: str,
        subject: str,
        time: datetime,
        sequence: int,
        correlationid: str,
        causationid: UUID | None = None,
    ) -> Self:
        return cls(
            id=id,
            source=source,
            type=event.type,
            subject=subject,
            time=time,
            dataversion=event.version,
            sequence=sequence,
            correlationid=correlationid,
            causationid=causationid,
            data=event.model_dump(mode="json"),
        )

    @classmethod
    def from_json(cls, payload: bytes) -> Self:
        """Raises InvalidEventError when the bytes are not an envelope."""
        try:
            return cls.model_validate_json(payload)
        except ValidationError as error:
            raise InvalidEventError(f"not an event envelope: {error}") from error

    def to_json(self) -> bytes:
        return self.model_dump_json(exclude_none=True).encode()

    def event(self) -> Event:
        """The event, upcast to today's class. Raises UnknownEventError or InvalidEventError."""
        return decode(self.type, self.dataversion, self.data)
