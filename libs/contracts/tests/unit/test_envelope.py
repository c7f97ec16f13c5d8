"""Envelopes survive the bus unchanged, and whatever else arrives is refused in one way."""

from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genonaut.contracts import Envelope, InvalidEventError, UndecodableError
from genonaut.contracts.generation import JobPublished

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
AWARE = st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))]))


@given(
    id=st.uuids(),
    subject=TEXT,
    time=AWARE,
    sequence=st.integers(1, 2**31 - 1),
    correlationid=TEXT,
    causationid=st.none() | st.uuids(),
    content_ids=st.lists(st.integers(1, 2**63 - 1), min_size=1),
)
def test_an_envelope_comes_back_as_it_was_sent(
    id: UUID,  # noqa: A002 - the CloudEvents word
    subject: str,
    time: datetime,
    sequence: int,
    correlationid: str,
    causationid: UUID | None,
    content_ids: list[int],
) -> None:
    event = JobPublished(job_id=1, user_id=UUID(int=1), content_ids=content_ids)
    envelope = Envelope.of(
        event,
        id=id,
        source="genonaut/test",
        subject=subject,
        time=time,
        sequence=sequence,
        correlationid=correlationid,
        causationid=causationid,
    )

    back = Envelope.from_json(envelope.to_json())

    assert back == envelope
    assert back.event() == event


@given(st.binary(max_size=300))
def test_any_bytes_are_an_envelope_or_undecodable(payload: bytes) -> None:
    try:
        Envelope.from_json(payload).event()
    except UndecodableError:
        return
    raise AssertionError("random bytes decoded to an event")


@pytest.mark.parametrize("field", ["id", "type", "subject", "time", "dataversion", "sequence", "data"])
def test_a_missing_attribute_is_refused(field: str) -> None:
    event = JobPublished(job_id=1, user_id=UUID(int=1), content_ids=[1])
    whole = Envelope.of(
        event,
        id=UUID(int=2),
        source="genonaut/test",
        subject="1",
        time=datetime(2026, 1, 1, tzinfo=UTC),
        sequence=1,
        correlationid="c",
    )
    partial = whole.model_copy()
    del partial.__dict__[field]

    with pytest.raises(InvalidEventError):
        Envelope.from_json(partial.to_json())
