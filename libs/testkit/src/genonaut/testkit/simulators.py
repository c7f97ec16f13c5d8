"""ComfyUI simulators as processes of their own, for tests that end and restart them."""

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from genonaut.stack.ports import free_port
from genonaut.testkit.waiting import wait_until


@dataclass
class Simulator:
    """A ComfyUI simulator process that comes back on the same port."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        arguments = ["--port", str(self.port), "--output-dir", str(self.folder), "--step-seconds", "0.02"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "genonaut.comfyui_simulator", *arguments], stdout=log, stderr=log
            )
        wait_until(self.answers, reason=f"the simulator at {self.url} did not start")

    def answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/system_stats", timeout=2).is_success
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def faults(self, **faults: object) -> None:
        httpx.post(f"{self.url}/simulator/faults", json=faults).raise_for_status()

    def queue(self) -> dict[str, Any]:
        queue: dict[str, Any] = httpx.get(f"{self.url}/queue").json()
        return queue
