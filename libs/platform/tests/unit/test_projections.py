"""What a message of the bus brings to those who handle it."""

from io import StringIO
from uuid import UUID

import pytest
import structlog

from genonaut.contracts.generation import JobPublished
from genonaut.platform import logs
from genonaut.platform.consumers import cause_of
from genonaut.platform.context import caused_by
from genonaut.platform.projections import Recorded
from genonaut.testkit.envelopes import enveloped

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

MESSAGE = enveloped(JobPublished(job_id=1, user_id=UUID(int=1), content_ids=[1]), correlationid="r-1").to_json()


@pytest.mark.parametrize("headers", [None, {}, {"traceparent": ""}, {"traceparent": "garbage"}])
def test_a_message_without_a_sound_trace_is_handled_and_logged(headers: dict[str, str] | None) -> None:
    out = StringIO()
    log = structlog.wrap_logger(structlog.WriteLogger(out), processors=logs.processors(service="test", form="json"))

    with caused_by(cause_of(Recorded.received(MESSAGE, headers))):
        log.info("handled")

    assert '"correlation_id":"r-1"' in out.getvalue()
    assert "trace_id" not in out.getvalue()


def test_a_sound_trace_is_carried_on() -> None:
    recorded = Recorded.received(MESSAGE, {"traceparent": TRACEPARENT})

    assert cause_of(recorded).traceparent == TRACEPARENT
