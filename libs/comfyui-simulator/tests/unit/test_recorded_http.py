"""Every recorded exchange over HTTP, asked again: same status, same kind of body, same error types."""

import io
from pathlib import Path

import pytest

RECORDINGS = Path(__file__).parents[1] / "recordings"
PROMPTS = sorted(path.stem for path in RECORDINGS.glob("prompt_*.json"))
READS = sorted(path.stem for path in RECORDINGS.glob("http_get_*.json"))


def request_of(exchange):
    request = exchange["request"]
    body = {"json": request["json"]} if "json" in request else {"data": request.get("raw")}
    return request["method"], request["path"], {**body, "headers": request.get("headers", {})}


def told(node_errors):
    """Return all that is told about nodes but tracebacks and the list of checkpoints, which is another one here."""
    return {
        node_id: (
            [
                (error["type"], error["message"], error["details"].partition(" not in [")[0])
                for error in entry["errors"]
            ],
            entry["dependent_outputs"],
            entry["class_type"],
        )
        for node_id, entry in node_errors.items()
    }


@pytest.mark.parametrize("name", PROMPTS)
async def test_prompt_is_answered_as_recorded(client, recorded, shape, name):
    exchange = recorded(name)
    method, path, options = request_of(exchange)
    status, body = await client.ask(method, path, **options)
    expected = exchange["response"]
    assert status == expected["status"]
    if status == 500:
        assert body == expected["body"]
        return
    assert shape(body) == shape(expected["body"])
    assert body.get("error") == expected["body"].get("error")
    assert told(body["node_errors"]) == told(expected["body"]["node_errors"])


@pytest.mark.parametrize("name", [name for name in READS if name != "http_get_object_info_used_nodes"])
async def test_read_is_answered_as_recorded(client, recorded, shape, name):
    exchange = recorded(name)
    method, path, options = request_of(exchange)
    status, body = await client.ask(method, path, **options)
    assert status == exchange["response"]["status"]
    expected = exchange["response"]["body"]
    if name == "http_get_system_stats":
        assert body["system"].keys() <= expected["system"].keys()
        assert shape(body["devices"]) == shape(expected["devices"])
    else:
        assert shape(body) == shape(expected)


async def test_node_definitions_are_the_recorded_ones(client, recorded):
    for name, expected in recorded("http_get_object_info_used_nodes")["nodes"].items():
        actual = (await client.get(f"/object_info/{name}"))[name]
        for choices, kind in (("ckpt_name", "checkpoints"), ("lora_name", "loras")):
            if choices in expected["input"]["required"]:
                offered = await client.get(f"/models/{kind}")
                assert set(expected["input"]["required"][choices][0]) <= set(offered)
                expected["input"]["required"][choices][0] = offered
        assert actual == expected


async def test_page_of_another_origin_is_refused_as_recorded(client, recorded):
    method, path, options = request_of(recorded("http_post_prompt_origin_mismatch_403"))
    assert await client.ask(method, path, **options) == (403, "")
    options["headers"] = {"Origin": client.simulator.url}
    assert (await client.ask(method, path, **options))[0] == 200


async def test_history_entry_is_the_recorded_one(client, recorded, shape):
    exchange = recorded("prompt_ok_txt2img_client_prompt_id")
    body = exchange["request"]["json"]
    entry = await client.run(body.pop("prompt"), **body)
    expected = recorded("history_success_txt2img")["response"]["body"][body["prompt_id"]]
    assert shape(entry) == shape(expected)
    assert entry["outputs"] == expected["outputs"]
    assert entry["meta"] == expected["meta"]
    assert entry["prompt"][1:] == expected["prompt"][1:]
    assert [m[0] for m in entry["status"]["messages"]] == [m[0] for m in expected["status"]["messages"]]


async def test_history_lists_as_recorded(client, recorded, shape, plain):
    await client.run(plain(prefix="the image is cached from now on"))
    for name in ("prompt_ok_model_free", "prompt_ok_txt2img_client_prompt_id"):
        body = recorded(name)["request"]["json"]
        await client.run(body.pop("prompt"), **body)
    expected = recorded("history_list_max_items_2")["response"]["body"]
    assert shape(list((await client.get("/history?max_items=2")).values())) == shape(list(expected.values()))


async def test_history_lists_the_newest_entries(client, plain):
    ids = [await client.submit(plain(prefix=f"h{number}")) for number in range(4)]
    await client.ended(ids[-1])
    assert list(await client.get("/history?max_items=2")) == ids[-2:]
    assert list(await client.get("/history?max_items=2&offset=1")) == ids[1:3]
    assert list(await client.get("/history")) == ids


async def test_history_refuses_and_deletes_as_recorded(client, recorded, plain):
    status, body = await client.ask("GET", "/history?max_items=abc")
    assert (status, body) == (500, recorded("history_list_bad_max_items")["response"]["body"])
    prompt_id = await client.submit(plain(), prompt_id=12345)
    await client.ended("12345")
    for part in recorded("history_delete_one").values():
        method, path, options = request_of(part)
        answer = await client.ask(method, path, **options)
        assert answer == (part["response"]["status"], part["response"]["body"])
    await client.run(plain(color=1))
    assert await client.ask("POST", "/history", json={"clear": True}) == (200, "")
    assert prompt_id == "12345"
    assert await client.get("/history") == {}


async def test_queue_answers_as_recorded(client, recorded, plain, txt2img):
    running = await client.submit(txt2img(steps=500))
    await client.until(lambda queue: bool(queue["queue_running"]), "/queue")
    doomed = await client.submit(plain())
    recording = recorded("queue_ordering_delete_clear")
    for name, body in (
        ("delete_pending", [doomed]),
        ("delete_unknown", ["nope"]),
        ("delete_running_no_effect", [running]),
    ):
        assert await client.ask("POST", "/queue", json={"delete": body}) == (200, ""), name
    for name in ("delete_malformed", "delete_bad_type"):
        method, path, options = request_of(recording[name])
        assert await client.ask(method, path, **options) == (500, recording[name]["response"]["body"])
    queue = await client.get("/queue")
    assert [item[1] for item in queue["queue_running"]] == [running]
    assert queue["queue_pending"] == []
    assert await client.get(f"/history/{doomed}") == {}
    expected = recording["queue"]["response"]["body"]["queue_running"][0]
    assert [type(part) for part in queue["queue_running"][0]] == [type(part) for part in expected]
    await client.submit(plain())
    assert await client.get("/prompt") == {"exec_info": {"queue_remaining": 2}}
    assert await client.ask("POST", "/queue", json={"clear": True}) == (200, "")
    assert await client.get("/prompt") == {"exec_info": {"queue_remaining": 1}}


async def test_bodies_over_100_mebibytes_are_413(client):
    status, body = await client.ask("POST", "/prompt", data=io.BytesIO(bytes(100 * 1024 * 1024 + 1)))
    assert (status, body) == (413, "Maximum request body size 104857600 exceeded.")


def test_every_recording_in_the_folder_is_used():
    """A recording that nothing compares with would only look like a promise."""
    sources = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    by_pattern = ("prompt_", "http_get_")
    assert [
        path.stem
        for path in RECORDINGS.glob("*.json")
        if path.stem not in sources and not path.stem.startswith(by_pattern)
    ] == []
