"""Facts 9 to 17: how an end and the way to it are told. The numbers are those of this package's README."""

import json
import struct

from genonaut.comfyui_simulator import Simulator
from genonaut.comfyui_simulator.execution import Outcome
from genonaut.comfyui_simulator.prompt_queue import PromptQueue


async def test_fact_09_error_and_interruption_differ_only_in_the_last_message(client, txt2img):
    client.simulator.faults.switch(error_at_node="VAEDecode", times=1)
    failed = await client.run(txt2img(seed=1))
    prompt_id = await client.submit(txt2img(seed=2, steps=500), client_id="me")
    await client.until(lambda queue: bool(queue["queue_running"]), "/queue")
    await client.ask("POST", "/interrupt")
    stopped = await client.ended(prompt_id)
    for entry in (failed, stopped):
        assert (entry["status"]["status_str"], entry["status"]["completed"]) == ("error", False)
    assert failed["status"]["messages"][-1][0] == "execution_error"
    assert stopped["status"]["messages"][-1][0] == "execution_interrupted"


async def test_fact_09_a_failed_prompt_lists_the_outputs_that_were_finished(client, recorded):
    recording = recorded("ws_error_with_partial_outputs")
    prompt = next(iter(recording["history"]["response"]["body"].values()))["prompt"][2]
    entry = await client.run(prompt)
    assert list(entry["outputs"]) == ["21"]
    assert not entry["status"]["completed"]


async def test_fact_10_success_is_told_before_history_is_written(client, plain):
    client.simulator.faults.switch(history_delay=0.5, times=1)
    listener = await client.listen("me")
    prompt_id = await client.submit(plain(), client_id="me")
    await listener.event("execution_success")
    assert await client.get(f"/history/{prompt_id}") == {}
    await listener.end_of(prompt_id)
    assert (await client.get(f"/history/{prompt_id}"))[prompt_id]["status"]["completed"]


async def test_fact_11_history_keeps_about_ten_thousand_entries():
    queue = PromptQueue(lambda: None)
    for number in range(10_050):
        queue.put((number, f"id-{number}", {}, {}, []))
        queue.finish(await queue.take(), Outcome({}, {}, {}))
    assert len(json.loads(queue.history())) == 10_001
    assert queue.history_of("id-0") == "{}"
    assert queue.history_of("id-10049") != "{}"


async def test_fact_12_an_identical_prompt_succeeds_with_the_first_file_even_when_it_is_gone(client, recorded, plain):
    recording = recorded("cached_output_file_deleted")
    first = await client.run(plain(prefix="cachedel"))
    assert first["outputs"] == recording["first"]
    (client.simulator.output_dir / "cachedel_00001_.png").unlink()
    second = await client.run(plain(prefix="cachedel"))
    assert second["status"]["status_str"] == recording["second_status"]
    assert second["outputs"] == recording["second_outputs"]
    assert second["status"]["messages"][1][1]["nodes"] == recording["second_messages"][1][1]["nodes"]
    view = "/view?filename=cachedel_00001_.png&type=output"
    assert (await client.ask("GET", view))[0] == recording["view_status"] == 404
    other = await client.run(plain(prefix="cachedel_job2"))
    assert other["outputs"] == recording["same_graph_with_new_prefix"]["outputs"]
    assert other["status"]["messages"][1][1]["nodes"] == recording["same_graph_with_new_prefix"]["cached_nodes"]
    assert await client.ask("POST", "/free", json={"unload_models": True, "free_memory": True}) == (200, "")
    again = await client.run(plain(prefix="cachedel"))
    assert again["outputs"] == recording["after_free_memory_cache_is_dropped"]["outputs"]
    assert again["status"]["messages"][1][1]["nodes"] == recording["after_free_memory_cache_is_dropped"]["cached"]
    assert (await client.ask("POST", "/free", data=""))[0] == recording["free_bad_body"]["response"]["status"]


async def test_fact_13_after_a_reconnect_executing_comes_without_a_prompt_id(client, txt2img):
    first = await client.listen("me")
    prompt_id = await client.submit(txt2img(steps=500), client_id="me")
    await first.event("progress")
    await first.socket.close()
    await first.closed()
    again = await client.listen("me")
    await again.event("progress")
    assert [m["type"] for m in again.received[:2]] == ["status", "executing"]
    assert again.received[1]["data"] == {"node": "3"}
    assert again.events("execution_start") == []
    assert prompt_id in json.dumps(again.events("progress"))


async def test_fact_14_events_go_to_the_submitter_only(client, plain):
    mine, other, anonymous = await client.listen("me"), await client.listen("other"), await client.listen()
    prompt_id = await client.submit(plain(), client_id="me")
    await mine.end_of(prompt_id)
    for observer in (other, anonymous):
        await observer.event("status", 4)
        assert {m["type"] for m in observer.received} == {"status"}


async def test_fact_14_without_a_client_id_everybody_hears_progress_and_nobody_the_end(client, txt2img):
    observer = await client.listen("other", features={"supports_preview_metadata": True})
    await client.run(txt2img(steps=3))
    await observer.event("status", 4)
    previews = [m for m in observer.received if isinstance(m, bytes)]
    assert {m["type"] for m in observer.received if isinstance(m, dict)} == {
        "status", "feature_flags", "progress_state", "progress",
    }  # fmt: skip
    assert [struct.unpack(">I", m[:4])[0] for m in previews] == [1, 1, 1]


async def test_fact_14_an_interruption_without_a_client_id_is_told_to_all(client, txt2img):
    observer = await client.listen("other")
    await client.submit(txt2img(steps=500))
    await observer.event("progress")
    await client.ask("POST", "/interrupt")
    assert (await observer.event("execution_interrupted"))["node_type"] == "KSampler"


async def test_fact_15_closing_the_old_socket_silences_the_new_one_of_the_same_id(client, plain):
    old = await client.listen("me")
    new = await client.listen("me")
    await old.socket.close()
    await old.closed()
    await client.run(plain(), client_id="me")
    assert [m["type"] for m in new.received] == ["status"]
    assert not new.socket.closed


async def test_fact_15_while_both_are_open_only_the_newer_socket_hears(client, plain):
    old, new = await client.listen("me"), await client.listen("me")
    prompt_id = await client.submit(plain(), client_id="me")
    await new.end_of(prompt_id)
    assert [m["type"] for m in old.received] == ["status"]


async def test_fact_16_the_server_answers_pings_and_sends_none(client):
    socket = await client.http.ws_connect(client.simulator.url + "/ws?clientId=me", autoping=False)
    assert (await socket.receive()).type.name == "TEXT"
    await socket.ping(b"there?")
    answer = await socket.receive()
    assert (answer.type.name, answer.data) == ("PONG", b"there?")
    await socket.close()


async def test_fact_17_previews_can_be_off(tmp_path, http, client, txt2img):
    async with Simulator(tmp_path / "other", step_seconds=0.001, previews=False) as quiet:
        client.simulator = quiet
        listener = await client.listen("me")
        prompt_id = await client.submit(txt2img(steps=3), client_id="me")
        await listener.end_of(prompt_id)
        assert [m for m in listener.received if isinstance(m, bytes)] == []
        assert len(listener.events("progress")) == 3
        await client.close()
