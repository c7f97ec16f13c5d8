"""What a message of the bus brings to those who handle it."""

from collections.abc import Sequence
from io import StringIO
from typing import Any
from uuid import UUID

import pytest
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.contracts.content import ItemDeleted
from genonaut.contracts.generation import JobPublished
from genonaut.platform import logs
from genonaut.platform.consumers import cause_of
from genonaut.platform.context import caused_by
from genonaut.platform.projections import Projection, Recorded
from genonaut.testkit.envelopes import enveloped

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

NOTHING: Any = None
"""A connection that nobody uses."""

MESSAGE = enveloped(JobPublished(job_id=1, user_id=UUID(int=1), content_ids=[1]), correlationid="r-1").to_json()


@pytest.mark.parametrize("headers", [None, {}, {"traceparent": ""}, {"traceparent": "garbage"}])
def test_a_message_without_a_sound_trace_is_handled_and_logged(headers: dict[str, str] | None) -> None:
    out = StringIO()
    log = structlog.wrap_logger(structlog.WriteLogger(out), processors=logs.processors(service="test", form="json"))

    with caused_by(cause_of(Recorded.received(MESSAGE, headers))):
        log.info("handled")

    assert '"correlation_id":"r-1"' in out.getvalue()
    assert "trace_id" not in out.getvalue()


async def test_one_that_takes_batches_is_called_with_what_it_reads_and_never_with_nothing() -> None:
    called: list[list[str]] = []
    projection = Projection("things", reads=(JobPublished,))

    @projection.in_batches
    async def take(_: AsyncConnection, recorded: Sequence[Recorded]) -> None:
        called.append([each.envelope.type for each in recorded])

    other = Recorded.of(enveloped(ItemDeleted(item_id=1, creator_id=UUID(int=1))))
    await projection.apply(NOTHING, [other])
    await projection.apply(NOTHING, [other, Recorded.received(MESSAGE, None), other])

    assert called == [["generation.job.published"]]
    assert projection.event_types == ["generation.job.published"]


def test_a_sound_trace_is_carried_on() -> None:
    recorded = Recorded.received(MESSAGE, {"traceparent": TRACEPARENT})

    assert cause_of(recorded).traceparent == TRACEPARENT
