"""What the demo and the smoke test say when an answer is no good one."""

import httpx
import pytest

from genonaut.stack.demo.tour import DemoError, Tour


def refusing(_: httpx.Request) -> httpx.Response:
    return httpx.Response(503, content=iter([b"not ", b"now"]))


def test_a_stream_that_is_refused_is_quoted() -> None:
    """Its body has not been read when its status is known."""
    with httpx.Client(transport=httpx.MockTransport(refusing), base_url="http://gateway") as api:
        tour = Tour(api, "somebody")
        tour.job_id = 7
        with pytest.raises(DemoError, match="GET /api/v1/generation-jobs/7/events answered 503: not now"):
            next(tour.watch())
