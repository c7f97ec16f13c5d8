"""Facts 1 to 8: what becomes of a prompt that is sent. The numbers are those of this package's README."""

import json

import pytest

from genonaut.comfyui_simulator.prompt_queue import PromptQueue

UUID = "0b0e7f3c-8a3b-5c3e-9a59-0d5f1b1b7f10"


async def test_fact_01_an_invalid_output_among_valid_ones_is_dropped_with_200(client, plain):
    prompt = {**plain(), "11": {"class_type": "SaveImage", "inputs": {"filename_prefix": "bad", "images": ["404", 0]}}}
    status, body = await client.ask("POST", "/prompt", json={"prompt": prompt})
    assert status == 200
    assert list(body["node_errors"]) == ["11"]
    entry = await client.ended(body["prompt_id"])
    assert list(entry["outputs"]) == ["2"]
    assert entry["prompt"][4] == ["2"]


async def test_fact_02_the_cause_is_in_the_node_errors_and_bodies_leak(client, txt2img):
    prompt = txt2img()
    prompt["4"]["inputs"]["ckpt_name"] = "does_not_exist.safetensors"
    status, body = await client.ask("POST", "/prompt", json={"prompt": prompt})
    assert (status, body["error"]["details"]) == (400, "")
    error = body["node_errors"]["4"]["errors"][0]
    assert error["type"] == "value_not_in_list"
    assert error["extra_info"]["input_config"][0] == await client.get("/models/checkpoints")
    prompt["8"]["inputs"]["samples"] = ["404", 0]
    _, body = await client.ask("POST", "/prompt", json={"prompt": prompt})
    assert "/opt/ComfyUI/" in json.dumps(body)


@pytest.mark.parametrize("body", ["", "{", "null", '{"prompt": null}', '{"prompt": {}, "number": "x"}', "5"])
async def test_fact_03_what_is_no_prompt_is_a_plain_500(client, body):
    status, text = await client.ask("POST", "/prompt", data=body)
    assert (status, text) == (500, "500 Internal Server Error\n\nServer got itself in trouble")


async def test_fact_04_a_prompt_id_is_not_deduplicated_and_history_shows_the_first_success(client, plain, txt2img):
    await client.run(plain(prefix="first"), prompt_id=UUID)
    await client.submit(txt2img(steps=500), prompt_id=UUID)
    await client.until(lambda queue: bool(queue["queue_running"]), "/queue")
    stale = (await client.get(f"/history/{UUID}"))[UUID]
    assert stale["status"]["completed"]
    assert stale["outputs"]["2"]["images"][0]["filename"] == "first_00001_.png"
    await client.ask("POST", "/interrupt", json={"prompt_id": UUID})
    await client.until(lambda history: not history[UUID]["status"]["completed"], "/history")


async def test_fact_04_two_pending_prompts_of_one_id_both_run(client, recorded, plain, txt2img):
    await client.submit(txt2img(steps=500))
    for color in (1, 2):
        await client.submit(plain(color=color), prompt_id=UUID)
    pending = (await client.get("/queue"))["queue_pending"]
    assert [item[1] for item in pending] == [UUID, UUID]
    await client.ask("POST", "/queue", json={"delete": [UUID]})
    left = (await client.get("/queue"))["queue_pending"]
    expected = recorded("duplicate_prompt_id")["concurrent"]["delete_removes_only_first_match_left"]
    assert len(left) == len(expected) == 1
    assert left[0][2]["1"]["inputs"]["color"] == 2


async def test_fact_05_front_is_last_in_first_out_and_pending_comes_in_heap_order(client, recorded, plain, txt2img):
    recording = recorded("queue_ordering_delete_clear")
    blocker = await client.submit(txt2img(steps=500))
    await client.until(lambda queue: bool(queue["queue_running"]), "/queue")
    names = {}
    for item in recording["submitted"]:
        prompt_id = await client.submit(plain(color=len(names), prefix=item["name"]), **item["body_extra"])
        names[prompt_id] = item["name"]
    recorded_names = {item["response"]["prompt_id"]: item["name"] for item in recording["submitted"]}
    pending = [names[item[1]] for item in (await client.get("/queue"))["queue_pending"]]
    expected = recording["queue_pending_list_order_is_heap_order_not_sorted"]
    # There the counter stood at 47 when the first came, here at 1: only num_5 falls elsewhere in the heap.
    assert [n for n in pending if n != "num_5"] != sorted(pending)
    assert {*pending} == {recorded_names[prompt_id] for _, prompt_id in expected}
    await client.ask("POST", "/interrupt", json={"prompt_id": blocker})
    await client.until(lambda status: status["exec_info"]["queue_remaining"] == 0, "/prompt")
    ran = [names[prompt_id] for prompt_id in await client.get("/history") if prompt_id in names]
    assert ran[:3] == recording["execution_order"][1:4] == ["num_neg", "front2", "front1"]


def test_fact_05_the_pending_list_is_the_recorded_heap(recorded):
    recording = recorded("queue_ordering_delete_clear")
    queue = PromptQueue(lambda: None)
    for item in recording["submitted"]:
        response = item["response"]
        queue.put((response["number"], response["prompt_id"], {}, {}, []))
    expected = recording["queue_pending_list_order_is_heap_order_not_sorted"]
    assert [[item[0], item[1]] for item in queue.as_json()["queue_pending"]] == expected
    queue.delete("82f8ed1b-0a39-423c-a712-03301c2ef58b")
    assert [item[1] for item in queue.as_json()["queue_pending"]] == recording["after_delete_pending_ids"]


async def test_fact_05_ties_run_in_the_order_of_their_ids(client, recorded, plain, txt2img):
    recording = recorded("queue_number_ties")
    blocker = await client.submit(txt2img(steps=500))
    await client.until(lambda queue: bool(queue["queue_running"]), "/queue")
    for prompt_id in recording["submitted_order"]:
        await client.submit(plain(), prompt_id=prompt_id, number=500)
    await client.ask("POST", "/interrupt", json={"prompt_id": blocker})
    await client.until(lambda history: len(history) == 4, "/history")
    assert list(await client.get("/history"))[1:] == recording["executed_order"]


async def test_fact_05_equal_numbers_and_ids_are_500_and_can_kill_the_worker(client, recorded, plain, txt2img):
    assert (
        recorded("crash_same_number_same_prompt_id")["second_same_number_same_prompt_id"]["response"]["status"] == 500
    )
    recording = recorded("crash_four_times_same_number_same_prompt_id")
    blocker = await client.submit(txt2img(steps=500))
    await client.until(lambda queue: bool(queue["queue_running"]), "/queue")
    statuses = [
        (await client.ask("POST", "/prompt", json={"prompt": plain(color=n), "prompt_id": UUID, "number": 7}))[0]
        for n in range(4)
    ]
    assert statuses == recording["statuses"]
    await client.ask("POST", "/interrupt", json={"prompt_id": blocker})
    await client.until(lambda queue: not queue["queue_running"], "/queue")
    last = await client.submit(plain(color=9))
    queue = await client.get("/queue")
    assert len(queue["queue_pending"]) == len(recording["after"]["pending"])
    assert queue["queue_running"] == recording["after"]["running"] == []
    assert await client.get(f"/history/{last}") == {}


async def test_fact_06_extra_data_null_kills_the_worker_but_not_http(client, recorded):
    recording = recorded("crash_worker_thread_dead_http_alive")
    listener = await client.listen()
    status, body = await client.ask("POST", "/prompt", json=recording["submit"]["request"]["json"])
    assert status == recording["submit"]["response"]["status"] == 200
    second = await client.submit(recording["submit"]["request"]["json"]["prompt"])
    queue = await client.until(lambda queue: bool(queue["queue_running"]), "/queue")
    assert [item[1] for item in queue["queue_running"]] == [body["prompt_id"]]
    assert [item[1] for item in queue["queue_pending"]] == [second]
    assert (await client.ask("GET", "/system_stats"))[0] == recording["system_stats_status"]
    assert (await client.ask("POST", "/interrupt"))[0] == recording["interrupt"]
    assert len((await client.get("/queue"))["queue_running"]) == len(recording["running_after_interrupt"])
    assert not listener.task.done()


async def test_fact_06_a_client_id_that_is_no_string_kills_the_process(client, recorded):
    recording = recorded("crash_client_id_not_a_string")
    listener = await client.listen()
    status, _ = await client.ask("POST", "/prompt", json=recording["submit"]["request"]["json"])
    assert status == recording["submit"]["response"]["status"]
    assert await listener.closed() == recording["ws_close"]["close_code"] == 1006
    assert client.simulator.is_alive is recording["process_alive"] is False


async def test_fact_07_after_a_lost_answer_the_prompt_is_in_the_queue_or_in_history(client, plain):
    client.simulator.faults.switch(drop_replies=1)
    with pytest.raises(Exception, match="disconnected"):
        await client.submit(plain(), prompt_id=UUID)
    assert (await client.ended(UUID))["status"]["completed"]


async def test_fact_08_history_is_empty_for_pending_running_deleted_and_unknown(client, plain, txt2img):
    running = await client.submit(txt2img(steps=500))
    pending, deleted = await client.submit(plain()), await client.submit(plain())
    await client.ask("POST", "/queue", json={"delete": [deleted]})
    await client.until(lambda queue: bool(queue["queue_running"]), "/queue")
    for prompt_id in (running, pending, deleted, "00000000-0000-0000-0000-000000000000"):
        assert await client.ask("GET", f"/history/{prompt_id}") == (200, {})
    queue = await client.get("/queue")
    assert ([i[1] for i in queue["queue_running"]], [i[1] for i in queue["queue_pending"]]) == ([running], [pending])
