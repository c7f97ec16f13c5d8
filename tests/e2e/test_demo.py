"""The README's first command, as a newcomer runs it, with a stack of its own and fewer pictures."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.parse
from pathlib import Path

import httpx
import pytest

from genonaut.stack.demo.gallery import PEOPLE
from genonaut.stack.local import LocalStack

ROOT = Path(__file__).parents[2]


COMMAND = [sys.executable, "-m", "genonaut.platform.cli", "demo", "--pictures", "6"]


def environment(state: Path) -> dict[str, str]:
    known = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
    return {**known, "GENONAUT_STATE": str(state), "COLUMNS": "80"}


def demo(state: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """`make demo` after its setup."""
    env = environment(state) | variables
    return subprocess.run(COMMAND, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=110)


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("demo")
    folder.chmod(0o755)
    yield folder / "state"
    LocalStack(ROOT, folder / "state").reset()


def test_all_of_it_comes_true_twice(state: Path) -> None:
    first = demo(state)
    assert (first.returncode, first.stderr) == (0, ""), first.stdout
    told = [line for line in first.stdout.splitlines() if line.startswith("✓")]
    for line, part in zip(
        told,
        [
            "five services, a driver and a ComfyUI are up",
            "A gallery of 6 pictures by 3 people",
            "Job 1 is accepted",
            "The image is made",
            "The gallery has it as item 7, 512 x 768",
            "demo is told, once",
            "The generation rollup counts it: 1 requested, 1 made, 1 images",
            "The request rollup counts it: 1 times POST or GET /api/v1/generation-jobs",
            "Every projection, rebuilt from its history, equals the live tables",
        ],
        strict=True,
    ):
        assert part in line
    urls = re.findall(r"^  \w+ +(http://\S+)$", first.stdout, re.MULTILINE)
    assert [urllib.parse.urlsplit(url).path[:15] for url in urls] == ["/api/v1/images/", "", "/docs", "/api/v1/health"]
    assert [httpx.get(url).status_code for url in urls] == [200] * 4
    assert (state / "demo/job-1.png").stat().st_size > 10_000

    second = demo(state)
    assert (second.returncode, second.stderr) == (0, ""), second.stdout
    assert "Job 2 is accepted" in second.stdout
    assert "The gallery has it as item 8" in second.stdout


def test_it_comes_true_after_everything_was_killed_in_the_middle_of_a_job(state: Path) -> None:
    with subprocess.Popen(COMMAND, cwd=ROOT, env=environment(state), stdout=subprocess.PIPE, text=True) as killed:
        for line in killed.stdout:
            if "Job 3 is accepted" in line:
                break
        running = json.loads((state / "stack.json").read_text())
        killed.kill()
    pids = [running["pid"], *(process["pid"] for process in running["processes"].values())]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)

    again = demo(state)

    assert (again.returncode, again.stderr) == (0, ""), again.stdout
    assert "The generation rollup counts it" in again.stdout  # and perhaps the job that was in the middle


def test_what_does_not_come_true_is_said_and_is_no_success(state: Path, spare_simulator) -> None:
    """With a ComfyUI of its owner's choice, whose sampler fails."""
    LocalStack(ROOT, state).down()
    spare_simulator.faults(error_at_node="KSampler")

    failed = demo(state, COMFYUI_URLS=spare_simulator.url)

    assert failed.returncode == 1, failed.stdout
    assert "is accepted" in failed.stdout
    assert "✗ The job failed: KSampler failed" in failed.stdout
    assert "Traceback" not in failed.stdout + failed.stderr


def test_without_any_comfyui_it_says_so_soon(state: Path) -> None:
    """Though it runs already, with the ComfyUI of the test before."""
    failed = demo(state, COMFYUI_URLS="http://127.0.0.1:9")

    assert failed.returncode == 1, failed.stdout
    assert "✗ No ComfyUI takes jobs. COMFYUI_URLS names http://127.0.0.1:9" in failed.stdout
    assert "✓" not in failed.stdout


def test_the_readme_asks_for_users_that_the_demo_does_not_have() -> None:
    readme = (ROOT / "README.md").read_text()
    names = re.findall(r'"username": "(\w+)"', readme)
    assert names
    assert not set(names) & set(PEOPLE)
