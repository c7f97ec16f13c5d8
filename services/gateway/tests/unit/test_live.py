"""What followers of a job are told: everything in the log, in order, once, whatever the bus does."""

import asyncio
import json
import random
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genonaut.contracts import Envelope, Event
from genonaut.contracts.generation import (
    JobCancelled,
    JobFailed,
    JobPublished,
    JobRequeued,
    JobStarted,
)
from genonaut.contracts.live import JobProgress
from genonaut.gateway.live import api, messages
from genonaut.gateway.live import feed as module
from genonaut.gateway.live.channel import Channel
from genonaut.gateway.live.feed import Feed
from genonaut.gateway.live.joblog import JobLog
from genonaut.platform.http.problems import BadRequestError, NotFoundError, UnavailableError
from genonaut.testkit.envelopes import enveloped
from genonaut.testkit.jobs import IMAGE, job_completed, job_requested
from genonaut.testkit.waiting import eventually

USER = UUID(int=1)
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

requested = job_requested(user_id=USER)
requeued = JobRequeued(job_id=7, user_id=USER, attempt=1, reason="worker_lost")
failed = JobFailed(
    job_id=7,
    user_id=USER,
    attempt=1,
    error_type="node_error",
    error_message="no",
    generation_ms=1,
    checkpoint_model="m",
)
cancelled = JobCancelled(job_id=7, user_id=USER, attempt=1, reason="enough", checkpoint_model="m")
published = JobPublished(job_id=7, user_id=USER, content_ids=[41, 42])
completed = job_completed(user_id=USER)


def started(attempt: int = 1) -> JobStarted:
    return JobStarted(
        job_id=7, user_id=USER, attempt=attempt, worker="gpu", comfyui_prompt_id=UUID(int=2), queue_wait_ms=3
    )


def progress(step: int, attempt: int = 1) -> JobProgress:
    return JobProgress(job_id=7, attempt=attempt, timestamp=NOW, node="KSampler", step=step, steps=9, fraction=step / 9)


def log_of(*events: Event) -> list[Envelope]:
    return [
        enveloped(event, 7, id=UUID(int=number), time=NOW, sequence=number)
        for number, event in enumerate(events, start=1)
    ]


WHOLE = log_of(requested, started(), requeued, started(2), completed, published)


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (requested, {"status": "pending"}),
        (started(), {"status": "started", "attempt": 1}),
        (requeued, {"status": "pending", "attempt": 1, "reason": "worker_lost"}),
        (completed, {"status": "completed", "attempt": 1, "images": [IMAGE.model_dump()]}),
        (published, {"status": "completed", "content_id": 41, "content_ids": [41, 42]}),
        (failed, {"status": "failed", "error": "no", "error_type": "node_error"}),
        (cancelled, {"status": "cancelled", "reason": "enough"}),
    ],
)
def test_the_message_of_an_event(event: Event, expected: dict[str, Any]) -> None:
    (envelope,) = log_of(event)
    common = {"type": "job", "job_id": 7, "timestamp": NOW, "sequence": 1}
    assert messages.of_event(7, envelope) == common | expected


def test_an_event_of_an_older_version_is_told_like_today_s() -> None:
    (envelope,) = log_of(completed)
    data = {**envelope.data, "image": envelope.data["images"][0]}
    del data["images"]
    old = envelope.model_copy(update={"dataversion": 1, "data": data})
    assert messages.of_event(7, old) == messages.of_event(7, envelope)


def test_an_event_that_this_release_does_not_know_is_not_told() -> None:
    (envelope,) = log_of(completed)
    assert messages.of_event(7, envelope.model_copy(update={"type": "generation.job.celebrated"})) is None


def test_the_message_of_progress_has_no_position() -> None:
    assert messages.of_progress(progress(3)) == {
        "type": "job",
        "job_id": 7,
        "status": "processing",
        "timestamp": NOW,
        "progress": {"attempt": 1, "node": "KSampler", "step": 3, "steps": 9, "fraction": 3 / 9},
    }


def test_server_sent_events_carry_the_position() -> None:
    message = messages.of_event(7, WHOLE[1])
    assert message is not None
    lines = messages.to_sse(message).decode().split("\n")
    assert lines[:2] == ["id: 2", "event: job"]
    assert json.loads(lines[2].removeprefix("data: ")) == message | {"timestamp": "2026-01-02T03:04:05Z"}
    assert lines[3:] == ["", ""]
    assert messages.to_sse(messages.of_progress(progress(1))).startswith(b"event: job\ndata: {")


def test_line_ends_in_a_text_do_not_end_the_event() -> None:
    (envelope,) = log_of(failed.model_copy(update={"error_message": "a\n\nid: 9\r\ndata: b\u2028"}))
    message = messages.of_event(7, envelope)
    assert message is not None
    assert messages.to_sse(message).count(b"\n") == 4
    assert b"\r" not in messages.to_sse(message)


def told(channel: Channel) -> list[int]:
    return [one.message["sequence"] for one in channel.log if one]


@given(st.lists(st.sampled_from(WHOLE), max_size=20), st.randoms())
def test_any_order_of_events_gives_a_log_without_gaps_and_repeats(heard: list[Envelope], chance: random.Random) -> None:
    channel = Channel(7)
    for envelope in heard:
        channel.hear(envelope)
        if chance.random() < 0.2:
            channel.add(WHOLE[channel.known :][: chance.randrange(3)])
    assert told(channel) == list(range(1, min(channel.known, 5) + 1))
    assert channel.ended == (channel.known >= 5)
    if heard and max(envelope.sequence for envelope in heard) > channel.known:
        assert channel.behind.is_set()


def test_what_comes_after_the_end_changes_the_state_but_not_the_stream() -> None:
    channel = Channel(7)
    channel.add(WHOLE)
    assert told(channel) == [1, 2, 3, 4, 5]
    assert (channel.known, channel.ended) == (6, True)
    assert channel.state["status"] == "completed"
    assert channel.state["content_ids"] == [41, 42]
    assert channel.state["images"] == [IMAGE.model_dump()]


def test_late_progress_is_not_told() -> None:
    channel = Channel(7)
    channel.add(WHOLE[:4])
    channel.hear_progress(progress(3, attempt=1))
    assert channel.progress is None
    channel.hear_progress(progress(4, attempt=2))
    assert channel.progress is not None
    channel.add(WHOLE)
    assert channel.progress is None
    channel.hear_progress(progress(5, attempt=2))
    assert channel.progress is None


class Script:
    """The generation service's logs, as far as the test lets them be known."""

    def __init__(self, log: list[Envelope]) -> None:
        self.log = log
        self.visible = len(log)
        self.reads: list[int] = []
        self.error: Exception | None = None
        self.answering = asyncio.Event()
        self.answering.set()

    async def after(self, job_id: int, position: int) -> JobLog:
        self.reads.append(position)
        await self.answering.wait()
        if self.error:
            raise self.error
        return JobLog(events=self.log[position : self.visible])


def feed(script: Script, **options: Any) -> Feed:
    return Feed(script, **{"limit": 2000, "poll_seconds": 60, "outage_poll_seconds": 60, **options})


async def all_of(feed: Feed, *, after: int = 0) -> list[int]:
    found = []
    async with feed.follow(7, after=after) as following:
        while not following.ended:
            found += [one.message["sequence"] for one in await following.next(within=5) if "sequence" in one.message]
    return found


@pytest.mark.parametrize("position", range(6))
async def test_a_finished_job_is_told_from_any_position(position: int) -> None:
    assert await all_of(feed(Script(WHOLE)), after=position) == list(range(position + 1, 6))


async def test_a_position_behind_the_log_is_refused() -> None:
    with pytest.raises(BadRequestError, match="ends at 6"):
        await all_of(feed(Script(WHOLE)), after=7)


async def test_a_position_that_another_process_told_is_looked_up_before_it_is_refused() -> None:
    script = Script(WHOLE)
    script.visible = 2
    line = feed(script)
    async with line.follow(7, after=2):
        script.visible = 4  # and nothing is heard of it here
        with pytest.raises(BadRequestError, match="ends at 4"):
            await all_of(line, after=5)
        script.visible = 6
        assert await all_of(line, after=5) == []


async def test_without_a_bus_the_poll_tells_everything() -> None:
    script = Script(WHOLE)
    script.visible = 1
    following = asyncio.create_task(all_of(feed(script, outage_poll_seconds=0.01)))
    for known, visible in ((1, 2), (2, 4), (4, 6)):
        await eventually(lambda position=known: script.reads[-1:] == [position])
        script.visible = visible
    assert await asyncio.wait_for(following, 5) == [1, 2, 3, 4, 5]


async def test_a_gap_is_filled_from_the_log() -> None:
    script = Script(WHOLE)
    script.visible = 1
    line = feed(script)
    async with line.follow(7) as following:
        assert [one.message["sequence"] for one in await following.next(within=1)] == [1]
        script.visible = 4
        line._channels[7].channel.hear(WHOLE[3])
        assert [one.message["sequence"] for one in await following.next(within=5)] == [2, 3, 4]
    assert script.reads == [0, 1]


async def test_many_followers_share_one_read_and_one_message() -> None:
    script = Script(WHOLE)
    script.visible = 2
    line = feed(script)
    followers = [asyncio.create_task(all_of(line)) for _ in range(1000)]
    await eventually(lambda: line._clients == 1000)
    for envelope in WHOLE[2:]:
        line._channels[7].channel.hear(envelope)
    assert await asyncio.gather(*followers) == [[1, 2, 3, 4, 5]] * 1000
    assert script.reads == [0]
    assert line._channels == {}


async def test_a_slow_follower_skips_progress_and_no_event() -> None:
    script = Script(WHOLE)
    script.visible = 4
    line = feed(script)
    async with line.follow(7, after=4) as following:
        for step in range(9):
            line._channels[7].channel.hear_progress(progress(step, attempt=2))
        assert [one.message["progress"]["step"] for one in await following.next(within=1)] == [8]
        line._channels[7].channel.hear_progress(progress(9, attempt=2))
        line._channels[7].channel.hear(WHOLE[4])
        assert [one.message["status"] for one in await following.next(within=1)] == ["completed"]
        assert following.ended


async def test_silence_gives_an_empty_list() -> None:
    script = Script(WHOLE)
    script.visible = 1
    async with feed(script).follow(7, after=1) as following:
        assert await following.next(within=0.01) == []
        assert not following.ended


async def test_a_snapshot_says_what_is_now() -> None:
    script = Script(WHOLE)
    script.visible = 4
    line = feed(script)
    async with line.follow(7) as following:
        line._channels[7].channel.hear_progress(progress(3, attempt=2))
        snapshot = following.snapshot()
        assert (snapshot["type"], snapshot["status"], snapshot["progress"]["step"]) == ("snapshot", "processing", 3)
        line._channels[7].channel.hear(WHOLE[4])
        assert [one.message["sequence"] for one in await following.next(within=1)] == [5]


@pytest.mark.parametrize("error", [NotFoundError("no such job"), UnavailableError("away"), RuntimeError("a bug")])
async def test_who_cannot_be_told_hears_why(error: Exception) -> None:
    script = Script(WHOLE)
    script.error = error
    line = feed(script)
    results = await asyncio.gather(*(all_of(line) for _ in range(3)), return_exceptions=True)
    assert results == [error] * 3
    script.error = None
    assert await all_of(line) == [1, 2, 3, 4, 5]


async def test_who_comes_while_all_reads_hang_hears_so_soon(monkeypatch) -> None:
    monkeypatch.setattr(module, "TURN_SECONDS", 0.05)
    script = Script(WHOLE)
    script.visible = 2
    line = feed(script)
    async with line.follow(7, after=2):
        script.answering.clear()
        script.reads.clear()
        hanging = [asyncio.create_task(opened(line, job_id)) for job_id in range(100, 100 + module.READS_AT_ONCE)]
        await eventually(lambda: len(script.reads) == module.READS_AT_ONCE)
        for late in (opened(line, 8), all_of(line, after=5)):  # a first load, and a position to look up
            with pytest.raises(UnavailableError, match="cannot be read"):
                await asyncio.wait_for(late, 5)
        script.answering.set()
        await asyncio.gather(*hanging)
    await opened(line, 8)


async def opened(feed: Feed, job_id: int) -> None:
    async with feed.follow(job_id):
        pass


async def test_a_log_that_cannot_be_read_for_a_while_is_read_later() -> None:
    script = Script(WHOLE)
    script.visible = 2
    line = feed(script, outage_poll_seconds=0.01)
    following = asyncio.create_task(all_of(line))
    await eventually(lambda: script.reads)
    script.error = UnavailableError("away")
    reads = len(script.reads)
    await eventually(lambda: len(script.reads) > reads + 1)
    script.error, script.visible = None, 6
    assert await asyncio.wait_for(following, 5) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("error", [UnavailableError("away"), RuntimeError("a bug")])
async def test_what_was_heard_of_and_could_not_be_read_does_not_wait_for_the_next_poll(error: Exception) -> None:
    script = Script(WHOLE)
    script.visible = 2
    line = feed(script, outage_poll_seconds=0.01)
    line._patience = lambda: 60.0  # as long as the bus works
    following = asyncio.create_task(all_of(line))
    await eventually(lambda: script.reads)
    script.error = error
    line._channels[7].channel.hear(WHOLE[4])
    await eventually(lambda: len(script.reads) > 1)
    script.error, script.visible = None, 6
    assert await asyncio.wait_for(following, 5) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("7", [7]),
        ("9,7,9", [9, 7]),
        *((text, []) for text in ("", "0", "7,0", "-7", "7,", "x", "\u0667", "9" * 19)),
        (",".join(map(str, range(1, 51))), list(range(1, 51))),
        (",".join(map(str, range(1, 52))), []),
    ],
)
def test_the_jobs_that_a_socket_names(text: str, ids: list[int]) -> None:
    assert api._job_ids(text) == ids


async def test_there_is_a_limit() -> None:
    script = Script(WHOLE)
    script.visible = 1
    line = feed(script, limit=1)
    async with line.follow(7):
        with pytest.raises(UnavailableError):
            await all_of(line)
    async with line.follow(7):
        pass


async def test_the_end_of_the_process_ends_every_stream() -> None:
    script = Script(WHOLE)
    script.visible = 1
    line = feed(script)
    following = asyncio.create_task(all_of(line))
    await eventually(lambda: script.reads)
    await asyncio.sleep(0)
    line.stop()
    assert await asyncio.wait_for(following, 1) == [1]
    with pytest.raises(UnavailableError):
        await all_of(line)


def test_the_progress_of_a_lost_attempt_is_not_told_as_present() -> None:
    channel = Channel(7)
    channel.add(WHOLE[:2])
    channel.hear_progress(progress(8))
    assert channel.progress is not None

    channel.add(WHOLE[2:3])  # requeued
    assert channel.progress is None
    channel.hear_progress(progress(9))  # the old attempt's, late
    assert channel.progress is None
    channel.add(WHOLE[3:4])  # started again
    channel.hear_progress(progress(9))
    assert channel.progress is None
    channel.hear_progress(progress(1, attempt=2))
    assert channel.progress is not None


async def test_a_private_job_is_followed_by_its_user_only() -> None:
    private = log_of(requested.model_copy(update={"is_private": True}), started())

    class Logs:
        async def after(self, job_id: int, position: int) -> JobLog:
            return JobLog(events=private[position:])

    feed = Feed(Logs(), limit=5, poll_seconds=60, outage_poll_seconds=60)
    async with feed.follow(7, viewer=str(USER)) as following:
        assert [told.message["status"] for told in await following.next(within=5)] == ["pending", "started"]
        for stranger in (None, str(UUID(int=9))):
            with pytest.raises(NotFoundError):
                async with feed.follow(7, viewer=stranger):
                    pass
