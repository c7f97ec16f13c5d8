"""The whole platform as real processes under its supervisor, and what a test does with it from outside.

`running_stack` brings one up in a folder of its own; `Stack` is people and jobs through its gateway, its processes, and
its databases and bus behind the scenes.
"""

import asyncio
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import asyncpg
import httpx

from genonaut.contracts.streams import DURABLES, GENERATION_DRIVERS, REQUESTS
from genonaut.platform.bus import Bus
from genonaut.platform.provisioning import ensure_durable
from genonaut.stack import given
from genonaut.stack.local import PLATFORM, SECRETS, LocalStack, clone_root
from genonaut.stack.main_job import TERMINAL
from genonaut.stack.ports import free_port
from genonaut.testkit.simulators import Simulator
from genonaut.testkit.waiting import wait_until

T = TypeVar("T")
SEEDS = itertools.count(1)
OUTBOXES = ("content", "generation", "notifications")


@dataclass
class Stack:
    """The running platform, and what a test does with it."""

    local: LocalStack
    api: httpx.Client
    simulators: Sequence[Simulator] = ()
    """Those that a test started for it; a stack of its own simulator has none here."""

    @property
    def api_url(self) -> str:
        """Where the gateway listens."""
        return str(self.local.read()["urls"]["api"])

    # People and jobs, through the gateway

    def user(self, *, told: bool = True) -> str:
        name = f"u{uuid4().hex[:12]}"
        body = {"username": name, "email": f"{name}@example.org", "preferences": {"notifications_enabled": told}}
        return str(self.json("POST", "/api/v1/users", json=body)["id"])

    def submit(self, user_id: str, **parameters: Any) -> int:
        body = {
            "user_id": user_id,
            "job_type": "image_generation",
            "prompt": "a lighthouse by the sea",
            "width": 64,
            "height": 64,
            "sampler_params": {"steps": 10, "seed": next(SEEDS)},  # ComfyUI answers a repeated one from its cache
        }
        return int(self.json("POST", "/api/v1/generation-jobs", json=body | parameters)["id"])

    def job(self, job_id: int) -> dict[str, Any]:
        return self.json("GET", f"/api/v1/generation-jobs/{job_id}")

    def wait_for(self, job_id: int, *statuses: str, within: float = 60.0) -> dict[str, Any]:
        wanted = set(statuses or TERMINAL)
        last: list[Any] = [None]

        def look() -> dict[str, Any] | None:
            try:
                last[0] = job = self.job(job_id)
            except (httpx.TransportError, httpx.HTTPStatusError) as error:
                last[0] = error  # the gateway or generation is being restarted
                return None
            return job if job["status"] in wanted else None

        try:
            return wait_until(look, within=within)
        except AssertionError:
            raise AssertionError(f"job {job_id} is not {wanted} but {last[0]}") from None

    def published(self, job_id: int) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            job = self.job(job_id)
            return job if job["content_id"] else None

        return wait_until(look, reason=f"job {job_id} has no content: {self.job(job_id)}")

    def items(self, job_id: int) -> list[tuple[Any, ...]]:
        return self.sql("content", f"SELECT id, image_index FROM content_items_all WHERE job_id = {job_id} ORDER BY id")

    def notifications(self, user_id: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.json("GET", "/api/v1/notifications", params={"user_id": user_id})["items"]
        return found

    def events(self, job_id: int) -> list[str]:
        rows = self.sql("generation", f"SELECT type FROM events WHERE stream = 'job-{job_id}' ORDER BY version")
        return [row[0].removeprefix("generation.job.") for row in rows]

    def overview(self) -> dict[str, Any]:
        return self.json("GET", "/api/v1/analytics/generation/overview", params={"days": 1})

    def json(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        answer = self.api.request(method, path, **request)
        answer.raise_for_status()
        content: dict[str, Any] = answer.json()
        return content

    # Processes

    def pid(self, name: str) -> int | None:
        pid: int | None = self.local.read()["processes"][name].get("pid")
        return pid

    def is_ready(self, name: str, *, pid: int | None = None) -> bool:
        """As the supervisor last saw it; with `pid`, whether it is that very process."""
        seen = self.local.read()["processes"][name]
        return seen["state"] == "ready" and pid in {None, seen["pid"]}

    def kill(self, name: str) -> int:
        """SIGKILL; gives the pid that was."""
        pid = wait_until(lambda: self.pid(name), reason=f"{name} has no pid")
        os.kill(pid, signal.SIGKILL)
        return pid

    def wait_until_whole(self) -> None:
        """Every process runs and the gateway says that all is well."""

        def look() -> bool:
            try:
                return self.api.get("/api/v1/health").is_success
            except httpx.TransportError:
                return False

        wait_until(look, within=60, reason="the platform did not become whole again")

    # Behind the scenes

    def setting(self, service: str, name: str) -> str:
        lines = (self.local.state / "env" / f"{service}.env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)[name]

    def sql(self, service: str, query: str) -> list[tuple[Any, ...]]:
        """The rows of one query, as the owner of the service's schema."""

        async def run(connection: asyncpg.Connection) -> list[tuple[Any, ...]]:
            return [tuple(row) for row in await connection.fetch(query)]

        return self._on_database(service, run)

    def execute(self, service: str, statements: str) -> None:
        """Any number of statements in one transaction, as the owner of the service's schema."""
        self._on_database(service, lambda connection: connection.execute(statements))

    def _on_database(self, service: str, work: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        async def run() -> T:
            connection = await asyncpg.connect(
                self.setting(service, "DATABASE_ADMIN_URL"), server_settings={"search_path": service}
            )
            try:
                return await work(connection)
            finally:
                await connection.close()

        return asyncio.run(run())

    def settle(self, *, within: float = 30.0) -> None:
        """Returns when every event has left its outbox and been handled by all who follow it."""

        async def consumed(bus: Bus) -> bool:
            followed = [each for each in DURABLES if each.stream is not REQUESTS]  # every look is another request
            return all([await bus.is_caught_up(durable) for durable in followed])

        def settled() -> bool:
            empty = all(self.sql(service, "SELECT count(*) FROM outbox") == [(0,)] for service in OUTBOXES)
            return empty and self.on_bus(consumed)

        # Twice: what one consumer does may be another's work.
        wait_until(lambda: settled() and settled(), within=within, reason="the events are not all consumed")

    def on_bus(self, work: Callable[[Bus], Any]) -> Any:
        async def run() -> Any:
            bus = await Bus.connect(self.setting("generation", "NATS_URL"), name="e2e")
            try:
                return await work(bus)
            finally:
                await bus.close()

        return asyncio.run(run())

    def genonaut(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "genonaut.platform.cli", *arguments],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "GENONAUT_STATE": str(self.local.state), "COLUMNS": "200"},
            timeout=120,
        )


@contextmanager
def environment(**variables: str) -> Iterator[None]:
    before = dict(os.environ)
    servers = (*SECRETS, *(f"{name}_FILE" for name in SECRETS), *given.PARTS, *given.NAMES)
    for name in (*servers, "OBJECT_STORE_URL", "API_PORT"):
        os.environ.pop(name, None)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def running_stack(
    folder: Path,
    *,
    simulators: Sequence[Simulator] = (),
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    planner: str = PLATFORM,
    logs: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> Iterator[Stack]:
    """The platform with its state in `folder`, all ready; gone afterwards, but for its logs, which go to `logs`.

    `settings` goes over `deploy/config/base.json`, by section. `env` is what the processes see beside what they always
    see. Without `simulators` the stack runs one of its own.
    """
    root = clone_root()
    folder.chmod(0o755)  # the user of Postgres passes through
    config = json.loads((root / "deploy/config/base.json").read_text())
    for section, values in (settings or {}).items():
        config[section] = config.get(section, {}) | values
    (folder / "config.json").write_text(json.dumps(config))
    seen = dict(env or {})
    if simulators:
        seen["COMFYUI_URLS"] = ",".join(simulator.url for simulator in simulators)
    local = LocalStack(root, folder / "state", planner=planner)
    with environment(GENONAUT_CONFIG=str(folder / "config.json"), API_PORT=str(free_port()), **seen):
        try:
            running = local.up("test")
            with httpx.Client(base_url=running["urls"]["api"], timeout=20) as api:
                stack = Stack(local, api, simulators)
                stack.on_bus(_deliver_soon_again)
                yield stack
        finally:
            if logs and (local.state / "logs").exists():
                shutil.copytree(local.state / "logs", logs, dirs_exist_ok=True)
            local.reset()


async def _deliver_soon_again(bus: Bus) -> None:
    """What a killed service had in hand comes back after 4 s instead of 10: less to wait for, the same to survive."""
    for durable in DURABLES:
        if durable is not GENERATION_DRIVERS:  # whose work is long, and kept by a heartbeat
            await ensure_durable(bus.jetstream, replace(durable, ack_wait=timedelta(seconds=4)))
