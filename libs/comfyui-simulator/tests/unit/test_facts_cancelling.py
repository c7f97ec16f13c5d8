"""Facts 18 to 27: cancelling, crashes, and the rest. The numbers are those of this package's README."""

import asyncio

import pytest

from genonaut.comfyui_simulator import Simulator


async def test_fact_18_cancelling_is_always_an_empty_200(client, recorded, plain):
    recording = recorded("interrupt_edge_cases")
    assert await client.ask("POST", "/interrupt") == (200, recording["idle_interrupt"]["response"]["body"])
    after_idle = await client.run(plain())
    assert after_idle["status"]["status_str"] == recording["next_run_after_idle_interrupt"] == "success"
    for body in ({"delete": ["nope"]}, {"clear": True}, {}):
        assert await client.ask("POST", "/queue", json=body) == (200, "")


async def test_fact_18_an_interrupt_with_an_id_stops_only_that_running_prompt(client, plain, txt2img):
    running = await client.submit(txt2img(steps=40))
    pending = await client.submit(plain())
    await client.until(lambda queue: bool(queue["queue_running"]), "/queue")
    for prompt_id in (pending, "nope"):
        assert await client.ask("POST", "/interrupt", json={"prompt_id": prompt_id}) == (200, "")
    assert (await client.ended(running))["status"]["completed"]
    assert (await client.ended(pending))["status"]["completed"]


async def test_fact_18_a_malformed_interrupt_is_a_global_one(client, recorded, txt2img):
    recording = recorded("interrupt_edge_cases")
    running = await client.submit(txt2img(steps=500))
    await client.until(lambda queue: bool(queue["queue_running"]), "/queue")
    answer = await client.ask("POST", "/interrupt", data=recording["interrupt_malformed_body"]["request"]["raw"])
    assert answer == (200, "")
    last, expected = (await client.ended(running))["status"]["messages"][-1], recording["p1_status"]["messages"][-1]
    assert last[0] == expected[0]
    assert last[1].keys() == expected[1].keys()


async def test_fact_19_delete_then_interrupt_until_gone_cancels_a_prompt_wherever_it_is(client, txt2img):
    for delay in (0, 0, 0.01, 0.02):
        prompt_id = await client.submit(txt2img(steps=500))
        await asyncio.sleep(delay)
        async with asyncio.timeout(5):
            while (await client.get("/prompt"))["exec_info"]["queue_remaining"]:
                await client.ask("POST", "/queue", json={"delete": [prompt_id]})
                await client.ask("POST", "/interrupt", json={"prompt_id": prompt_id})
        history = await client.get(f"/history/{prompt_id}")
        assert not history or history[prompt_id]["status"]["messages"][-1][0] == "execution_interrupted"


async def test_fact_20_an_interrupt_is_seen_at_the_next_step(client, txt2img):
    listener = await client.listen("me")
    prompt_id = await client.submit(txt2img(steps=500), client_id="me")
    await listener.event("progress", 3)
    before = len(listener.events("progress"))
    await client.ask("POST", "/interrupt", json={"prompt_id": prompt_id})
    await listener.event("execution_interrupted")
    assert before <= len(listener.events("progress")) < 500


async def test_fact_21_a_crash_forgets_everything_but_the_files(client, recorded, plain, txt2img):
    after = recorded("server_SIGKILL_midrun_and_restart")["after_restart"]
    done = await client.submit(plain(prefix="kept"))
    await client.ended(done)
    await client.submit(txt2img(steps=500))
    pending = await client.submit(plain())
    listener = await client.listen("me")
    client.simulator.crash()
    assert await listener.closed() == 1006
    with pytest.raises(Exception, match="Cannot connect"):
        await client.get("/queue")
    await client.simulator.restart()
    assert await client.get("/queue") == after["queue"]
    assert await client.get("/history") == after["history_all"]
    assert await client.get("/prompt") == after["prompt"]
    view = "/view?filename=kept_00001_.png&type=output"
    assert (await client.ask("GET", view))[0] == after["finished_file_still_viewable"]
    assert await client.get(f"/history/{pending}") == {}
    _, body = await client.ask("POST", "/prompt", json={"prompt": plain()})
    assert body["number"] == after["number_restarts_at"]


async def test_fact_22_a_zombie_accepts_everything_and_runs_nothing(client, plain):
    client.simulator.faults.switch(zombie=True)
    first, second = await client.submit(plain()), await client.submit(plain(color=1))
    queue = await client.until(lambda queue: bool(queue["queue_running"]), "/queue")
    assert [item[1] for item in queue["queue_running"]] == [first]
    listener = await client.listen("me")
    assert (await client.ask("GET", "/system_stats"))[0] == 200
    await client.ask("POST", "/interrupt")
    third = await client.submit(plain(color=2))
    await listener.event("status", 2)
    queue = await client.get("/queue")
    assert [item[1] for item in queue["queue_running"]] == [first]
    assert [item[1] for item in queue["queue_pending"]] == [second, third]
    await client.simulator.restart()
    assert (await client.run(plain()))["status"]["completed"]


async def test_fact_23_one_prompt_runs_at_a_time(client, txt2img):
    for seed in range(3):
        await client.submit(txt2img(seed=seed, steps=500))
    queue = await client.until(lambda queue: bool(queue["queue_running"]), "/queue")
    assert (len(queue["queue_running"]), len(queue["queue_pending"])) == (1, 2)


async def test_fact_26_there_are_no_passwords_and_every_route_is_under_api_too(client, plain):
    status, body = await client.ask("POST", "/api/prompt", json={"prompt": plain()})
    assert status == 200
    entry = await client.ended(body["prompt_id"])
    assert (await client.get(f"/api/history/{body['prompt_id']}"))[body["prompt_id"]] == entry
    for path in ("prompt", "queue", "features", "models", "object_info/KSampler", "system_stats"):
        assert (await client.get(f"/api/{path}")).__class__ is (await client.get(f"/{path}")).__class__
    assert (await client.ask("GET", "/api/jobs"))[0] == 404


async def test_fact_27_a_new_model_file_is_offered_without_a_restart(tmp_path, http, client, txt2img):
    folder = tmp_path / "models" / "checkpoints" / "mine"
    async with Simulator(tmp_path / "other", step_seconds=0, models_dir=tmp_path / "models") as simulator:
        client.simulator = simulator
        prompt = txt2img()
        prompt["4"]["inputs"]["ckpt_name"] = "mine/new.safetensors"
        assert (await client.ask("POST", "/prompt", json={"prompt": prompt}))[0] == 400
        folder.mkdir(parents=True)
        (folder / "new.safetensors").touch()
        assert "mine/new.safetensors" in await client.get("/models/checkpoints")
        definition = (await client.get("/object_info/CheckpointLoaderSimple"))["CheckpointLoaderSimple"]
        assert "mine/new.safetensors" in definition["input"]["required"]["ckpt_name"][0]
        assert (await client.run(prompt))["status"]["completed"]
        assert await client.get("/object_info/NoSuchNode") == {}
