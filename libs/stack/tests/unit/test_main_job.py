"""What the demo and the smoke test say when an answer is no good one."""

import httpx
import pytest

from genonaut.stack.main_job import MainJob, MainJobError


def refusing(_: httpx.Request) -> httpx.Response:
    return httpx.Response(503, content=iter([b"not ", b"now"]))


def test_a_stream_that_is_refused_is_quoted() -> None:
    """Its body has not been read when its status is known."""
    with httpx.Client(transport=httpx.MockTransport(refusing), base_url="http://gateway") as api:
        main_job = MainJob(api, "somebody")
        main_job.job_id = 7
        with pytest.raises(MainJobError, match="GET /api/v1/generation-jobs/7/events answered 503: not now"):
            next(main_job.watch())
