"""The simulator as a process: it says where it is and what it is, dies when told, and keeps only its files."""

import asyncio
import signal
import sys
from contextlib import asynccontextmanager

import pytest

from genonaut.comfyui_simulator.process import serve

DEADLINE = 15


class Process:
    def __init__(self, process, url):
        self.process = process
        self.url = url


@asynccontextmanager
async def running(tmp_path, *options):
    command = ["-m", "genonaut.comfyui_simulator", "--port", "0", "--output-dir", str(tmp_path / "out"), *options]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        line = await asyncio.wait_for(process.stdout.readline(), DEADLINE)
        yield Process(process, line.decode().split()[-1])
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_a_process_draws_dies_at_a_step_and_keeps_its_files(tmp_path, client, txt2img, plain):
    async with running(tmp_path, "--step-seconds", "0.001") as first:
        client.simulator = first
        await client.run(plain(prefix="kept"))
        async with client.http.post(first.url + "/simulator/faults", json={"die_at_step": 2}) as answer:
            assert answer.status == 200
        listener = await client.listen("me")
        await client.submit(txt2img(steps=9), client_id="me")
        assert await listener.closed() == 1006
        assert await asyncio.wait_for(first.process.wait(), DEADLINE) == 137
        log = (await first.process.stderr.read()).decode()
    assert "simulator" in log
    assert "die_at_step=2" in log
    async with running(tmp_path) as second:
        client.simulator = second
        assert await client.get("/history") == {}
        assert (await client.ask("GET", "/view?filename=kept_00001_.png"))[0] == 200
        second.process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(second.process.wait(), DEADLINE) == -signal.SIGTERM


async def test_the_name_is_told_everywhere(client):
    async with client.http.get(client.simulator.url + "/") as answer:
        assert "simulator" in answer.headers["Server"]
        assert "This is not ComfyUI" in await answer.text()
    stats = await client.get("/system_stats")
    assert "simulator" in stats["system"]["comfyui_version"]
    assert "simulator" in stats["devices"][0]["name"]


async def test_a_fault_that_does_not_exist_is_refused_with_the_list(tmp_path):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "genonaut.comfyui_simulator", "--fault", "no_such", stderr=asyncio.subprocess.PIPE
    )
    _, stderr = await asyncio.wait_for(process.communicate(), DEADLINE)
    assert process.returncode == 2
    assert b"error_at_node" in stderr


async def test_a_taken_port_is_told(client, tmp_path):
    options = {"output_dir": str(tmp_path), "port": client.simulator.port}
    with pytest.raises(SystemExit, match=r"ComfyUI simulator: .*address already in use"):
        await asyncio.to_thread(serve, options)
