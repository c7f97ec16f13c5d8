"""The main job over real processes, and what may go wrong with one job."""

import hashlib
import itertools
import json
from typing import Any

import httpx
import pytest

from genonaut.platform.bus import Message
from genonaut.stack.main_job import server_sent_events
from genonaut.testkit.waiting import wait_until

TRACES = itertools.count(0x5EED)


def counts(stack) -> tuple[int, int, int]:
    overview = stack.overview()
    return overview["total_requests"], overview["successful_generations"], overview["total_images_generated"]


def test_an_image_is_asked_for_made_shown_told_and_counted(stack) -> None:
    before = counts(stack)
    user = stack.user()

    job_id = stack.submit(user, title="A lighthouse", tags=["sea"], batch_size=2)
    job = stack.wait_for(job_id, "completed")

    assert stack.events(job_id)[:3] == ["requested", "started", "completed"]
    assert len(job["output_paths"]) == 2
    published = stack.published(job_id)
    assert stack.items(job_id) == [(published["content_ids"][0], 0), (published["content_ids"][1], 1)]

    item = stack.json("GET", f"/api/v1/content/{published['content_id']}")
    assert (item["title"], item["creator_id"], item["tags"]) == ("A lighthouse", user, ["sea"])
    url = f"/api/v1/images/{item['image']['sha256']}"
    image = stack.api.get(url, params={"metadata": "keep", "user_id": user})
    assert hashlib.sha256(image.content).hexdigest() == item["image"]["sha256"]
    assert image.headers["content-type"] == "image/png"
    assert b"lighthouse" in image.content, "the worker's workflow is in its file"
    assert b"lighthouse" not in stack.api.get(url).content
    thumbnail = stack.api.get(item["path_thumb"])
    assert thumbnail.is_success
    assert len(thumbnail.content) < len(image.content)

    told = wait_until(lambda: stack.notifications(user), reason="nobody was told")
    assert [(each["notification_type"], each["related_job_id"], each["related_content_id"]) for each in told] == [
        ("job_completed", job_id, published["content_id"])
    ]
    wanted = (before[0] + 1, before[1] + 1, before[2] + 2)
    wait_until(lambda: counts(stack) == wanted, reason=f"the rollup is not {wanted}")
    gallery = stack.json(
        "GET", "/api/v1/content/unified", params={"user_id": user, "content_source_types": "user-regular"}
    )
    assert gallery["pagination"]["total_count"] == 2


def test_the_request_is_in_the_route_rollup_under_its_template(stack) -> None:
    def trend(route: str) -> list[dict[str, Any]]:
        query = {"route": route, "days": 1}
        return stack.json("GET", "/api/v1/analytics/routes/performance-trends", params=query)["trends"]

    def served(route: str) -> int:
        return sum(row["total_requests"] for row in trend(route))

    user = stack.user()
    job_id = stack.submit(user)
    stack.wait_for(job_id)
    template, path = "/api/v1/generation-jobs/{id}/cancel", f"/api/v1/generation-jobs/{job_id}/cancel"
    before = served(template)

    for _ in range(3):
        stack.api.post(path, json={})

    wait_until(lambda: served(template) == before + 3, reason=f"the rollup has {served(template)} after {before}")
    (row, *_) = trend(template)
    assert row["p50_duration_ms"] <= row["p95_duration_ms"] <= row["p99_duration_ms"]
    assert trend(path) == []


def test_one_request_id_and_trace_run_through_everything_it_caused(stack) -> None:
    user = stack.user()
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    body = {"user_id": user, "job_type": "image_generation", "prompt": "p", "width": 64, "height": 64}
    answer = stack.api.post(
        "/api/v1/generation-jobs", json=body, headers={"X-Request-ID": "e2e-request", "traceparent": trace}
    )
    assert answer.headers["X-Request-ID"] == "e2e-request"
    job_id = answer.json()["id"]
    stack.published(job_id)
    wait_until(lambda: stack.notifications(user))

    for service in ("generation", "content", "notifications"):
        rows = stack.sql(service, "SELECT type, traceparent FROM events WHERE correlation_id = 'e2e-request'")
        assert rows, service
        assert {row[1].split("-")[1] for row in rows} == {trace.split("-")[1]}, rows


def test_one_trace_has_the_spans_of_everybody(stack, collector) -> None:
    """Over OTLP, from the request through the events to the worker and to those who hear of its picture."""
    user = stack.user()
    caller = "b7ad6b7169203331"
    trace_id = f"{next(TRACES):032x}"
    body = {"user_id": user, "job_type": "image_generation", "prompt": "p", "width": 64, "height": 64}
    answer = stack.api.post("/api/v1/generation-jobs", json=body, headers={"traceparent": f"00-{trace_id}-{caller}-01"})
    job_id = answer.json()["id"]
    stack.published(job_id)

    wanted = {
        ("gateway", "POST /api/v1/generation-jobs"),
        ("generation", "POST /api/v1/generation-jobs"),
        ("driver", "process generation.job.requested"),
        ("driver", "run prompt"),
        ("driver", "fetch and store images"),
        ("content", "process generation.job.completed"),
        ("generation", "process content.item.created"),
        ("notifications", "process generation.job.published"),
    }

    def spans():
        trace = collector.trace(trace_id)
        return trace if wanted <= {(span.service, span.name) for span in trace} else None

    trace = wait_until(spans, reason=f"the trace is {collector.trace(trace_id)}")
    known = {span.span_id for span in trace} | {caller}
    assert [span for span in trace if span.parent_id not in known] == []
    assert str(job_id) not in "".join(span.name for span in trace)


def test_cancel_while_it_waits(stack) -> None:
    """Both workers are busy, so the third job waits."""
    user = stack.user()
    for simulator in stack.simulators:
        simulator.faults(step_seconds=0.2)
    busy = [stack.submit(user) for _ in range(2)]
    for job_id in busy:
        stack.wait_for(job_id, "running")
    waiting = stack.submit(user)

    cancelled = stack.json("POST", f"/api/v1/generation-jobs/{waiting}/cancel", json={"reason": "changed my mind"})

    assert cancelled["status"] == "cancelled"
    assert stack.events(waiting) == ["requested", "cancelled"]
    for job_id in busy:
        stack.wait_for(job_id, "completed")
    assert stack.events(waiting) == ["requested", "cancelled"]


def test_cancel_while_it_runs_stops_the_worker(stack) -> None:
    user = stack.user()
    for simulator in stack.simulators:
        simulator.faults(step_seconds=1.0)
    job_id = stack.submit(user)
    stack.wait_for(job_id, "running")
    wait_until(lambda: any(simulator.queue()["queue_running"] for simulator in stack.simulators))

    stack.json("POST", f"/api/v1/generation-jobs/{job_id}/cancel", json={})

    wait_until(
        lambda: not any(simulator.queue()["queue_running"] for simulator in stack.simulators),
        within=8,
        reason="the worker goes on",
    )
    assert stack.events(job_id) == ["requested", "started", "cancelled"]
    told = wait_until(lambda: stack.notifications(user))
    assert [each["notification_type"] for each in told] == ["job_cancelled"]


def test_an_error_of_comfyui_fails_the_job_once_and_says_so_safely(stack) -> None:
    for simulator in stack.simulators:
        simulator.faults(error_at_node="KSampler")
    user = stack.user()

    job = stack.wait_for(stack.submit(user), "failed")

    assert job["error_type"] == "node_error"
    assert "/" not in job["error_message"]
    assert "Traceback" not in job["error_message"]
    told = wait_until(lambda: stack.notifications(user))
    assert [(each["notification_type"], each["title"]) for each in told] == [("job_failed", "Generation Failed")]


def test_a_prompt_that_comfyui_forgot_is_made_again(stack) -> None:
    for simulator in stack.simulators:
        simulator.faults(lose_prompts=1)
    user = stack.user()

    job_id = stack.submit(user)
    stack.wait_for(job_id, "completed")

    assert stack.events(job_id).count("requeued") >= 1
    assert stack.events(job_id).count("completed") == 1


def test_the_job_of_a_dead_worker_moves_to_the_other(stack) -> None:
    user = stack.user()
    for simulator in stack.simulators:
        simulator.faults(step_seconds=0.3)
    job_id = stack.submit(user)
    running = stack.wait_for(job_id, "running")
    victim = next(each for each in stack.simulators if each.queue()["queue_running"])

    victim.kill()
    job = stack.wait_for(job_id, "completed", within=90)

    assert job["attempt"] > running["attempt"]
    starts = stack.sql(
        "generation",
        f"""
        SELECT data->>'worker' FROM events WHERE stream = 'job-{job_id}' AND type = 'generation.job.started'
        ORDER BY version
    """,
    )
    assert starts[0] != starts[-1]


def test_a_redelivered_and_a_duplicated_event_change_nothing(stack) -> None:
    user = stack.user()
    job_id = stack.submit(user)
    published = stack.published(job_id)
    wait_until(lambda: stack.notifications(user))
    before = counts(stack)

    async def again(bus) -> None:
        """Every event of the job once more, under ids that the stream does not recognise."""
        for kind in ("requested", "started", "completed", "published"):
            message = await bus.jetstream.get_last_msg("GENERATION", f"generation.job.{kind}.{job_id}")
            await bus.publish("GENERATION", [Message(message.subject, message.data, f"again-{job_id}-{kind}")])
        work = await bus.jetstream.get_last_msg("GENERATION", f"generation.job.requested.{job_id}")
        await bus.publish("GENERATION_WORK", [Message("generation.work.image", work.data, f"again-{job_id}")])

    stack.on_bus(again)
    stack.settle()

    assert stack.events(job_id) == ["requested", "started", "completed", "published"]
    assert [row[0] for row in stack.items(job_id)] == published["content_ids"]
    assert len(stack.notifications(user)) == 1
    assert counts(stack) == before


def test_poison_is_parked_listed_shown_and_redriven(stack) -> None:
    """Content cannot make the item of one job until an operator removes the cause."""
    user = stack.user()
    stack.execute("content", "ALTER TABLE content_items_all ADD CONSTRAINT no_poison CHECK (title <> 'poison')")
    try:
        job_id = stack.submit(user, title="poison")
        stack.wait_for(job_id, "completed")
        waiting = (
            f"SELECT id FROM dead_letters WHERE redriven_at IS NULL AND subject = 'generation.job.completed.{job_id}'"
        )
        ((letter,),) = wait_until(lambda: stack.sql("content", waiting), within=60, reason="nothing was parked")

        assert "content-jobs" in stack.genonaut("content", "dead-letters", "list").stdout
        shown = json.loads(stack.genonaut("content", "dead-letters", "show", str(letter)).stdout)
        assert shown["subject"] == f"generation.job.completed.{job_id}"
        assert "no_poison" in shown["error"]
        assert stack.genonaut("content", "dead-letters", "redrive", str(letter)).returncode == 1
        assert stack.notifications(user) == []
    finally:  # the stack is everybody's
        stack.execute("content", "ALTER TABLE content_items_all DROP CONSTRAINT no_poison")

    redriven = stack.genonaut("content", "dead-letters", "redrive", str(letter))

    assert (redriven.returncode, redriven.stdout.strip()) == (0, f"{letter}: handled")
    stack.published(job_id)
    assert len(stack.items(job_id)) == 1
    assert len(wait_until(lambda: stack.notifications(user))) == 1
    assert stack.sql("content", waiting) == []


@pytest.mark.parametrize("position", [0, 1, 2, 3])
def test_a_client_that_reconnects_misses_and_repeats_nothing(stack, position: int) -> None:
    user = stack.user()
    job_id = stack.submit(user)
    stack.wait_for(job_id, "completed")

    seen = list(server_sent(stack.api, job_id, last_event_id=position or None))

    ids = [int(event_id) for event_id, _ in seen if event_id]
    assert ids == list(range(position + 1, 4))
    if ids:
        assert seen[-1][1]["status"] == "completed"


def test_a_stream_cut_mid_job_goes_on_where_it_was(stack) -> None:
    for simulator in stack.simulators:
        simulator.faults(step_seconds=0.15)
    user = stack.user()
    job_id = stack.submit(user)
    ids: list[int] = []
    statuses: list[str] = []
    connections = 0
    while not statuses or statuses[-1] != "completed":
        connections += 1
        assert connections < 50
        for count, (event_id, data) in enumerate(
            server_sent(stack.api, job_id, last_event_id=ids[-1] if ids else None)
        ):
            if event_id:
                ids.append(int(event_id))
            statuses.append(data["status"])
            if count == 2:
                break  # the connection is cut

    assert connections > 1
    assert ids == [1, 2, 3]
    assert "processing" in statuses


def server_sent(api: httpx.Client, job_id: int, *, last_event_id: int | None):
    headers = {"Last-Event-ID": str(last_event_id)} if last_event_id else {}
    with api.stream("GET", f"/api/v1/generation-jobs/{job_id}/events", headers=headers, timeout=60) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        for event_id, body in server_sent_events(stream.iter_lines()):
            if body["type"] == "job":
                yield event_id, body
