"""What came through the sockets of a real server comes through ours: the same messages in the same order."""

import json
import struct

import pytest

TRIPLET = {"progress_state", "progress", "preview"}


def parsed(messages):
    """Return recorded socket items as what a Listener receives; a preview as its type and metadata."""
    return [json.loads(item["text"]) if "text" in item else preview(item) for item in messages]


def preview(item):
    return {"type": "preview", "data": {"event": item["event_type"], "metadata": item.get("metadata")}}


def decoded(message):
    """Return a received message with binary ones as `parsed` shows them."""
    if isinstance(message, dict):
        return message
    event, second = struct.unpack(">II", message[:8])
    metadata = json.loads(message[8 : 8 + second]) if event == 4 else None
    picture = message[8 + second :] if event == 4 else message[8:]
    assert picture.startswith(b"\xff\xd8\xff")
    assert metadata is not None or second == 1
    return {"type": "preview", "data": {"event": event, "metadata": metadata}}


def comparable(messages, *, ids):
    """Return messages without ids, times, tracebacks and repeated sampling steps."""
    text = json.dumps(messages)
    for known in ids:
        text = text.replace(known, "ID")
    result = []
    for message in json.loads(text):
        data = message["data"]
        data.pop("timestamp", None)
        for leaked in ("traceback", "current_inputs", "current_outputs"):
            if leaked in data:
                data[leaked] = type(data[leaked]).__name__
        if "executed" in data:
            data["executed"] = sorted(data["executed"])  # a set there
        result.append(message)
    return result


def without_steps(messages):
    """Drop what every sampling step says, keep everything else."""
    return [m for m in messages if m["type"] not in TRIPLET or '"running"' not in json.dumps(m)]


def ids_of(recording, ws):
    greeting = json.loads(ws[0]["text"])["data"]
    start = next(m for m in parsed(ws) if m["type"] == "execution_start")
    return [start["data"]["prompt_id"], greeting.get("sid", "no sid")]


async def test_text_to_image_with_preview_metadata(client, recorded, txt2img):
    expected = recorded("ws_txt2img_success_tiny_with_feature_flags")["ws"]
    await client.run(txt2img(seed=1, steps=3, prefix="genonaut"))
    listener = await client.listen("me-myself", features={"supports_preview_metadata": True})
    prompt_id = await client.submit(txt2img(seed=2, steps=3, prefix="genonaut"), client_id="me-myself")
    await listener.end_of(prompt_id)
    actual = comparable([decoded(m) for m in listener.received], ids=[prompt_id, "me-myself"])
    assert actual == comparable(parsed(expected), ids=ids_of(recorded, expected))


async def test_lora_batch_and_subfolder(client, recorded):
    recording = recorded("ws_txt2img_lora_batch2_subfolder")
    body = recording["submit"]["request"]["json"]
    before = json.loads(json.dumps(body["prompt"]))
    await client.run({"4": before["4"], "1": _empty_image(), "2": _save("before", "1"), **_uses_checkpoint(before)})
    listener = await client.listen("me-myself")
    prompt_id = await client.submit(body["prompt"], client_id="me-myself")
    await listener.end_of(prompt_id)
    actual = comparable([decoded(m) for m in listener.received], ids=[prompt_id, "me-myself"])
    expected = comparable(parsed(recording["ws"]), ids=ids_of(recording, recording["ws"]))
    assert [m["type"] for m in actual] == [m["type"] for m in expected]
    assert actual[:5] == expected[:5]
    assert [m["data"]["node"] for m in actual if m["type"] == "executing"] == ["5", "10", "7", "6", "3", "8", "9", None]
    assert [m for m in actual if m["type"] == "executed"] == [m for m in expected if m["type"] == "executed"]


def _empty_image():
    return {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 0}}


def _save(prefix, source):
    return {"class_type": "SaveImage", "inputs": {"filename_prefix": prefix, "images": [source, 0]}}


def _uses_checkpoint(prompt):
    """Return nodes that need the same checkpoint, so that it is cached, and nothing else of `prompt`."""
    text = {"class_type": "CLIPTextEncode", "inputs": {"text": "something else", "clip": ["4", 1]}}
    latent = {"class_type": "EmptyLatentImage", "inputs": {"width": 128, "height": 64, "batch_size": 1}}
    inputs = {
        **prompt["3"]["inputs"],
        "model": ["4", 0],
        "positive": ["t", 0],
        "negative": ["t", 0],
        "latent_image": ["l", 0],
    }
    return {
        "t": text,
        "l": latent,
        "s": {"class_type": "KSampler", "inputs": inputs},
        "d": {"class_type": "VAEDecode", "inputs": {"samples": ["s", 0], "vae": ["4", 2]}},
        "o": _save("other", "d"),
    }


async def test_cached_rerun(client, recorded):
    recording = recorded("ws_cached_rerun")
    prompt = recording["submit"]["request"]["json"]["prompt"]
    first = await client.run(json.loads(json.dumps(prompt)))
    listener = await client.listen("me-myself")
    listener.received.clear()
    prompt_id = await client.submit(prompt, client_id="me-myself")
    await listener.end_of(prompt_id)
    text = json.dumps(listener.received).replace("genonaut_00001_", "genonaut_00003_")
    known = [recording["submit"]["response"]["body"]["prompt_id"]]
    assert comparable(json.loads(text), ids=[prompt_id]) == comparable(parsed(recording["ws_submitter"]), ids=known)
    entry = await client.ended(prompt_id)
    assert entry["outputs"] == first["outputs"]
    expected = recording["history_after"]["response"]["body"][known[0]]
    assert [m[0] for m in entry["status"]["messages"]] == [m[0] for m in expected["status"]["messages"]]
    assert entry["meta"] == expected["meta"]


@pytest.mark.parametrize(("name", "body"), [("ws_interrupted_by_prompt_id", "the id"), ("ws_interrupted_global", None)])
async def test_interruption(client, recorded, txt2img, shape, name, body):
    recording = recorded(name)
    prompt = recording["submit"]["request"]["json"]["prompt"]
    cached = set(parsed(recording["ws_submitter"])[4]["data"]["nodes"])
    await client.run(txt2img(seed=5, **({} if len(cached) > 1 else {"text": "another"})))
    listener, observer = await client.listen("me-myself"), await client.listen("somebody")
    prompt_id = await client.submit(prompt, client_id="me-myself")
    await listener.event("progress", 2)
    interrupt = {"json": {"prompt_id": prompt_id}} if body else {}
    assert await client.ask("POST", "/interrupt", **interrupt) == (200, "")
    await listener.end_of(prompt_id)
    entry = await client.ended(prompt_id)
    actual = comparable([decoded(m) for m in listener.received], ids=[prompt_id, "me-myself"])
    expected = comparable(parsed(recording["ws_submitter"]), ids=ids_of(recording, recording["ws_submitter"]))
    last = [m for m in expected if m["type"] == "execution_interrupted"]
    assert [m["type"] for m in without_steps(actual)[-3:]] == [m["type"] for m in without_steps(expected)[-3:]]
    assert shape([m for m in actual if m["type"] == "execution_interrupted"]) == shape(last)
    recorded_entry = next(iter(recording["history"]["response"]["body"].values()))
    assert shape(entry["status"]["messages"][-1]) == shape(recorded_entry["status"]["messages"][-1])
    assert (entry["status"]["status_str"], entry["status"]["completed"]) == ("error", False)
    assert (entry["outputs"], entry["meta"]) == (recorded_entry["outputs"], recorded_entry["meta"])
    assert [m["type"] for m in observer.received] == [m["type"] for m in parsed(recording["ws_observer"])]


@pytest.mark.parametrize(
    ("name", "socket"), [("ws_error_truncated_checkpoint", "ws_submitter"), ("ws_error_with_partial_outputs", "ws")]
)
async def test_failure_of_a_node(client, recorded, shape, name, socket):
    recording = recorded(name)
    recorded_entry = next(iter(recording["history"]["response"]["body"].values()))
    prompt = recorded_entry["prompt"][2]
    if name == "ws_error_with_partial_outputs":  # there, the latent was cached
        await client.run({"5": prompt["5"], "v": _decode("5"), "o": _save("x", "v"), "4": _checkpoint()})
    listener = await client.listen("me-myself")
    prompt_id = await client.submit(prompt, client_id="me-myself")
    await listener.end_of(prompt_id)
    entry = await client.ended(prompt_id)
    actual = comparable([decoded(m) for m in listener.received], ids=[prompt_id, "me-myself"])
    assert actual == comparable(parsed(recording[socket]), ids=ids_of(recording, recording[socket]))
    assert shape(entry) == shape(recorded_entry)
    assert (entry["outputs"], entry["meta"]) == (recorded_entry["outputs"], recorded_entry["meta"])


def _decode(latent):
    return {"class_type": "VAEDecode", "inputs": {"samples": [latent, 0], "vae": ["4", 2]}}


def _checkpoint():
    return {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sd15_tiny_random.safetensors"}}
