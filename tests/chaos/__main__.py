"""`make chaos`: the kill matrix for as long as you like, with a log of its faults from which it can be repeated."""

import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from chaos.checker import Report
from chaos.faults import Fault
from chaos.load import Load
from chaos.matrix import platform_under_test, run

console = Console(highlight=False)
LOGS = Path(".genonaut/chaos-logs")


def chaos(
    seconds: Annotated[float, typer.Option(help="How long people use the platform while things happen to it.")] = 300,
    seed: Annotated[int, typer.Option(help="Draws the faults and what people do; another one, another run.")] = 1,
    repeat: Annotated[
        Path | None, typer.Option(exists=True, help="A log of faults to go through again, instead of drawn ones.")
    ] = None,
    rate: Annotated[float, typer.Option(min=0.1, help="What people do, in actions a second.")] = 12.0,
) -> None:
    """Kill, stop, cut off and confuse every part of a whole platform under load, then check every promise.

    The platform runs in a folder of its own, beside any other. Every fault is printed as a line of JSON and kept in
    .genonaut/chaos-logs/faults.jsonl with the logs of all processes; give that file to --repeat. The exit code is 1
    when a promise was broken.
    """
    LOGS.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="genonaut-chaos-") as folder,
        (LOGS / "faults.jsonl").open("w", buffering=1) as log,
        _progress() as progress,
    ):
        task = progress.add_task("bringing up the platform", total=seconds)

        def say(line: str) -> None:
            log.write(f"{line}\n" if line.startswith("{") else f"# {line}\n")
            progress.update(task, completed=time.monotonic() - began, description="under load")
            progress.console.print(
                f"[dim]{time.monotonic() - started:7.1f} s[/]  {line}", highlight=False, soft_wrap=True
            )

        with platform_under_test(Path(folder), logs=LOGS) as site:
            began = time.monotonic()
            if repeat:
                schedule = Fault.read(repeat.read_text().splitlines())
            else:
                schedule = site.faults.schedule(seed, seconds=seconds)
            report = run(site, schedule, load=Load(site.stack.api_url, seed=seed, rate=rate), seconds=seconds, say=say)
    _print(report)
    sys.exit(1 if report.violations else 0)


def _progress() -> Progress:
    return Progress(TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=console, transient=True)


def _print(report: Report) -> None:
    counts = Table("what", "how many", box=None, header_style="dim")
    for what, number in report.counts.items():
        counts.add_row(what, f"{number:,}")
    console.print(counts)
    rules = Table("promise", "broken", box=None, header_style="dim")
    for name, times in report.rules.items():
        rules.add_row(name, f"[red]{times}[/]" if times else "[green]never[/]")
    console.print(rules)
    for violation in report.violations:
        console.print(violation, style="red", markup=False)


if __name__ == "__main__":
    typer.run(chaos)
