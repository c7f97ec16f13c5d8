"""What every process of the platform holds in memory: when nothing happens, and while much does.

    python tests/benchmarks/bench_memory.py [--jobs 200]

A whole stack, as `make up` starts it, in a folder of its own. Memory is PSS: what processes share is counted once, in
parts. Load is jobs that are asked for and run, with readers of the gallery beside them; each process is looked at four
times a second, and its most is shown.
"""

import argparse
import asyncio
import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
from harness import MB, require, show, table, until

from genonaut.stack.inspection import memory
from genonaut.stack.local import LocalStack
from genonaut.stack.ports import free_port

SUPERVISOR = "supervisor"
REST_SECONDS = 15.0
LOOK_SECONDS = 0.25
READERS = 4
CLIENTS = 8
CALLERS = ("DATABASE_URL", "NATS_URL", "REDIS_URL", "OBJECT_STORE_URL", "COMFYUI_URLS", "APP_ENV")


@contextlib.contextmanager
def stack() -> Iterator[dict[str, Any]]:
    """What `stack.json` says of a new one, which is forgotten afterwards."""
    for name in CALLERS:
        os.environ.pop(name, None)
    os.environ["API_PORT"] = str(free_port())
    with tempfile.TemporaryDirectory(prefix="genonaut-bench-") as folder:
        Path(folder).chmod(0o711)
        local = LocalStack(state=Path(folder) / "state")
        try:
            yield local.up("test")
        finally:
            local.reset()


def held_by(pids: dict[str, int]) -> dict[str, int]:
    return {name: memory(pid, children=name != SUPERVISOR) for name, pid in pids.items()}


async def work(api: aiohttp.ClientSession, jobs: int) -> None:
    """Returns when all jobs are completed. Raises RuntimeError when one ends in another way."""
    name = f"u{uuid4().hex[:12]}"
    async with api.post("/api/v1/users", json={"username": name, "email": f"{name}@example.org"}) as answer:
        user_id = (await answer.json())["id"]
    left, ended = iter(range(jobs)), 0

    async def client() -> None:
        nonlocal ended
        for number in left:
            size = {"width": 512, "height": 512, "sampler_params": {"steps": 2, "seed": number}}
            wish = {"user_id": user_id, "job_type": "image_generation", "prompt": "a lighthouse", **size}
            async with api.post("/api/v1/generation-jobs", json=wish) as answer:
                answer.raise_for_status()
                job_id = (await answer.json())["id"]

            async def is_over(job_id: int = job_id) -> bool:
                async with api.get(f"/api/v1/generation-jobs/{job_id}") as answer:
                    status = (await answer.json())["status"]
                require(status in {"pending", "running", "completed"}, f"a job is {status}")
                return status == "completed"

            await until(is_over, within=120, what=f"job {job_id} to end", every=0.2)
            ended += 1

    async def reader() -> None:
        while ended < jobs:
            async with api.get("/api/v1/content?page_size=50") as answer:
                await answer.read()

    await asyncio.gather(*(client() for _ in range(CLIENTS)), *(reader() for _ in range(READERS)))


async def observed(running: dict[str, Any], jobs: int) -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
    """Bytes of each process: idle, at most under load, and idle again."""
    processes = {name: each["pid"] for name, each in running["processes"].items() if each.get("pid")}
    pids = {SUPERVISOR: running["pid"], **processes}
    await asyncio.sleep(REST_SECONDS)
    idle, most = held_by(pids), held_by(pids)

    async def look() -> None:
        while True:
            for name, held in held_by(pids).items():
                most[name] = max(most[name], held)
            await asyncio.sleep(LOOK_SECONDS)

    looking = asyncio.create_task(look())
    async with aiohttp.ClientSession(running["urls"]["api"]) as api:
        await work(api, jobs)
    looking.cancel()
    await asyncio.sleep(REST_SECONDS)
    return idle, most, held_by(pids)


def bench(jobs: int) -> None:
    with stack() as running:
        idle, most, after = asyncio.run(observed(running, jobs))
    report = table(f"Memory in MB (PSS), load of {jobs} jobs of 512 x 512", "", "idle", "most under load", "15 s later")
    for name in idle:
        report.add_row(name, *(f"{held[name] / MB:.0f}" for held in (idle, most, after)))
    report.add_row("all", *(f"{sum(held.values()) / MB:.0f}" for held in (idle, most, after)))
    show(report, note="Aim: 600 MB idle. The most of all is the sum of each one's most, at whatever moment that was.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=200)
    bench(parser.parse_args().jobs)


if __name__ == "__main__":
    main()
