"""`genonaut smoke`: the platform's main job, once, over HTTP, against whatever runs."""

import io
import os
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any
from uuid import uuid4

import httpx
import typer
from rich.console import Console

from genonaut.stack.local import LocalStack
from genonaut.stack.main_job import MainJob, MainJobError, person

WHOLE_SECONDS = 60.0
"""How long what has just been started, or killed, may take until all of it is well."""

console = Console(highlight=False)


def smoke(
    url: Annotated[
        str, typer.Argument(help="The gateway. Default: of the local stack, else at API_PORT of this machine.")
    ] = "",
) -> None:
    """Do the main job once over HTTP: a user, a job, its image and thumbnail, the search, a notification, the counts.

    Exit code 0 says that all of it came true; 1 says, in the last line, what did not.
    """
    url = url or _url()
    started = time.monotonic()
    try:
        with httpx.Client(base_url=url, timeout=30) as api:
            wait_until_whole(api)
            main_job(api, _said)
    except MainJobError as error:
        _fail(str(error), url)
    except httpx.TransportError as error:
        _fail(f"The gateway does not answer ({type(error).__name__}).", url)
    except httpx.HTTPStatusError as error:
        _fail(f"{error.request.method} {error.request.url.path} answered {error.response.text[:500]}", url)
    console.print(f"The main job works at {url} ({time.monotonic() - started:.1f} s).")


def main_job(api: httpx.Client, said: Callable[[str], None]) -> None:
    """All of it; `said` hears of each step that came true. Raises MainJobError and httpx.HTTPError."""
    mark = f"smoke-{uuid4().hex[:8]}"
    main_job = MainJob(api, person(api, mark, told=True))
    said(f"the user {mark} is registered")
    before = main_job.counts()
    job_id = main_job.submit(title=mark, tags=["sea", mark])
    said(f"job {job_id} is accepted")
    steps = sum(1 for _ in main_job.watch())
    said(f"it is completed, after {steps} news of it")
    item = _pictures(main_job, main_job.published()["content_id"])
    said(f"item {item['id']} has its image and thumbnail")
    found = [each["id"] for each in main_job.json("GET", "/api/v1/content/unified", params={"tag": mark})["items"]]
    if len(found) != 1:
        raise MainJobError(f"The search for the tag {mark} found {len(found)} items instead of one.")
    said(f"the search for the tag {mark} finds it, and nothing else")
    said(f"one notification: {main_job.notification()['title']}")
    counts = main_job.counted(before)
    said(f"analytics count {counts.requested} requested, {counts.made} made, {counts.served} requests of the route")


def wait_until_whole(api: httpx.Client) -> None:
    """Every part is healthy. Raises MainJobError that names those that are not."""
    deadline = time.monotonic() + WHOLE_SECONDS
    while ill := _ill(api):
        if time.monotonic() > deadline:
            raise MainJobError(f"Not healthy after {WHOLE_SECONDS:.0f} s: {ill}.")
        time.sleep(0.2)


def _ill(api: httpx.Client) -> str:
    """What is not well; empty when all is."""
    try:
        answer = api.get("/api/v1/health")
        seen: dict[str, Any] = answer.json()
    except httpx.TransportError as error:
        return f"the gateway, which does not answer ({type(error).__name__})"
    except ValueError:
        return f"the gateway, which answers {answer.status_code}"
    parts = {**seen.get("services", {}), **{name: part for name, part in seen.items() if name != "services"}}
    ill = [name for name, part in parts.items() if isinstance(part, dict) and part.get("status") != "healthy"]
    return ", ".join(ill) or ("" if answer.is_success else f"the gateway, which answers {answer.status_code}")


def _pictures(main_job: MainJob, item_id: int) -> dict[str, Any]:
    """The gallery item; its image has the hash that names it, and its thumbnail is a smaller picture."""
    from PIL import Image  # noqa: PLC0415 - not for starting a stack

    with TemporaryDirectory() as folder:
        item, path = main_job.picture(item_id, Path(folder))
        whole = Image.open(path).size
    answer = main_job.api.get(item["path_thumb"])
    answer.raise_for_status()
    small = Image.open(io.BytesIO(answer.content)).size
    if max(small) != min(300, max(whole)):
        raise MainJobError(f"The thumbnail of item {item_id} has {small} pixels, its image {whole}.")
    return item


def _url() -> str:
    stack = LocalStack()
    if stack.is_running() and (urls := stack.read().get("urls")):
        return str(urls["api"])
    return f"http://127.0.0.1:{os.environ.get('API_PORT') or 8001}"


def _said(line: str) -> None:
    console.print(f"[green]✓[/] {line}")


def _fail(problem: str, url: str) -> None:
    console.print(f"✗ {problem}", style="red", markup=False)
    console.print(f"  At {url}. What runs: `docker compose ps -a` and `docker compose logs`, or `make status`.")
    raise typer.Exit(1)
