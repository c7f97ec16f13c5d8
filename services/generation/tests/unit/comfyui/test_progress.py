import base64
import json
import struct
from datetime import UTC, datetime
from uuid import UUID

import pytest

from genonaut.generation.comfyui.progress import MAX_PREVIEW_BYTES, Progress
from genonaut.generation.comfyui.workflow import prompt_graph

ID = UUID("fa54037c-82b5-4c49-9449-3b5983113e58")
NOW = datetime(2026, 11, 20, tzinfo=UTC)
JPEG = b"\xff\xd8\xff\xe0 picture"


@pytest.fixture
def progress(job):
    return Progress(ID, prompt_graph(job(), prefix="p"))


def shown(progress):
    return progress.snapshot(job_id=42, attempt=1, timestamp=NOW)


def texts(socket):
    return [json.loads(message["text"]) for message in socket if "text" in message]


def framed(picture=JPEG, *, event=1, word=1, header=b""):
    return struct.pack(">II", event, word) + header + picture


def with_metadata(picture=JPEG, **changes):
    header = json.dumps({"node_id": "3", "prompt_id": str(ID), "image_type": "image/jpeg", **changes}).encode()
    return framed(picture, event=4, word=len(header), header=header)


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        ("ws_txt2img_success_tiny_with_feature_flags", 3),
        ("ws_txt2img_success_full_sd15", 2),
        ("ws_txt2img_lora_batch2_subfolder", 2),
    ],
)
def test_a_recorded_success_goes_forward_only_and_ends_just_before_delivery(job, recording, name, steps):
    recorded = recording(name)
    socket = recorded.get("ws") or recorded["ws_submitter"]
    messages = texts(socket)
    prompt_id = next(m["data"]["prompt_id"] for m in messages if m["type"] == "execution_start")
    progress = Progress(UUID(prompt_id), prompt_graph(job(), prefix="p"))
    seen = [shown(progress)]
    for message in messages:
        assert not progress.over or message["type"] in ("status", "executing", "progress_state")
        if progress.hear(message):
            seen.append(shown(progress))
    assert progress.over
    fractions = [snapshot.fraction for snapshot in seen]
    assert fractions == sorted(fractions)
    assert fractions[0] == 0
    assert 0.95 < fractions[-1] < 1
    assert (seen[-1].step, seen[-1].steps) == (steps, steps)
    assert {snapshot.node for snapshot in seen} >= {"KSampler", "VAEDecode", "SaveImage"}
    steps_seen = [snapshot.step for snapshot in seen if snapshot.node == "KSampler"]
    assert steps_seen == sorted(steps_seen)
    assert set(steps_seen) >= set(range(1, steps + 1))


@pytest.mark.parametrize(
    ("name", "socket"),
    [
        ("ws_interrupted_by_prompt_id", "ws_submitter"),
        ("ws_error_corrupted_checkpoint", "ws_submitter"),
        ("ws_cached_rerun", "ws_submitter"),
    ],
)
def test_every_end_is_noticed(job, recording, name, socket):
    messages = texts(recording(name)[socket])
    prompt_id = next(m["data"]["prompt_id"] for m in messages if m["type"] == "execution_start")
    progress = Progress(UUID(prompt_id), prompt_graph(job(), prefix="p"))
    for message in messages:
        progress.hear(message)
    assert progress.over


def test_after_a_reconnect_the_node_is_believed_without_a_prompt_id(job, recording):
    messages = texts(recording("ws_client_id_semantics")["after_reconnect"])
    assert "prompt_id" not in messages[1]["data"]
    progress = Progress(UUID("1aa63fb6-b99a-4b67-8ce4-7a8c38b3535a"), prompt_graph(job(), prefix="p"))
    assert not progress.hear(messages[0])
    assert progress.hear(messages[1])
    assert progress.node == "KSampler"
    for message in messages[2:]:
        progress.hear(message)
    assert shown(progress).step >= 4
    assert shown(progress).fraction > 0.1
    assert not progress.over


def test_other_prompts_are_not_ours(progress):
    foreign = {"prompt_id": "other"}
    assert not progress.hear({"type": "executing", "data": {**foreign, "node": "3"}})
    assert not progress.hear({"type": "progress", "data": {**foreign, "node": "3", "value": 1, "max": 2}})
    assert not progress.hear({"type": "execution_success", "data": foreign})
    assert not progress.over


def test_an_idle_server_is_not_the_end_of_our_prompt(progress):
    progress.hear({"type": "executing", "data": {"node": None}})
    assert not progress.over
    progress.hear({"type": "executing", "data": {"node": None, "prompt_id": str(ID)}})
    assert progress.over


@pytest.mark.parametrize(
    "message",
    [
        None,
        5,
        [],
        {},
        {"type": "progress"},
        {"type": "progress", "data": []},
        {"type": "progress", "data": {"node": "3", "value": "x", "max": 2}},
        {"type": "progress", "data": {"node": "3", "value": 1, "max": 0}},
        {"type": "progress", "data": {"node": "3", "value": 1, "max": float("nan")}},
        {"type": "progress", "data": {"node": "77", "value": 1, "max": 2}},
        {"type": "progress_state", "data": {"nodes": {"3": None, "4": {"state": "running"}}}},
        {"type": "progress_state", "data": {"nodes": [1]}},
        {"type": "executing", "data": {"node": ["3"]}},
        {"type": "execution_cached", "data": {"nodes": None}},
        {"type": "executed", "data": {}},
    ],
)
def test_malformed_messages_change_nothing(progress, message):
    assert not progress.hear(message)
    assert shown(progress).fraction == 0


def test_a_late_message_does_not_go_back(progress):
    progress.hear({"type": "progress", "data": {"node": "3", "value": 8, "max": 10}})
    before = shown(progress)
    assert not progress.hear({"type": "progress", "data": {"node": "3", "value": 2, "max": 10}})
    assert shown(progress) == before


def test_previews_of_both_kinds(progress):
    expected = "data:image/jpeg;base64," + base64.b64encode(JPEG).decode()
    assert progress.see(framed())
    assert shown(progress).preview == expected
    assert progress.see(with_metadata())
    assert shown(progress).preview == expected
    assert progress.see(framed(word=2))
    assert shown(progress).preview.startswith("data:image/png;base64,")


def test_a_preview_is_shown_once(progress):
    progress.see(framed())
    assert shown(progress).preview
    assert shown(progress).preview is None


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\x00\x00\x00\x01",
        framed(b""),
        framed(word=3),
        framed(event=2),
        framed(b"x" * (MAX_PREVIEW_BYTES + 1)),
        with_metadata(prompt_id="other"),
        with_metadata(image_type="text/html"),
        framed(event=4, word=2**32 - 1),
        framed(event=4, word=3, header=b"{x}"),
    ],
)
def test_other_frames_are_no_previews(progress, frame):
    assert not progress.see(frame)
    assert shown(progress).preview is None
