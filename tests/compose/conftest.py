"""The platform in containers, as docker-compose.yml says, under a name and tag of its own beside whatever else runs."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from genonaut.stack.ports import free_port
from genonaut.testkit.docker import without_docker

ROOT = Path(__file__).parents[2]
PROJECT = "genonaut-compose-test"


@dataclass(frozen=True)
class Deployment:
    """The running containers, and what a test does with them."""

    url: str
    environment: dict[str, str]
    seconds_to_start: float

    def compose(self, *arguments: str, check: bool = True) -> str:
        """`docker compose …`; gives what it says. Raises AssertionError when it fails."""
        return run("docker", "compose", "-p", PROJECT, *arguments, env=self.environment, check=check)

    def up(self, *arguments: str) -> None:
        """Returns when everything is healthy."""
        self.compose("up", "--detach", "--wait", "--wait-timeout", "180", *arguments)

    def containers(self, *services: str) -> list[dict[str, Any]]:
        """What Docker knows of each container of these services, jobs that have ended among them; else of all."""
        ids = self.compose("ps", "--all", "--quiet", *services).split()
        found: list[dict[str, Any]] = json.loads(run("docker", "inspect", *ids))
        return sorted(found, key=lambda container: container["Name"])

    def service_of(self, container: dict[str, Any]) -> str:
        return str(container["Config"]["Labels"]["com.docker.compose.service"])

    def running(self) -> list[dict[str, Any]]:
        """The containers that are no jobs."""
        return [each for each in self.containers() if each["State"]["Running"]]

    def execute(self, container: dict[str, Any], *command: str, check: bool = True) -> str:
        return run("docker", "exec", container["Id"], *command, check=check)

    def docker(self, *arguments: str) -> str:
        """`docker …`; gives what it says. Raises AssertionError when it fails."""
        return run("docker", *arguments)

    def docker_logs(self, container: dict[str, Any]) -> str:
        """What it has said, on both of its outputs."""
        command = ["docker", "logs", container["Id"]]
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True).stdout

    def top(self, container: dict[str, Any]) -> list[str]:
        """The numeric user and the command of each of its processes."""
        return run("docker", "top", container["Id"], "-o", "uid,pid,args").splitlines()[1:]

    def items(self) -> list[int]:
        """The ids of the whole gallery."""
        answer = httpx.get(f"{self.url}/api/v1/content/unified", params={"page_size": 1000}, timeout=30)
        answer.raise_for_status()
        return sorted(item["id"] for item in answer.json()["items"])

    def smoke(self) -> str:
        """The main job. Raises AssertionError with what did not come true."""
        return run(sys.executable, "-m", "genonaut.platform.cli", "smoke", self.url)

    def wait_for_restart(self, container: dict[str, Any], restarts: int) -> None:
        """Returns when Docker has started it again and it is healthy. Raises AssertionError."""
        self._wait(container, lambda seen: seen["RestartCount"] > restarts and _healthy(seen))

    def wait_until_healthy(self, container: dict[str, Any]) -> None:
        self._wait(container, _healthy)

    def state(self, container: dict[str, Any]) -> dict[str, Any]:
        (seen,) = json.loads(run("docker", "inspect", container["Id"]))
        return dict(seen["State"])

    def _wait(self, container: dict[str, Any], is_so: Callable[[dict[str, Any]], bool]) -> None:
        deadline = time.monotonic() + 90
        while True:
            (seen,) = json.loads(run("docker", "inspect", container["Id"]))
            if is_so(seen):
                return
            assert time.monotonic() < deadline, f"{container['Name']} does not come back: {seen['State']}"
            time.sleep(0.2)


def _healthy(container: dict[str, Any]) -> bool:
    return container["State"]["Running"] and container["State"]["Health"]["Status"] == "healthy"


def run(*command: str, env: dict[str, str] | None = None, check: bool = True) -> str:
    ran = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **(env or {})}, capture_output=True, text=True, check=False, timeout=900
    )
    assert not check or ran.returncode == 0, f"{' '.join(command)}\n{ran.stdout[-4000:]}{ran.stderr[-4000:]}"
    return ran.stdout


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    mine = [item for item in items if Path(__file__).parent in item.path.parents]
    why = without_docker() if mine else ""
    for item in mine:
        item.add_marker(pytest.mark.timeout(1200))
        if why:
            item.add_marker(pytest.mark.skip(reason=why))


@pytest.fixture(scope="session")
def deployment() -> Iterator[Deployment]:
    port = str(free_port())
    environment = {"TAG": "compose-test", "API_PORT": port, "API_HOST": "127.0.0.1", "APP_ENV": "prod"}
    deployment = Deployment(f"http://127.0.0.1:{port}", environment, 0.0)
    deployment.compose("down", "--volumes", "--remove-orphans")  # of a run that was killed
    try:
        deployment.compose("build")
        started = time.monotonic()
        deployment.up()
        yield Deployment(deployment.url, environment, time.monotonic() - started)
    finally:
        logs = ROOT / ".genonaut" / "compose-logs"
        logs.mkdir(parents=True, exist_ok=True)
        (logs / "all.log").write_text(deployment.compose("logs", "--no-color", "--timestamps", check=False))
        deployment.compose("down", "--volumes", "--remove-orphans")
