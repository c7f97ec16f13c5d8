"""The gateway as its own process."""

import asyncio
import os
import signal
import sys
from typing import Any

import aiohttp
import pytest

from genonaut.testkit.waiting import eventually


def environment(port: int, upstream_url: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        "GENONAUT_CONFIG": os.devnull,
        "APP_ENV": "test",
        "API_HOST": "127.0.0.1",
        "API_PORT": str(port),
        "API_SECRET_KEY": "a test's secret key, long enough",
        "NATS_URL": "nats://127.0.0.1:9",
        **{f"{name}_URL": upstream_url for name in ("CONTENT", "GENERATION", "ANALYTICS", "NOTIFICATIONS")},
    }


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
async def test_it_starts_without_the_bus_and_ends_at_once_with_an_open_stream(
    upstream, reply, closed_port: int, tmp_path, signum: signal.Signals
) -> None:
    config = tmp_path / "base.json"
    config.write_text('{"common": {"log_level": "INFO"}, "gateway": {"capture-limit": 10}}')
    upstream.answers[""] = reply({"events": []})
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "genonaut.gateway", "serve"),
        env=environment(closed_port, upstream.url) | {"GENONAUT_CONFIG": str(config)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    url = f"http://127.0.0.1:{closed_port}"
    async with aiohttp.ClientSession() as client:

        async def answers() -> bool:
            try:
                async with client.get(f"{url}/ready") as response:
                    return response.status == 200
            except aiohttp.ClientError:
                return False

        await eventually(answers, within=30)
        async with client.get(f"{url}/api/v1/generation-jobs/7/events") as response:
            assert response.status == 200
            process.send_signal(signum)
            await asyncio.wait_for(response.content.read(), 5)
        output, _ = await asyncio.wait_for(process.communicate(), 10)
    lines = output.decode().splitlines()
    assert any('"service.stopping"' in line for line in lines), lines
    assert not any("Traceback" in line or "never retrieved" in line for line in lines), lines


async def test_a_setting_that_is_missing_is_named(closed_port: int) -> None:
    env: dict[str, Any] = environment(closed_port, "http://127.0.0.1:9")
    del env["CONTENT_URL"]
    env["GENERATION_URL"] = "not a url"
    code = "from genonaut.gateway.service import service; service.serve()"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, env=env | {"GENONAUT_CONFIG": ""}, cwd="/", stderr=asyncio.subprocess.PIPE
    )
    _, error = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode != 0
    assert b"CONTENT_URL: Field required. Where the content service answers." in error
    assert b"GENERATION_URL" in error
