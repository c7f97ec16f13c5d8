"""The kill matrix: a load on a whole platform, faults on everything it is made of, then the checker."""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from chaos.checker import FLOORS, Report, check
from chaos.faults import Fault, Faults
from chaos.links import Network
from chaos.load import Load, Promises, leave_marks
from chaos.planner import PLANNER, environment
from genonaut.contracts.streams import ANALYTICS_REQUESTS, DURABLES
from genonaut.stack.stackfile import StackFile
from genonaut.testkit.disks import small_disk
from genonaut.testkit.stacks import Stack, running_stack
from genonaut.testkit.waiting import wait_until

SETTINGS = {"generation": {"zombie-seconds": 5, "unreachable-seconds": 3, "lease-seconds": 3, "orphan-seconds": 8}}
SETTINGS["generation"]["sweep-seconds"] = 4
PATIENCE = 120.0
"""Seconds for each step of coming to rest."""
QUIET_SECONDS = 1.5
"""After the last request the gateway has told of it: it does so once a second."""
DISK_MB = 96

Say = Callable[[str], None]


@dataclass(frozen=True)
class Site:
    """A platform under test."""

    stack: Stack
    network: Network
    faults: Faults


@contextmanager
def platform_under_test(
    folder: Path, *, mutant: str = "", logs: Path | None = None, **generation: float
) -> Iterator[Site]:
    """With its connections led through links and, where this process may mount one, a small disk for the NATS store."""
    state = folder / "state"
    settings = {
        "generation": SETTINGS["generation"] | {key.replace("_", "-"): value for key, value in generation.items()}
    }

    def address(name: str) -> tuple[str, int]:
        return "127.0.0.1", StackFile(state).read()["ports"][name]

    with ExitStack() as opened:
        disk = opened.enter_context(small_disk(folder / "disk", megabytes=DISK_MB))
        if disk:
            disk.hold(state / "nats")
        network = opened.enter_context(Network.running(address))
        env = environment(network.ports, mutant=mutant)
        stack = opened.enter_context(running_stack(folder, settings=settings, planner=PLANNER, logs=logs, env=env))
        yield Site(stack, network, Faults(stack, network, disk=disk))


def run(
    site: Site,
    schedule: Sequence[Fault],
    *,
    load: Load,
    seconds: float,
    say: Say,
    patience: float = PATIENCE,
    floors: Mapping[str, int] = FLOORS,
) -> Report:
    """Loads the platform for so long while the faults happen, lets it come to rest, and checks it."""
    asyncio.run(_live_through(site, schedule, load, seconds, say))
    site.network.heal()
    unrest = come_to_rest(site, load.promises, say, patience=patience)
    say("checking")
    report = check(site.stack, load.promises, site.faults.planted, schedule, site.faults.deleted, floors=floors)
    if unrest:
        report.breaks("it comes to rest", unrest)
    for log in sorted(site.stack.local.state.glob("logs/*.log")):
        for line in log.read_text(errors="replace").splitlines():
            if '"http.crashed"' in line:
                say(f"{log.stem}: {line}")
    return report


async def _live_through(site: Site, schedule: Sequence[Fault], load: Load, seconds: float, say: Say) -> None:
    over = asyncio.Event()
    await load.register()
    started = time.monotonic()

    async def happen(fault: Fault) -> None:
        await asyncio.sleep(started + fault.at - time.monotonic())
        say(str(fault))
        await asyncio.to_thread(site.faults.do, fault)

    async def end() -> None:
        await asyncio.sleep(seconds)
        over.set()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(load.run(over))
        tasks.create_task(end())
        for fault in schedule:
            tasks.create_task(happen(fault))


def come_to_rest(site: Site, promises: Promises, say: Say, *, patience: float) -> str:
    """Empty when all runs again, every job has ended and every event is handled; else what never came about.

    Every durable gets some poison as soon as all runs: what was planted before may have gone with its stream, this not.
    Requests of its own then show whether they are still counted.
    """
    stack = site.stack
    started = time.monotonic()

    def is_whole() -> bool:
        try:
            return stack.api.get("/api/v1/health").is_success
        except httpx.TransportError:
            return False

    def unfinished() -> int:
        return int(stack.sql("generation", _UNFINISHED)[0][0])

    def counted() -> bool:
        return bool(stack.on_bus(lambda bus: bus.is_caught_up(ANALYTICS_REQUESTS)))

    say("healed; waiting until the platform is whole")
    try:
        wait_until(is_whole, within=patience, reason="the platform did not become whole again")
        for durable in DURABLES:
            site.faults.poison(durable)
        leave_marks(stack.api, promises)
        say(f"whole after {time.monotonic() - started:.1f} s; waiting for {unfinished()} jobs")
        wait_until(lambda: unfinished() == 0, within=patience, reason="some jobs never end, or are never published")
        stack.settle(within=patience)
        time.sleep(QUIET_SECONDS)
        wait_until(counted, within=patience, reason="some requests are never counted")
    except (AssertionError, httpx.TransportError) as never:
        return str(never) or repr(never)
    say(f"at rest after {time.monotonic() - started:.1f} s")
    return ""


_UNFINISHED = """
SELECT count(*) FROM generation_jobs WHERE status IN ('pending', 'running')
OR (status = 'completed' AND content_id IS NULL)
"""
