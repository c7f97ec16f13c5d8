"""How many generation jobs are accepted a second, and how many a driver brings to their end on instant servers.

    python tests/benchmarks/bench_jobs.py [--jobs 600] [--simulators 4]

First all jobs are asked for over HTTP, with nobody to run them; then a driver with four simulated servers runs them
all. Both talk to the service itself, without the gateway. The pictures are small and repeat, so that drawing them costs
little; every file is a new one all the same, and is verified, stored and synced with its thumbnails. The baseline of
finishing is the same servers with the least client that gets its pictures, which keeps nothing: no log, no lease, no
store. That of accepting is refusing as many.
"""

import argparse
import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import aiohttp
from harness import Cpu, Group, Servers, Several, ready, require, running, servers, show, table, until

from genonaut.contracts import Envelope
from genonaut.contracts.content import UserRegistered
from genonaut.contracts.generation import JobCompleted, JobFailed, JobRequested
from genonaut.contracts.streams import CONTENT, GENERATION, GENERATION_USERS
from genonaut.generation.comfyui.workflow import prompt_graph
from genonaut.platform.bus import Bus, Message
from genonaut.platform.clock import utc_now
from genonaut.stack.ports import free_port

WISH = {
    "job_type": "image_generation",
    "prompt": "a lighthouse at dusk",
    "width": 64,
    "height": 64,
    "batch_size": 1,
    "sampler_params": {"steps": 1, "seed": 7},
}
CHECKPOINT = "sd_xl_base_1.0.safetensors"
CLIENTS = 16
WARM = 64
"""Jobs before those that count: what is imported and connected for the first one is not the price of all."""


async def register(bus: Bus) -> UUID:
    """A user, of whom generation knows."""
    user_id = uuid4()
    event = UserRegistered(number=1, user_id=user_id, username="ada", email="ada@example.org")
    envelope = Envelope.of(
        event,
        id=uuid4(),
        source="genonaut/bench",
        subject=str(user_id),
        time=utc_now(),
        sequence=1,
        correlationid="bench",
    )
    message = Message(CONTENT.subject(event.type, str(user_id)), envelope.to_json(), str(envelope.id))
    await bus.publish(CONTENT.name, [message])
    await until(lambda: bus.is_caught_up(GENERATION_USERS), within=30, what="the user to be known")
    return user_id


async def ask(url: str, user_id: UUID, jobs: int, *, answered: int = 201, **changes: Any) -> float:
    """Seconds until all are answered, and all like this."""

    wish = {"user_id": str(user_id), **WISH, **changes}

    async def client(share: int) -> None:
        for _ in range(share):
            async with session.post(f"{url}/api/v1/generation-jobs", json=wish) as answer:
                require(answer.status == answered, await answer.text())

    async with aiohttp.ClientSession() as session:
        began = time.perf_counter()
        await asyncio.gather(*(client(jobs // CLIENTS) for _ in range(CLIENTS)))
        return time.perf_counter() - began


async def ended(bus: Bus, event: type[JobCompleted | JobFailed]) -> int:
    """How many jobs have ended like this, as the stream has it."""
    info = await bus.jetstream.stream_info(GENERATION.name, subjects_filter=GENERATION.filter(event.type))
    return len(info.state.subjects or {})


async def by_themselves(urls: Sequence[str], jobs: int) -> float:
    """Seconds that the servers take with the least client: submit, wait for history, fetch."""

    async def client(url: str, share: int) -> None:
        for _ in range(share):
            prompt_id = uuid4()
            job = JobRequested(job_id=1, user_id=prompt_id, checkpoint_model=CHECKPOINT, **WISH)
            graph = prompt_graph(job, prefix=f"genonaut/bench/{prompt_id}")
            async with session.post(f"{url}/prompt", json={"prompt": graph, "prompt_id": str(prompt_id)}) as answer:
                answer.raise_for_status()
            while True:
                async with session.get(f"{url}/history/{prompt_id}") as answer:
                    history = await answer.json()
                if history:
                    break
                await asyncio.sleep(0.002)
            (picture,) = history[str(prompt_id)]["outputs"]["9"]["images"]
            async with session.get(f"{url}/view", params=picture) as answer:
                await answer.read()

    async with aiohttp.ClientSession() as session:
        began = time.perf_counter()
        await asyncio.gather(*(client(url, jobs // len(urls)) for url in urls))
        return time.perf_counter() - began


@contextlib.asynccontextmanager
async def simulators(count: int, site: Servers) -> AsyncIterator[dict[str, Group]]:
    """Instant ones, by their URLs."""
    with contextlib.ExitStack() as stack:
        started = {}
        for number in range(count):
            port = free_port()
            options = ["--port", str(port), "--step-seconds", "0", "--output-dir", str(site.folder / f"gpu-{number}")]
            command = ["-m", "genonaut.comfyui_simulator", *options]
            started[f"http://127.0.0.1:{port}"] = stack.enter_context(running(command, {}, log=site.folder / "gpu.log"))
        for url in started:
            await ready(f"{url}/system_stats")
        yield started


@dataclass
class Found:
    """What one run measured. CPU is seconds by process."""

    jobs: int
    by_themselves: float
    """Seconds that the servers took with the least client."""
    refusing: float
    """Seconds to say of as many that their width is none: the same service, and nothing stored."""
    accepting: float
    accepted_cpu: Mapping[str, float]
    finished: int
    finishing: float
    finished_cpu: Mapping[str, float]

    def show(self, simulators: int) -> None:
        rates = table(f"{self.jobs} jobs of one picture, {simulators} instant servers", "", "jobs/s")
        rates.add_row("the servers with the least client", f"{self.jobs / self.by_themselves:.0f}")
        rates.add_row("refused, nothing stored", f"{self.jobs / self.refusing:.0f}")
        rates.add_row("accepted", f"{self.jobs / self.accepting:.0f}")
        rates.add_row("finished", f"{self.finished / self.finishing:.0f}")
        costs = table("CPU, ms for each job", "", "to accept it", "to finish it")
        for name, seconds in self.finished_cpu.items():
            accept = f"{self.accepted_cpu[name] / self.jobs * 1e3:.1f}" if name in self.accepted_cpu else ""
            costs.add_row(name, accept, f"{seconds / self.finished * 1e3:.1f}")
        all_accept, all_finish = sum(self.accepted_cpu.values()), sum(self.finished_cpu.values())
        costs.add_row("together", f"{all_accept / self.jobs * 1e3:.1f}", f"{all_finish / self.finished * 1e3:.1f}")
        most = (os.cpu_count() or 1) * self.finished / all_finish
        show(rates, costs, note=f"Aim: 150 finished/s. With this CPU for each, this machine could do {most:.0f}/s.")


async def bench(jobs: int, count: int, within: float) -> Found:
    async with servers() as site, simulators(count, site) as gpus, site.bus() as bus:
        baseline = await by_themselves(list(gpus), jobs)
        port, settings = free_port(), site.settings("generation")
        command = ["-m", "genonaut.generation"]
        with running([*command, "serve"], settings | {"API_PORT": str(port)}, log=site.folder / "serve.log") as api:
            url = f"http://127.0.0.1:{port}"
            await ready(f"{url}/ready")
            user_id = await register(bus)
            await ask(url, user_id, WARM)
            refusing = await ask(url, user_id, jobs, answered=422, width=0)
            cpu = Cpu({"generation": api, **site.processes()})
            accepting = await ask(url, user_id, jobs)
            accepted_cpu = cpu.spent()
            environment = settings | {"API_PORT": str(free_port()), "COMFYUI_URLS": ",".join(gpus)}
            with running([*command, "drive"], environment, log=site.folder / "drive.log") as driver:

                async def warm() -> bool:
                    return await ended(bus, JobCompleted) >= WARM

                async def all_ended() -> bool:
                    return await ended(bus, JobCompleted) + await ended(bus, JobFailed) >= jobs + WARM

                await until(warm, within=60, what="the first jobs to end", every=0.01)
                cpu = Cpu(
                    {"driver": driver, "generation": api, **site.processes(), "simulators": Several(gpus.values())}
                )
                began, first = time.perf_counter(), await ended(bus, JobCompleted)
                await until(all_ended, within=within, what="all jobs to end", every=0.1)
                finishing, finished_cpu = time.perf_counter() - began, cpu.spent()
                failed = await ended(bus, JobFailed)
                require(not failed, f"{failed} jobs failed")
    return Found(jobs, baseline, refusing, accepting, accepted_cpu, jobs + WARM - first, finishing, finished_cpu)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=600)
    parser.add_argument("--simulators", type=int, default=4)
    parser.add_argument("--within", type=float, default=180)
    options = parser.parse_args()
    jobs = options.jobs // CLIENTS * CLIENTS
    asyncio.run(bench(jobs, options.simulators, options.within)).show(options.simulators)


if __name__ == "__main__":
    main()
