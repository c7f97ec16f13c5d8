"""`make chaos`: the kill matrix for as long as you like, with a log of its faults from which it can be repeated."""

import json
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Self

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


@dataclass(frozen=True)
class Run:
    """What a run is made of, beside its faults. The first line of a log."""

    seconds: float
    seed: int
    rate: float

    def __str__(self) -> str:
        return f"# {json.dumps(asdict(self))}"

    @classmethod
    def read(cls, line: str) -> Self:
        return cls(**json.loads(line.removeprefix("# ")))


def chaos(
    seconds: Annotated[float, typer.Option(help="How long people use the platform while things happen to it.")] = 300,
    seed: Annotated[int, typer.Option(help="Draws the faults and what people do; another one, another run.")] = 1,
    repeat: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="The log of a run to go through again; no other option counts then."
        ),
    ] = None,
    rate: Annotated[float, typer.Option(min=0.1, help="What people do, in actions a second.")] = 12.0,
) -> None:
    """Kill, stop, cut off and confuse every part of a whole platform under load, then check every promise.

    The platform runs in a folder of its own, beside any other. Every fault is printed as a line of JSON and kept in
    .genonaut/chaos-logs/faults.jsonl with the logs of all processes; give that file to --repeat. The exit code is 1
    when a promise was broken.
    """
    # Read before the log is begun anew: it may be the same file.
    of, schedule = _logged(repeat) if repeat else (Run(seconds, seed, rate), [])
    LOGS.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="genonaut-chaos-") as folder,
        (LOGS / "faults.jsonl").open("w", buffering=1) as log,
        _progress() as progress,
    ):
        task = progress.add_task("bringing up the platform", total=of.seconds)
        log.write(f"{of}\n")

        def say(line: str) -> None:
            log.write(f"{line}\n" if line.startswith("{") else f"# {line}\n")
            progress.update(task, completed=time.monotonic() - began, description="under load")
            progress.console.print(
                f"[dim]{time.monotonic() - started:7.1f} s[/]  {line}", highlight=False, soft_wrap=True
            )

        with platform_under_test(Path(folder), logs=LOGS) as site:
            began = time.monotonic()
            schedule = schedule or site.faults.schedule(of.seed, seconds=of.seconds)
            load = Load(site.stack.api_url, seed=of.seed, rate=of.rate)
            report = run(site, schedule, load=load, seconds=of.seconds, say=say)
    _print(report)
    sys.exit(1 if report.violations else 0)


def _logged(log: Path) -> tuple[Run, list[Fault]]:
    """Ends the program for a file that is no log."""
    lines = log.read_text().splitlines()
    try:
        found = Run.read(lines[0]), Fault.read(lines)
    except (IndexError, TypeError, ValueError):
        sys.exit(f"{log} is no log of a run: its first line has to be like `{Run(300, 1, 12.0)}`.")
    if not found[1]:
        sys.exit(f"There is no fault in {log}.")
    return found


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
