"""Every fault happens when it was asked for, as often as it was asked for, and not otherwise."""

import pytest
from PIL import Image

from genonaut.comfyui_simulator.faults import KINDS, Faults, parsed


async def last_message(client, prompt):
    return (await client.run(prompt))["status"]["messages"][-1]


async def test_error_at_a_node_by_class_counts_down(client, txt2img):
    client.simulator.faults.switch(error_at_node="KSampler", times=2)
    ends = [(await last_message(client, txt2img(seed=seed)))[0] for seed in range(3)]
    assert ends == ["execution_error", "execution_error", "execution_success"]
    assert client.simulator.faults.as_json()["fired"] == {"error_at_node": 2}


async def test_error_at_a_node_by_id(client, plain):
    client.simulator.faults.switch(error_at_node="2")
    event, data = await last_message(client, plain())
    assert (event, data["node_id"], data["exception_type"]) == ("execution_error", "2", "RuntimeError")
    client.simulator.faults.switch(error_at_node=None)
    assert (await last_message(client, plain()))[0] == "execution_success"


async def test_out_of_memory_reads_like_the_real_one(client, txt2img):
    client.simulator.faults.switch(out_of_memory=True, times=1)
    _, data = await last_message(client, txt2img())
    assert data["exception_type"] == "torch.OutOfMemoryError"
    assert data["exception_message"].startswith("Allocation on device ")
    assert "ran out of memory on your GPU" in data["exception_message"]
    assert data["node_type"] == "KSampler"
    assert (await last_message(client, txt2img()))[0] == "execution_success"


@pytest.mark.parametrize("step", [0, 2])
async def test_death_at_a_step(client, txt2img, step):
    client.simulator.faults.switch(die_at_step=step)
    listener = await client.listen("me")
    await client.submit(txt2img(steps=500), client_id="me")
    assert await listener.closed() == 1006
    assert len(listener.events("progress")) <= step
    assert not client.simulator.is_alive
    await client.simulator.restart()
    assert (await last_message(client, txt2img()))[0] == "execution_success"


async def test_a_dropped_socket_does_not_stop_the_prompt(client, txt2img):
    client.simulator.faults.switch(drop_socket_at_step=2, times=1)
    mine, other = await client.listen("me"), await client.listen("other")
    prompt_id = await client.submit(txt2img(steps=5), client_id="me")
    assert await mine.closed() == 1006
    assert len(mine.events("progress")) <= 2
    assert (await client.ended(prompt_id))["status"]["completed"]
    assert not other.task.done()


async def test_lost_prompts_are_nowhere(client, plain):
    client.simulator.faults.switch(lose_prompts=2)
    lost = [await client.submit(plain(color=color)) for color in range(2)]
    assert (await client.run(plain(color=3)))["status"]["completed"]
    assert (await client.get("/prompt"))["exec_info"]["queue_remaining"] == 0
    for prompt_id in lost:
        assert await client.get(f"/history/{prompt_id}") == {}


async def test_slow_steps(client, txt2img):
    client.simulator.faults.switch(step_seconds=0.06)
    messages = (await client.run(txt2img(steps=4)))["status"]["messages"]
    assert messages[-1][1]["timestamp"] - messages[0][1]["timestamp"] >= 4 * 60
    client.simulator.faults.clear()
    await client.run(txt2img(seed=9))
    assert client.simulator.faults.as_json()["fired"] == {"step_seconds": 1}


async def test_corrupt_files_end_in_the_middle(client, txt2img):
    client.simulator.faults.switch(corrupt_files=1)
    names = []
    for prefix in ("cut", "whole"):
        entry = await client.run(txt2img(prefix=prefix))
        assert entry["status"]["completed"]
        names.append(client.simulator.output_dir / entry["outputs"]["9"]["images"][0]["filename"])
    with Image.open(names[0]) as picture, pytest.raises(OSError, match="truncated"):
        picture.load()
    with Image.open(names[1]) as picture:
        picture.load()


async def test_faults_are_switched_over_http(client, plain):
    path = "/simulator/faults"
    status, state = await client.ask("POST", path, json={"error_at_node": "SaveImage", "times": 1})
    assert status == 200
    assert state["on"] == {"error_at_node": {"value": "SaveImage", "times": 1}}
    assert (await last_message(client, plain()))[0] == "execution_error"
    state = await client.get(path)
    assert (state["on"], state["fired"]) == ({}, {"error_at_node": 1})
    assert state["known"].keys() == KINDS.keys()
    await client.ask("POST", path, json={"zombie": True, "step_seconds": 0.5})
    _, state = await client.ask("POST", path, json={"zombie": False})
    assert list(state["on"]) == ["step_seconds"]
    assert (await client.ask("DELETE", path))[1]["on"] == {}


@pytest.mark.parametrize(
    "body",
    [
        "{", "[]", '{"no_such_fault": 1}', '{"die_at_step": "five"}', '{"die_at_step": true}', '{"zombie": 1}',
        '{"step_seconds": -1}', '{"zombie": true, "times": 0}', '{"out_of_memory": true, "die_at_step": "x"}',
    ],
)  # fmt: skip
async def test_nonsense_switches_nothing(client, body):
    status, answer = await client.ask("POST", "/simulator/faults", data=body)
    assert status == 400
    assert answer["error"]
    assert (await client.get("/simulator/faults"))["on"] == {}


def test_a_restart_brings_back_the_faults_of_the_start():
    faults = Faults({"die_at_step": 3})
    faults.switch(zombie=True)
    assert faults.fire("zombie")
    faults.reset()
    assert faults.as_json()["on"] == {"die_at_step": {"value": 3, "times": None}}
    assert faults.as_json()["fired"] == {}


def test_faults_are_read_from_the_command_line():
    texts = ["zombie", "die_at_step=5", "step_seconds=0.5", "error_at_node=KSampler", "out_of_memory=false"]
    assert parsed(texts) == {
        "zombie": True, "die_at_step": 5, "step_seconds": 0.5, "error_at_node": "KSampler", "out_of_memory": False,
    }  # fmt: skip
    for nonsense in ("no_such=1", "die_at_step", "step_seconds=slow"):
        with pytest.raises(ValueError, match=r"\w"):
            parsed([nonsense])
