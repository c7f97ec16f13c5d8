"""What each event does to the tables: given these events, then exactly these rows."""

from itertools import permutations
from uuid import UUID

import pytest
import pytest_asyncio

from genonaut.contracts.content import UserActivated, UserDeactivated, UserRegistered
from genonaut.contracts.generation import (
    JobCancelled,
    JobCompleted,
    JobFailed,
    JobPublished,
    JobRequested,
    JobRequeued,
    JobStarted,
    Lora,
    SamplerParams,
)
from genonaut.contracts.images import StoredImage
from genonaut.generation.jobs.projection import jobs_projection
from genonaut.generation.jobs.tables import jobs
from genonaut.generation.users.projection import users_projection
from genonaut.generation.users.tables import known_users
from genonaut.testkit.projections import at, minute

ADA, BOB = UUID(int=1), UUID(int=2)
JOB = {"job_id": 7, "user_id": ADA}
REQUESTED = JobRequested(
    **JOB,
    job_type="image_generation",
    prompt="a lighthouse",
    negative_prompt="fog",
    checkpoint_model="model",
    lora_models=[Lora(name="ink", strength_clip=0.5)],
    width=832,
    height=1216,
    batch_size=2,
    sampler_params=SamplerParams(seed=2**64 - 1, steps=20),
    params={"own": [1.5, None]},
    is_private=True,
)
ANOTHER = REQUESTED.model_copy(update={"job_id": 8, "user_id": BOB})
STARTED = JobStarted(**JOB, attempt=1, worker="gpu-1", comfyui_prompt_id=UUID(int=101), queue_wait_ms=5)
STARTED_AGAIN = JobStarted(**JOB, attempt=2, worker="gpu-2", comfyui_prompt_id=UUID(int=102), queue_wait_ms=5)
LOST = JobRequeued(**JOB, attempt=1, reason="worker_lost")
COMPLETED = JobCompleted(
    **JOB,
    attempt=1,
    images=[
        StoredImage(sha256=letter * 64, media_type="image/png", width=832, height=1216, size_bytes=9) for letter in "ba"
    ],
    generation_ms=5000,
    title="A lighthouse",
    prompt="a lighthouse",
    checkpoint_model="model",
)
FAILED = JobFailed(
    **JOB,
    attempt=1,
    error_type="out_of_memory",
    error_message="The GPU ran out of memory.",
    generation_ms=900,
    checkpoint_model="model",
)
CANCELLED = JobCancelled(**JOB, attempt=1, reason="asked", checkpoint_model="model")
CANCELLED_IN_LINE = JobCancelled(**JOB, attempt=0, reason="", checkpoint_model="model")
PUBLISHED = JobPublished(**JOB, content_ids=[31, 30])

PENDING = {
    "id": 7,
    "user_id": ADA,
    "job_type": "image_generation",
    "status": "pending",
    "prompt": "a lighthouse",
    "params": {"own": [1.5, None]},
    "content_id": None,
    "content_ids": [],
    "error_message": None,
    "error_type": None,
    "created_at": minute(1),
    "updated_at": minute(1),
    "started_at": None,
    "completed_at": None,
    "dispatch_id": UUID(int=1),
    "negative_prompt": "fog",
    "checkpoint_model": "model",
    "lora_models": [{"name": "ink", "strength_model": 0.8, "strength_clip": 0.5}],
    "width": 832,
    "height": 1216,
    "batch_size": 2,
    "sampler_params": {
        "seed": 2**64 - 1,
        "steps": 20,
        "cfg": 5.5,
        "sampler_name": "euler",
        "scheduler": "normal",
        "denoise": 1.0,
    },
    "comfyui_prompt_id": None,
    "output_paths": [],
    "thumbnail_paths": [],
    "attempt": 0,
    "is_private": True,
}
RUNNING = PENDING | {
    "status": "running",
    "started_at": minute(2),
    "updated_at": minute(2),
    "comfyui_prompt_id": UUID(int=101),
    "attempt": 1,
}
DONE = RUNNING | {
    "status": "completed",
    "completed_at": minute(3),
    "updated_at": minute(3),
    "output_paths": [f"/api/v1/images/{letter * 64}" for letter in "ba"],
    "thumbnail_paths": [f"/api/v1/images/{letter * 64}?size=300" for letter in "ba"],
}


@pytest_asyncio.fixture
async def tables(tables_of):
    async with tables_of("generation") as tables:
        yield tables


@pytest.mark.parametrize(
    ("events", "row"),
    [
        ([], PENDING),
        ([STARTED], RUNNING),
        ([STARTED, LOST], RUNNING | {"status": "pending", "started_at": None, "updated_at": minute(3)}),
        (
            [STARTED, LOST, STARTED_AGAIN],
            RUNNING
            | {"started_at": minute(4), "updated_at": minute(4), "comfyui_prompt_id": UUID(int=102), "attempt": 2},
        ),
        ([STARTED, COMPLETED], DONE),
        (
            [STARTED, COMPLETED.model_copy(update={"is_private": True})],
            DONE
            | {
                "output_paths": [f"/api/v1/images/{letter * 64}?user_id={ADA}" for letter in "ba"],
                "thumbnail_paths": [f"/api/v1/images/{letter * 64}?size=300&user_id={ADA}" for letter in "ba"],
            },
        ),
        ([STARTED, COMPLETED, PUBLISHED], DONE | {"content_id": 31, "content_ids": [31, 30], "updated_at": minute(4)}),
        (
            [STARTED, FAILED],
            RUNNING
            | {"status": "failed", "completed_at": minute(3), "updated_at": minute(3)}
            | {"error_type": "out_of_memory", "error_message": "The GPU ran out of memory."},
        ),
        (
            [STARTED, CANCELLED],
            RUNNING
            | {"status": "cancelled", "completed_at": minute(3), "updated_at": minute(3), "error_message": "asked"},
        ),
        ([CANCELLED_IN_LINE], PENDING | {"status": "cancelled", "completed_at": minute(2), "updated_at": minute(2)}),
    ],
    ids=[
        "requested",
        "started",
        "requeued",
        "started again",
        "completed",
        "completed, private",
        "published",
        "failed",
        "cancelled",
        "cancelled in line",
    ],
)
async def test_an_event_changes_what_it_says_of_its_own_job_and_nothing_else(tables, events, row) -> None:
    history = [at(number, event) for number, event in enumerate([REQUESTED, *events], start=1)]

    await tables.given(jobs_projection, at(100, ANOTHER), *history)

    about = {"id": 8, "user_id": BOB, "dispatch_id": UUID(int=100)}
    another = PENDING | about | {"created_at": minute(100), "updated_at": minute(100)}
    assert await tables.rows(jobs) == [row, another]


def registered(user_id, username) -> UserRegistered:
    return UserRegistered(number=1, user_id=user_id, username=username, email=f"{username}@example.org")


async def test_a_user_is_known_since_registering_however_often_that_is_heard(tables) -> None:
    ada, bob = at(1, registered(ADA, "ada")), at(2, registered(BOB, "bob"))

    for heard in ([bob, ada], [ada, bob, bob]):
        await tables.given(users_projection, *heard)
        assert await tables.rows(known_users) == [
            {"user_id": ADA, "registered_at": minute(1), "is_active": True, "decided_by": 1},
            {"user_id": BOB, "registered_at": minute(2), "is_active": True, "decided_by": 2},
        ]


@pytest.mark.parametrize("order", list(permutations(range(4))), ids=lambda order: "".join(map(str, order)))
async def test_a_user_is_as_active_as_the_latest_of_their_events_says(tables, order) -> None:
    story = [
        at(1, registered(ADA, "ada")),
        at(2, UserDeactivated(user_id=ADA)),
        at(3, UserActivated(user_id=ADA)),
        at(4, UserDeactivated(user_id=ADA)),
    ]
    heard = [story[place] for place in order]

    await tables.given(users_projection, *heard, *heard)

    assert await tables.rows(known_users) == [
        {"user_id": ADA, "registered_at": minute(1), "is_active": False, "decided_by": 4}
    ]


async def test_a_user_of_whom_later_news_has_come_first_is_known(tables) -> None:
    await tables.given(users_projection, at(3, UserActivated(user_id=ADA)))

    assert await tables.rows(known_users) == [
        {"user_id": ADA, "registered_at": None, "is_active": True, "decided_by": 3}
    ]
