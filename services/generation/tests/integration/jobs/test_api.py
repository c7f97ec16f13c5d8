"""Asking for jobs, seeing them, cancelling them: over HTTP, with real servers behind."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from genonaut.contracts import Envelope
from genonaut.contracts.content import UserRegistered
from genonaut.contracts.generation import JobCancelled, JobRequested
from genonaut.contracts.streams import GENERATION_USERS
from genonaut.generation.service import service
from genonaut.generation.users.queries import standing
from genonaut.testkit.waiting import eventually

JOBS = "/api/v1/generation-jobs"
FIELDS = {
    "id", "user_id", "job_type", "status", "prompt", "params", "content_id", "content_ids", "error_message",
    "error_type", "created_at", "updated_at", "started_at", "completed_at", "dispatch_id", "negative_prompt",
    "checkpoint_model", "lora_models", "width", "height", "batch_size", "sampler_params", "comfyui_prompt_id",
    "output_paths", "thumbnail_paths", "attempt", "is_private",
}  # fmt: skip

pytestmark = pytest.mark.usefixtures("running")


def assert_problem(response, status: int, code: str, *loc: object) -> None:
    body = response.json()
    assert (response.status_code, body["error_code"]) == (status, code), response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert body["success"] is False
    if loc:
        assert [error["loc"] for error in body["errors"]] == [list(loc)]


async def test_the_least_that_can_be_asked_gets_every_default(world) -> None:
    user_id = await world.register()

    response = await world.api.client.post(JOBS, json={"user_id": str(user_id), "prompt": "a lighthouse"})

    assert response.status_code == 201
    job = response.json()
    assert response.headers["location"] == f"{JOBS}/{job['id']}"
    assert job.keys() == FIELDS
    seed = job["sampler_params"].pop("seed")
    assert 0 <= seed < 2**53
    assert job["sampler_params"] == {
        "steps": 28, "cfg": 5.5, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0,
    }  # fmt: skip
    wanted = {
        "user_id": str(user_id),
        "job_type": "image_generation",
        "status": "pending",
        "prompt": "a lighthouse",
        "params": {},
        "negative_prompt": "",
        "checkpoint_model": "sd_xl_base_1.0.safetensors",
        "lora_models": [],
        "width": 832,
        "height": 1216,
        "batch_size": 1,
        "content_id": None,
        "content_ids": [],
        "output_paths": [],
        "attempt": 0,
        "is_private": False,
    }
    assert job | wanted == job
    assert await world.job(job["id"]) == {**job, "sampler_params": {**job["sampler_params"], "seed": seed}}


async def test_everything_that_can_be_asked_is_recorded(world) -> None:
    job = await world.ask(
        job_type="image_generation",
        negative_prompt="blurry",
        checkpoint_model="other.safetensors",
        lora_models=[{"name": "ink.safetensors", "strength_model": 0.5}],
        width=128,
        height=256,
        batch_size=4,
        sampler_params={"seed": 2**64 - 1, "steps": 5, "cfg": 7, "sampler_name": "dpmpp_2m", "scheduler": "karras"},
        params={"own": {"thing": [1, None, "ü"]}},
        title=" Dusk ",
        tags=["night-sky", "night-sky", "sea"],
        is_private=True,
    )

    (requested,) = await world.log(job["id"])
    event = requested.event
    assert isinstance(event, JobRequested)
    assert (event.title, event.tags, event.is_private) == ("Dusk", ["night-sky", "sea"], True)
    assert event.sampler_params.seed == 2**64 - 1 == job["sampler_params"]["seed"]
    assert event.lora_models[0].model_dump() == {
        "name": "ink.safetensors", "strength_model": 0.5, "strength_clip": 0.8,
    }  # fmt: skip
    assert event.params == job["params"] == {"own": {"thing": [1, None, "ü"]}}
    assert job["dispatch_id"] == str(requested.envelope.id)


async def test_the_older_word_for_params_and_wishes_inside_of_them_are_heard(world) -> None:
    job = await world.ask(
        parameters={"width": 512, "height": 512, "title": "From inside", "tags": ["sea"], "cfg_rescale": 0.7},
        params={"title": "Rather this", "is_private": None},
        height=None,
    )

    event = (await world.log(job["id"]))[0].event
    assert (event.title, event.tags, job["width"], job["height"]) == ("Rather this", ["sea"], 64, 512)
    assert job["params"]["cfg_rescale"] == 0.7


async def test_a_job_is_on_its_way_to_a_driver_when_it_is_accepted(world) -> None:
    job = await world.ask()
    subject = f"generation.work.image.{job['id']}"

    async def queued():
        info = await world.platform.bus.jetstream.stream_info("GENERATION_WORK", subjects_filter=subject)
        return info.state.messages

    assert await eventually(queued) == 1
    message = await world.platform.bus.jetstream.get_msg("GENERATION_WORK", subject=subject)
    assert str(Envelope.from_json(message.data).id) == job["dispatch_id"]


async def test_what_nobody_can_generate_is_accepted_and_failed(world) -> None:
    job = await world.ask(job_type="video_generation")

    assert (job["status"], job["error_type"], job["attempt"]) == ("failed", "unsupported_job_type", 0)
    assert await world.story(job["id"]) == ["JobRequested", "JobFailed"]


async def test_waiting_for_a_user_who_does_not_exist_asks_the_database_a_few_times_only(world, monkeypatch) -> None:
    database = world.api.runtime.database
    reading, looks = database.reading, []

    def counted():
        looks.append(1)
        return reading()

    monkeypatch.setattr(database, "reading", counted)
    assert await standing(database, uuid4(), hoped={"active"}, within=1) == "unknown"
    assert 3 <= len(looks) <= 7


async def test_a_user_who_has_just_been_registered_need_not_wait(world) -> None:
    user_id = uuid4()
    async with world.platform.running(service, user_wait_seconds=30) as running:
        asking = asyncio.create_task(running.client.post(JOBS, json={"user_id": str(user_id), "prompt": "x"}))
        await asyncio.sleep(0.1)
        assert not asking.done()

        await world.register(user_id)

        assert (await asking).status_code == 201


async def test_a_bad_wish_is_refused(world) -> None:
    wish = {"user_id": str(uuid4()), "prompt": "x", "sampler_params": {"steps": 0}}
    assert_problem(
        await world.api.client.post(JOBS, json=wish), 422, "VALIDATION_ERROR", "body", "sampler_params", "steps"
    )


async def test_an_unknown_user_is_refused(world) -> None:
    response = await world.api.client.post(JOBS, json={"user_id": str(uuid4()), "prompt": "x"})
    assert_problem(response, 422, "VALIDATION_ERROR", "body", "user_id")


async def test_a_user_who_is_not_active_is_refused_and_sees_what_they_have(world) -> None:
    user_id = await world.register()
    job = await world.ask(user_id=user_id)
    await world.deactivate(user_id)

    response = await world.api.client.post(JOBS, json={"user_id": str(user_id), "prompt": "x"})

    assert_problem(response, 422, "VALIDATION_ERROR", "body", "user_id")
    assert await world.rows("SELECT id FROM generation_jobs") == [(job["id"],)]
    listed = (await world.api.client.get(f"/api/v1/users/{user_id}/generation-jobs")).json()
    assert [each["id"] for each in listed["items"]] == [job["id"]]
    assert (await world.cancel(job["id"]))["status"] == "cancelled"


async def test_a_user_who_has_just_been_activated_again_need_not_wait(world) -> None:
    user_id = await world.register()
    await world.deactivate(user_id)
    async with world.platform.running(service, user_wait_seconds=30) as running:
        asking = asyncio.create_task(running.client.post(JOBS, json={"user_id": str(user_id), "prompt": "x"}))
        await asyncio.sleep(0.1)
        assert not asking.done()

        await world.activate(user_id)

        assert (await asking).status_code == 201


async def test_nobody_is_called_inactive_on_news_that_is_held_up(world) -> None:
    bus, user_id = world.platform.bus, await world.register()
    await world.deactivate(user_id)
    soon = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()
    await bus.jetstream.pause_consumer("CONTENT", GENERATION_USERS.name, soon)
    await world.activate(user_id)

    response = await world.api.client.post(JOBS, json={"user_id": str(user_id), "prompt": "x"})

    assert_problem(response, 503, "UNAVAILABLE")
    await bus.jetstream.resume_consumer("CONTENT", GENERATION_USERS.name)
    await eventually(lambda: bus.is_caught_up(GENERATION_USERS))
    assert (await world.ask(user_id=user_id))["status"] == "pending"


JSON = "application/json"
DEEP = b'{"user_id": "%s", "prompt": "x", "params": %s}' % (
    str(UUID(int=1)).encode(),
    b'{"a":' * 900 + b"1" + b"}" * 900,
)


BAD_BODIES = [
    (b"{", JSON, 400, "INVALID_JSON"),
    (b'{"prompt": NaN}', JSON, 400, "INVALID_JSON"),
    (b"[]", JSON, 422, "VALIDATION_ERROR"),
    (b'{"prompt": "\\u0000"}', JSON, 422, "VALIDATION_ERROR"),
    (b"a=b", "application/x-www-form-urlencoded", 415, "UNSUPPORTED_MEDIA_TYPE"),
    (b'"' + b"x" * 2**20 + b'"', JSON, 413, "PAYLOAD_TOO_LARGE"),
    (DEEP, JSON, 422, "VALIDATION_ERROR"),
]


async def test_a_bad_body_is_refused(world) -> None:
    for content, media_type, status, code in BAD_BODIES:
        response = await world.api.client.post(JOBS, content=content, headers={"content-type": media_type})
        assert_problem(response, status, code)


async def test_a_user_whose_news_is_held_up_is_not_called_unknown(world) -> None:
    bus, user_id = world.platform.bus, uuid4()
    soon = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()
    await bus.jetstream.pause_consumer("CONTENT", GENERATION_USERS.name, soon)
    await world.say(UserRegistered(number=1, user_id=user_id, username="ada", email="ada@example.org"), user_id)

    answers = [
        await world.api.client.post(JOBS, json={"user_id": str(user_id), "prompt": "p"}),
        await world.api.client.get(f"/api/v1/users/{user_id}/generation-jobs"),
    ]

    for response in answers:
        assert_problem(response, 503, "UNAVAILABLE")
        assert response.headers["retry-after"] == "2"
    await bus.jetstream.resume_consumer("CONTENT", GENERATION_USERS.name)
    await eventually(lambda: bus.is_caught_up(GENERATION_USERS))
    assert (await world.ask(user_id=user_id))["status"] == "pending"


async def test_an_unknown_job_is_not_there(world) -> None:
    client = world.api.client
    for job_id, status in [("1", 404), ("0", 422), ("x", 422), (str(2**63), 422), ("1.5", 422)]:
        code = "NOT_FOUND" if status == 404 else "VALIDATION_ERROR"
        assert_problem(await client.get(f"{JOBS}/{job_id}"), status, code)
        assert_problem(await client.post(f"{JOBS}/{job_id}/cancel"), status, code)
        assert_problem(await client.get(f"/internal/jobs/{job_id}/events"), status, code)


BAD_QUESTIONS = [
    (f"{JOBS}?cursor=nonsense", 400, "INVALID_CURSOR"),
    (f"{JOBS}?page_size=1001", 422, "INVALID_PAGE_SIZE"),
    (f"{JOBS}?page=2", 404, "PAGE_OUT_OF_RANGE"),
    (f"{JOBS}?sort_field=prompt", 422, "VALIDATION_ERROR"),
    (f"{JOBS}?status=sleeping", 422, "VALIDATION_ERROR"),
    (f"{JOBS}?job_type=dance", 422, "VALIDATION_ERROR"),
    (f"{JOBS}?user_id=7", 422, "VALIDATION_ERROR"),
    (f"{JOBS}/by-status/sleeping", 422, "VALIDATION_ERROR"),
    (f"/api/v1/users/{UUID(int=1)}/generation-jobs", 404, "NOT_FOUND"),
    ("/api/v1/users/7/generation-jobs", 422, "VALIDATION_ERROR"),
    ("/internal/jobs/1/events?after=-1", 422, "VALIDATION_ERROR"),
]


async def test_bad_questions_are_refused(world) -> None:
    for path, status, code in BAD_QUESTIONS:
        assert_problem(await world.api.client.get(path), status, code)


async def test_lists_filter_and_page(world) -> None:
    ada, bob = await world.register(), await world.register()
    mine = [(await world.ask(user_id=ada))["id"] for _ in range(3)]
    other = (await world.ask(user_id=bob, job_type="audio_generation"))["id"]
    await world.cancel(mine[0])

    async def ids(path: str) -> list[int]:
        body = (await world.api.client.get(path)).json()
        assert body["total"] == body["pagination"]["total_count"] == len(body["items"])
        return [job["id"] for job in body["items"]]

    assert await ids(JOBS) == [other, *reversed(mine)]
    assert await ids(f"{JOBS}/?sort_order=asc") == [*mine, other]
    assert await ids(f"{JOBS}?user_id={ada}") == list(reversed(mine))
    assert await ids(f"{JOBS}?user_id={uuid4()}") == []
    assert await ids(f"/api/v1/users/{ada}/generation-jobs") == list(reversed(mine))
    assert await ids(f"{JOBS}?status=queued") == await ids(f"{JOBS}?status=pending") == [mine[2], mine[1]]
    assert await ids(f"{JOBS}/by-status/queued") == [mine[2], mine[1]]
    assert await ids(f"{JOBS}/by-status/cancelled") == [mine[0]]
    assert await ids(f"{JOBS}?job_type=audio_generation&status=failed") == [other]
    assert await ids(f"{JOBS}?sort_field=completed_at") == [mine[0], other, mine[2], mine[1]]

    first = (await world.api.client.get(f"{JOBS}?page_size=3")).json()
    rest = (await world.api.client.get(f"{JOBS}?page_size=3&cursor={first['pagination']['next_cursor']}")).json()
    assert [job["id"] for job in rest["items"]] == [mine[0]]


async def test_a_cancel_ends_the_job_at_once(world) -> None:
    job = await world.ask()

    cancelled = await world.cancel(job["id"], reason="changed my mind")

    assert (cancelled["status"], cancelled["error_message"]) == ("cancelled", "changed my mind")
    assert datetime.fromisoformat(cancelled["completed_at"]) >= datetime.fromisoformat(job["created_at"])
    assert await world.cancel(job["id"], reason="again") == cancelled
    assert await world.story(job["id"]) == ["JobRequested", "JobCancelled"]


async def test_a_cancel_needs_no_reason(world) -> None:
    for how in ({}, {"json": {}}, {"json": {"reason": "r"}}, {"params": {"reason": "r"}}):
        job = await world.ask()
        response = await world.api.client.post(f"{JOBS}/{job['id']}/cancel", **how)
        assert response.status_code == 200
        event = (await world.log(job["id"]))[-1].event
        assert isinstance(event, JobCancelled)
        assert event.reason == ("r" if "r" in str(how) else "")


async def test_a_job_that_has_ended_cannot_be_cancelled(world) -> None:
    job = await world.ask(job_type="text_generation")
    response = await world.api.client.post(f"{JOBS}/{job['id']}/cancel")
    assert_problem(response, 409, "JOB_ENDED")
    assert response.json()["job_status"] == "failed"


async def test_the_gateway_reads_the_log_from_a_position_on(world) -> None:
    job = await world.ask()
    await world.cancel(job["id"])

    whole = (await world.api.client.get(f"/internal/jobs/{job['id']}/events")).json()
    rest = (await world.api.client.get(f"/internal/jobs/{job['id']}/events?after=1")).json()

    envelopes = [Envelope.model_validate(event) for event in whole["events"]]
    assert [(envelope.sequence, envelope.type) for envelope in envelopes] == [
        (1, "generation.job.requested"),
        (2, "generation.job.cancelled"),
    ]
    assert [envelope.event() for envelope in envelopes] == [each.event for each in await world.log(job["id"])]
    assert rest["events"] == whole["events"][1:]


async def test_internal_paths_are_not_advertised(world) -> None:
    paths = (await world.api.client.get("/openapi.json")).json()["paths"]
    assert {path for path in paths if "generation-jobs" in path} == {
        JOBS, f"{JOBS}/by-status/{{status}}", f"{JOBS}/{{id}}", f"{JOBS}/{{id}}/cancel",
        "/api/v1/users/{id}/generation-jobs",
    }  # fmt: skip
    assert not [path for path in paths if "internal" in path]


async def test_a_private_job_is_there_for_its_user_only(world) -> None:
    owner, stranger = await world.register(), await world.register()
    body = {"user_id": str(owner), "prompt": "my secret", "is_private": True}
    job = (await world.api.client.post(JOBS, json=body)).json()

    for path in (f"{JOBS}/{job['id']}", f"{JOBS}/{job['id']}?user_id={stranger}"):
        assert_problem(await world.api.client.get(path), 404, "NOT_FOUND")
    assert_problem(await world.api.client.post(f"{JOBS}/{job['id']}/cancel"), 404, "NOT_FOUND")
    for path in (JOBS, f"{JOBS}?user_id={stranger}", f"{JOBS}/by-status/pending"):
        listed = (await world.api.client.get(path)).json()
        assert (listed["items"], listed["total"]) == ([], 0), path

    assert (await world.api.client.get(f"{JOBS}/{job['id']}?user_id={owner}")).json()["prompt"] == "my secret"
    for path in (f"{JOBS}?user_id={owner}", f"{JOBS}/by-status/pending?user_id={owner}"):
        assert (await world.api.client.get(path)).json()["total"] == 1, path
    assert (await world.api.client.post(f"{JOBS}/{job['id']}/cancel?user_id={owner}")).json()["status"] == "cancelled"
