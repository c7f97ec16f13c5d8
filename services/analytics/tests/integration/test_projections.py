"""What events leave in each column of the tables: given these events, then exactly these rows.

That neither order nor repeats nor batches change a rollup is in test_rollups.py.
"""

from uuid import UUID

import pytest_asyncio

from genonaut.analytics.generation.projection import generations_projection
from genonaut.analytics.generation.tables import (
    generation_durations_hourly,
    generation_events,
    generation_metrics_hourly,
    generation_users_hourly,
)
from genonaut.analytics.routes.domain import Pattern, pattern_id
from genonaut.analytics.routes.projection import routes_projection
from genonaut.analytics.routes.tables import (
    route_analytics,
    route_analytics_hourly,
    route_durations_hourly,
    route_users_hourly,
)
from genonaut.contracts.gateway import RequestServed
from genonaut.contracts.generation import (
    JobCancelled,
    JobCompleted,
    JobFailed,
    JobRequested,
    JobStarted,
    SamplerParams,
)
from genonaut.contracts.images import StoredImage
from genonaut.testkit.projections import at, minute

ADA, BOB = UUID(int=101), UUID(int=102)
IMAGE = StoredImage(sha256="0" * 64, media_type="image/png", width=64, height=64, size_bytes=1)


@pytest_asyncio.fixture
async def tables(tables_of):
    async with tables_of("analytics") as tables:
        yield tables


async def test_requests_are_kept_as_they_were_served_and_counted_by_pattern_and_hour(tables) -> None:
    """The durations are so short that each has a bucket of its own, of the same number."""
    found = RequestServed(
        method="GET",
        route="/api/v1/content",
        status_code=200,
        duration_us=40,
        user_id=ADA,
        query_params={"page": "2", "tag": ["b", "a"], "user_id": "7"},
        request_bytes=10,
        response_bytes=300,
    )
    missing = RequestServed(
        method="GET",
        route="/api/v1/content",
        status_code=404,
        duration_us=50,
        query_params={"tag": ["a", "b"], "user_id": "x"},
        request_bytes=11,
        response_bytes=200,
        error_type="NOT_FOUND",
    )
    broken = RequestServed(method="POST", route="/api/v1/tags", status_code=503, duration_us=7, user_id=BOB)

    await tables.given(routes_projection, at(10, found), at(20, missing))
    await tables.given(routes_projection, at(70, broken), at(10, found), at(30, missing))

    first = {
        "hour": minute(0),
        "method": "GET",
        "route": "/api/v1/content",
        "query_params_normalized": {"tag": ["a", "b"], "user_id": "*"},
    }
    second = {"hour": minute(60), "method": "POST", "route": "/api/v1/tags", "query_params_normalized": {}}
    assert await tables.rows(route_analytics) == [
        first
        | {
            "event_id": UUID(int=10),
            "timestamp": minute(10),
            "user_id": ADA,
            "duration_us": 40,
            "status_code": 200,
            "query_params": {"page": "2", "tag": ["b", "a"], "user_id": "7"},
            "request_size_bytes": 10,
            "response_size_bytes": 300,
            "error_type": None,
        },
        *(
            first
            | {
                "event_id": UUID(int=number),
                "timestamp": minute(number),
                "user_id": None,
                "duration_us": 50,
                "status_code": 404,
                "query_params": {"tag": ["a", "b"], "user_id": "x"},
                "request_size_bytes": 11,
                "response_size_bytes": 200,
                "error_type": "NOT_FOUND",
            }
            for number in (20, 30)
        ),
        second
        | {
            "event_id": UUID(int=70),
            "timestamp": minute(70),
            "user_id": BOB,
            "duration_us": 7,
            "status_code": 503,
            "query_params": {},
            "request_size_bytes": 0,
            "response_size_bytes": 0,
            "error_type": None,
        },
    ]

    content = pattern_id(Pattern("GET", "/api/v1/content", '{"tag":["a","b"],"user_id":"*"}'))
    tags = pattern_id(Pattern("POST", "/api/v1/tags", "{}"))
    assert await tables.rows(route_analytics_hourly) == [
        first
        | {
            "pattern_id": content,
            "total_requests": 3,
            "successful_requests": 1,
            "client_errors": 2,
            "server_errors": 0,
            "duration_us_sum": 40 + 2 * 50,
            "request_bytes_sum": 10 + 2 * 11,
            "response_bytes_sum": 300 + 2 * 200,
        },
        second
        | {
            "pattern_id": tags,
            "total_requests": 1,
            "successful_requests": 0,
            "client_errors": 0,
            "server_errors": 1,
            "duration_us_sum": 7,
            "request_bytes_sum": 0,
            "response_bytes_sum": 0,
        },
    ]
    assert await tables.rows(route_durations_hourly) == [
        {"hour": minute(0), "pattern_id": content, "bucket": 40, "requests": 1},
        {"hour": minute(0), "pattern_id": content, "bucket": 50, "requests": 2},
        {"hour": minute(60), "pattern_id": tags, "bucket": 7, "requests": 1},
    ]
    assert await tables.rows(route_users_hourly) == [
        {"hour": minute(0), "pattern_id": content, "user_id": ADA},
        {"hour": minute(60), "pattern_id": tags, "user_id": BOB},
    ]


async def test_events_of_jobs_are_kept_by_what_they_say_and_counted_by_hour(tables) -> None:
    ada, bob = {"job_id": 7, "user_id": ADA}, {"job_id": 8, "user_id": BOB}
    wish = {"checkpoint_model": "model", "width": 832, "height": 1216, "sampler_params": SamplerParams(seed=1)}
    shown = {"title": "t", "prompt": "p", "checkpoint_model": "model"}
    asked = JobRequested(**ada, job_type="image_generation", prompt="p", batch_size=2, **wish)
    begun = JobStarted(**ada, attempt=1, worker="gpu", comfyui_prompt_id=UUID(int=9), queue_wait_ms=120)
    done = JobCompleted(**ada, attempt=1, images=[IMAGE, IMAGE], generation_ms=60, **shown)
    failed = JobFailed(
        **bob, attempt=1, error_type="node_error", error_message="no", generation_ms=9, checkpoint_model="model"
    )
    cancelled = JobCancelled(**bob, attempt=0, reason="asked", checkpoint_model="other")

    await tables.given(generations_projection, at(50, asked), at(70, begun), at(130, done), at(190, failed))
    await tables.given(generations_projection, at(185, failed), at(250, cancelled), at(50, asked))

    assert await tables.rows(generation_events) == [
        dict.fromkeys(generation_events.columns.keys())
        | {"hour": minute(60 * (number // 60)), "event_id": UUID(int=number), "timestamp": minute(number)}
        | said
        for number, said in (
            (
                50,
                {
                    **ada,
                    "event_type": "request",
                    "generation_type": "image_generation",
                    "model_checkpoint": "model",
                    "width": 832,
                    "height": 1216,
                    "batch_size": 2,
                },
            ),
            (70, {**ada, "event_type": "start", "queue_wait_ms": 120}),
            (
                130,
                {
                    **ada,
                    "event_type": "completion",
                    "success": True,
                    "duration_ms": 60,
                    "model_checkpoint": "model",
                    "images": 2,
                },
            ),
            *(
                (
                    number,
                    {
                        **bob,
                        "event_type": "completion",
                        "success": False,
                        "duration_ms": 9,
                        "error_type": "node_error",
                        "error_message": "no",
                        "model_checkpoint": "model",
                    },
                )
                for number in (185, 190)
            ),
            (250, {**bob, "event_type": "cancellation", "model_checkpoint": "other"}),
        )
    ]
    nothing = {
        "total_requests": 0,
        "started_attempts": 0,
        "successful_generations": 0,
        "failed_generations": 0,
        "cancelled_generations": 0,
        "total_images_generated": 0,
        "duration_ms_sum": 0,
        "queue_wait_ms_sum": 0,
    }
    assert await tables.rows(generation_metrics_hourly) == [
        {"hour": minute(hour), "latest_event_at": minute(latest), **nothing, **counted}
        for hour, latest, counted in (
            (0, 50, {"total_requests": 1}),
            (60, 70, {"started_attempts": 1, "queue_wait_ms_sum": 120}),
            (120, 130, {"successful_generations": 1, "total_images_generated": 2, "duration_ms_sum": 60}),
            (180, 190, {"failed_generations": 2}),
            (240, 250, {"cancelled_generations": 1}),
        )
    ]
    assert await tables.rows(generation_durations_hourly) == [{"hour": minute(120), "bucket": 60, "generations": 1}]
    assert await tables.rows(generation_users_hourly) == [{"hour": minute(0), "user_id": ADA}]
