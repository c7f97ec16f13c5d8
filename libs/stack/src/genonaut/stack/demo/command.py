"""`genonaut demo`: what a person sees."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from genonaut.platform.cli import print_table
from genonaut.stack.commands import explained, print_urls
from genonaut.stack.demo.gallery import PICTURES, seed
from genonaut.stack.local import LocalStack
from genonaut.stack.main_job import PROMPT, ROUTE, MainJob, MainJobError, wait_for_worker

console = Console(highlight=False)


def demo(
    pictures: Annotated[int, typer.Option(min=0, max=10_000, help="How many pictures the gallery has.")] = PICTURES,
) -> None:
    """Start everything, hang a small gallery, and make an image in front of you.

    Exit code 0 says that all of it came true: the job, its image, the gallery item, the notification, the rollups, and
    every projection rebuilt from history equal to the live tables. The stack goes on running: `make down` stops it.
    """
    stack = LocalStack()
    with explained(), _honest():
        with console.status("starting …") as status:
            running = stack.up("demo", on_step=lambda step: status.update(f"{step} …"))
        for note in running["notes"]:
            console.print(note, style="yellow")
        with httpx.Client(base_url=running["urls"]["api"], timeout=30) as api:
            wait_for_worker(api)
            _said("Postgres, NATS JetStream, Valkey, five services, a driver and a ComfyUI are up")
            _play(api, stack, running, pictures)


def _play(api: httpx.Client, stack: LocalStack, running: dict[str, Any], pictures: int) -> None:
    people = _hang_gallery(api, pictures)
    main_job = MainJob(api, people["demo"])
    main_job.idle()
    before = main_job.counts()
    job_id = main_job.submit()
    _said(f"Job {job_id} is accepted: [italic]{PROMPT}[/]")
    _watch(main_job)

    job = main_job.published()
    item, path = main_job.picture(job["content_id"], stack.state / "demo")
    image_url = f"{running['urls']['api']}/api/v1/images/{item['image']['sha256']}"
    size = f"{item['image']['width']} x {item['image']['height']}"
    _said(f"The gallery has it as item {item['id']}, {size}: {_relative(path, stack.root)}")

    told = main_job.notification()
    _said(f"[italic]demo[/] is told, once: “{told['title']}: {told['message']}”")

    counts = main_job.counted(before)
    _said(f"The generation rollup counts it: {counts.requested} requested, {counts.made} made, {counts.images} images")
    _said(f"The request rollup counts it: {counts.served} times POST or GET {ROUTE}")

    with console.status("rebuilding every projection from history …"):
        reports = main_job.rebuild(stack.root)
    _print_proof(reports)
    _print_urls(running["urls"], image_url)


@contextmanager
def _honest() -> Iterator[None]:
    """A promise that did not come true ends the demo with exit code 1."""
    try:
        yield
    except MainJobError as error:
        console.print(f"✗ {error}", style="red", markup=False)
        raise typer.Exit(1) from None
    except httpx.HTTPError as error:
        console.print(f"✗ The gateway did not answer as it should: {error}", style="red", markup=False)
        console.print("  See: make status, and .genonaut/logs/")
        raise typer.Exit(1) from None


def _said(line: str) -> None:
    console.print(f"[green]✓[/] {line}")


def _hang_gallery(api: httpx.Client, pictures: int) -> dict[str, str]:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("hanging the gallery", total=pictures)
        people = seed(api, pictures, lambda done: progress.update(task, completed=done))
    _said(f"A gallery of {pictures} pictures by {len(people) - 1} people, with a hierarchy of tags")
    return people


def _watch(main_job: MainJob) -> None:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    started = time.monotonic()
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as progress:
        task = progress.add_task("waiting for a worker", total=1.0)
        for seen in main_job.watch():
            step = f", step {seen.step} of {seen.steps}" if seen.steps else ""
            progress.update(task, description=f"{seen.node or seen.status}{step}", completed=seen.fraction or None)
    _said(f"The image is made ({time.monotonic() - started:.1f} s)")


def _print_proof(reports: list[dict[str, Any]]) -> None:
    table = Table("rebuilt from history", "events", "rows", "", box=None, header_style="dim", padding=(0, 2))
    for report in reports:
        rows = sum(table["rebuilt_rows"] for table in report["tables"])
        table.add_row(f"  {report['projection']}", f"{report['events']:,}", f"{rows:,}", "[green]equal[/]")
    _said("Every projection, rebuilt from its history, equals the live tables:")
    print_table(table)


def _print_urls(urls: dict[str, str], image_url: str) -> None:
    console.print("Open:")
    print_urls({"image": image_url, **urls})
    console.print("The stack goes on running. [bold]make status[/] shows it, [bold]make down[/] stops it.")


def _relative(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
