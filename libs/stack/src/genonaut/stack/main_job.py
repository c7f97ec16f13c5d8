"""The main job, step by step, through the gateway only. Every step says what it saw or raises MainJobError."""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx

T = TypeVar("T")

PROMPT = "a lighthouse by the sea at sunset, dreamy, travel poster"
STEP_SECONDS = 30.0
"""How long each step may take after the picture is made."""
WORKER_SECONDS = 10.0
JOB_SECONDS = 180.0
REBUILD_SECONDS = 300.0
ROUTE = "/api/v1/generation-jobs"
LONGEST = {"days": 90}
"""The longest look back there is: hours that leave a short one meanwhile would change the counts."""
TERMINAL = {"completed", "failed", "cancelled"}


class MainJobError(Exception):
    """What was promised did not come true; the message says what was seen instead."""


@dataclass(frozen=True)
class Progress:
    """A state of the job, or a step within it."""

    status: str
    fraction: float = 0.0
    node: str = ""
    step: int = 0
    steps: int = 0


@dataclass(frozen=True)
class Counts:
    """Of the generation rollup, and of the request rollup for the route that takes jobs."""

    requested: int
    made: int
    images: int
    served: int

    def since(self, before: "Counts") -> "Counts":
        return Counts(*(now - then for now, then in zip(vars(self).values(), vars(before).values(), strict=True)))


def person(api: httpx.Client, name: str, *, told: bool) -> str:
    """Their id; registered when they are new, and then with notifications if `told`. Raises httpx.HTTPStatusError."""
    answer = api.post(
        "/api/v1/users",
        json={
            "username": name,
            "email": f"{name}@example.org",
            "preferences": {"notifications_enabled": told},
        },
    )
    if answer.status_code != httpx.codes.CONFLICT:
        return str(answer.raise_for_status().json()["id"])
    found = api.get("/api/v1/users/search", params={"username": name}).raise_for_status().json()["items"]
    return str(next(user["id"] for user in found if user["username"] == name))


def wait_for_worker(api: httpx.Client) -> None:
    """Some ComfyUI takes jobs. Raises MainJobError."""
    deadline = time.monotonic() + WORKER_SECONDS
    while not _has_worker(api.get("/api/v1/health")):
        if time.monotonic() > deadline:
            urls = os.environ.get("COMFYUI_URLS")
            named = f"COMFYUI_URLS names {urls}: does anything answer there? " if urls else ""
            raise MainJobError(f"No ComfyUI takes jobs. {named}See .genonaut/logs/driver.log.")
        time.sleep(0.2)


def _has_worker(health: httpx.Response) -> bool:
    try:
        return bool(health.json()["workers"]["status"] == "healthy")
    except (ValueError, LookupError, TypeError):  # the gateway answers, but not yet with this
        return False


class MainJob:
    """One job of one user, followed to its last consequence."""

    def __init__(self, api: httpx.Client, user_id: str) -> None:
        self.api = api
        self.user_id = user_id
        self.job_id = 0

    def submit(self, **changes: Any) -> int:
        """The accepted job's id. `changes` go over what the demo asks for."""
        body = {
            "user_id": self.user_id,
            "job_type": "image_generation",
            "prompt": PROMPT,
            "title": "A lighthouse, made while you watched",
            "width": 512,
            "height": 768,
            "sampler_params": {"steps": 24},
            "tags": ["sea", "sunset", "dreamy", "poster"],
            **changes,
        }
        self.job_id = int(self.json("POST", ROUTE, json=body)["id"])
        return self.job_id

    def watch(self) -> Iterator[Progress]:
        """What the event stream says until the job has ended. Picks up where it was when the stream breaks."""
        deadline = time.monotonic() + JOB_SECONDS
        last_event_id = ""
        while time.monotonic() < deadline:
            headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
            path = f"{ROUTE}/{self.job_id}/events"
            try:
                with self.api.stream("GET", path, headers=headers, timeout=30) as stream:
                    _refuse_errors(stream)
                    for event_id, data in server_sent_events(_until(deadline, stream.iter_lines())):
                        last_event_id = event_id or last_event_id
                        if data.get("type") != "job":
                            continue
                        yield _progress(data)
                        if data["status"] in TERMINAL:
                            if data["status"] != "completed":
                                raise MainJobError(f"The job {data['status']}: {data.get('error') or data}")
                            return
            except httpx.TransportError:
                time.sleep(0.2)
        raise MainJobError(
            f"Job {self.job_id} did not end within {JOB_SECONDS:.0f} s. If COMFYUI_URLS names servers of yours, do they"
            " answer? See `make status` and .genonaut/logs/driver.log."
        )

    def published(self) -> dict[str, Any]:
        """The job, once the gallery has its picture."""
        path = f"{ROUTE}/{self.job_id}"
        return self._wait("its picture in the gallery", lambda: _if(self.json("GET", path), "content_id"))

    def picture(self, item_id: int, folder: Path) -> tuple[dict[str, Any], Path]:
        """The gallery item, and its picture saved in `folder`, checked against the hash that names it."""
        item = self.json("GET", f"/api/v1/content/{item_id}")
        owner = {"metadata": "keep", "user_id": item["creator_id"]}
        answer = self.api.get(f"/api/v1/images/{item['image']['sha256']}", params=owner)
        _refuse_errors(answer)
        found = hashlib.sha256(answer.content).hexdigest()
        if found != item["image"]["sha256"]:
            raise MainJobError(f"The image of item {item_id} has the hash {found}.")
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"job-{self.job_id}.png"
        path.write_bytes(answer.content)
        return item, path

    def notification(self) -> dict[str, Any]:
        """The one notification about the job."""

        def mine() -> list[dict[str, Any]]:
            query = {"user_id": self.user_id, "page_size": 50}
            listed = self.json("GET", "/api/v1/notifications", params=query)["items"]
            return [each for each in listed if each["related_job_id"] == self.job_id]

        found = self._wait("the notification", mine)
        if len(found) != 1:
            raise MainJobError(f"{len(found)} notifications for one job.")
        return found[0]

    def idle(self) -> None:
        """Nothing waits or runs: a job that an earlier demo left behind has ended, so that counts are only ours."""

        def active() -> int:
            path = f"{ROUTE}/by-status"
            return sum(int(self.json("GET", f"{path}/{status}")["total"]) for status in ("pending", "running"))

        self._wait("earlier jobs to end", lambda: active() == 0, within=JOB_SECONDS)

    def counts(self) -> Counts:
        """What the rollups have counted by now."""
        overview = self.json("GET", "/api/v1/analytics/generation/overview", params=LONGEST)
        trends = self.json("GET", "/api/v1/analytics/routes/performance-trends", params=LONGEST | {"route": ROUTE})
        return Counts(
            overview["total_requests"],
            overview["successful_generations"],
            overview["total_images_generated"],
            sum(hour["total_requests"] for hour in trends["trends"]),
        )

    def counted(self, before: Counts) -> Counts:
        """How much they have counted since `before`, once our job and its request are in it."""

        def since() -> Counts | None:
            grown = self.counts().since(before)
            return grown if min(vars(grown).values()) > 0 else None

        return self._wait("the rollups to count the job and its request", since)

    def rebuild(self, root: Path) -> list[dict[str, Any]]:
        """Every projection of every service rebuilt from its history and compared. Raises when one differs."""
        try:
            ran = subprocess.run(
                [sys.executable, "-m", "genonaut.platform.cli", "replay", "rebuild", "--all", "--json"],
                cwd=root,
                capture_output=True,
                text=True,
                check=False,
                timeout=REBUILD_SECONDS,
            )
        except subprocess.TimeoutExpired:
            raise MainJobError(f"The rebuild did not end within {REBUILD_SECONDS:.0f} s.") from None
        try:
            reports: list[dict[str, Any]] = json.loads(ran.stdout)
        except ValueError:
            raise MainJobError(f"The rebuild failed:\n{ran.stdout}{ran.stderr}") from None
        different = [report["projection"] for report in reports if not report["equal"]]
        if different or ran.returncode:
            raise MainJobError(f"Rebuilt and live differ: {', '.join(different)}\n{ran.stdout}")
        return reports

    def json(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        """The body of a good answer. Raises MainJobError for another one."""
        answer = self.api.request(method, path, **request)
        _refuse_errors(answer)
        body: dict[str, Any] = answer.json()
        return body

    def _wait(self, what: str, look: Callable[[], T | None], *, within: float = STEP_SECONDS) -> T:
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            if seen := look():
                return seen
            time.sleep(0.1)
        raise MainJobError(f"Waited {within:.0f} s for {what} in vain. See `make status` and .genonaut/logs/.")


def _refuse_errors(answer: httpx.Response) -> None:
    """Raises MainJobError with what an answer says that is no good one, a streamed one too."""
    if answer.is_error:
        answer.read()
        asked = answer.request
        raise MainJobError(f"{asked.method} {asked.url.path} answered {answer.status_code}: {answer.text[:500]}")


def _until(deadline: float, lines: Iterator[str]) -> Iterator[str]:
    """The lines as they come; a stream that is only kept alive ends at the deadline."""
    for line in lines:
        if time.monotonic() > deadline:
            return
        yield line


def server_sent_events(lines: Iterator[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Id (or empty) and data of each event."""
    event_id, data = "", ""
    for line in lines:
        if not line:
            if data:
                yield event_id, json.loads(data)
            event_id, data = "", ""
        elif line.startswith("id:"):
            event_id = line[3:].strip()
        elif line.startswith("data:"):
            data += line[5:].strip()


def _if(body: dict[str, Any], field: str) -> dict[str, Any] | None:
    return body if body[field] else None


def _progress(message: dict[str, Any]) -> Progress:
    detail = message.get("progress") or {}
    return Progress(
        status=message["status"],
        fraction=1.0 if message["status"] == "completed" else detail.get("fraction", 0.0),
        node=detail.get("node") or "",
        step=detail.get("step", 0),
        steps=detail.get("steps", 0),
    )
