"""`genonaut replay`: list what can be rebuilt, rebuild it beside the live tables, prove it equal, swap it in."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import entry_points
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from genonaut.platform.cli import print_json, print_table
from genonaut.platform.comparison import Range, TableComparison
from genonaut.platform.maintenance import as_owner, progress_bar, run
from genonaut.platform.projections import Projection
from genonaut.platform.replay import Rebuild, ReplayRefusedError, Report
from genonaut.platform.service import Service
from genonaut.platform.service_cli import load_service

console = Console()
app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    help="Rebuild what is shown from what has happened, and prove the two equal.",
)

SERVICES_GROUP = "genonaut.services"


@dataclass(frozen=True)
class Named:
    """Something of a service that follows events, named as on the command line: `<service>.<name>`."""

    service: Service[Any]
    name: str
    projection: Projection | None
    """None for a reaction, which is never replayed."""
    source: str
    reads: str

    @property
    def full_name(self) -> str:
        return f"{self.service.name}.{self.name}"


def everything() -> list[Named]:
    """Every projection and every reaction of the installed services, by name."""
    found = []
    for entry in entry_points(group=SERVICES_GROUP):
        service = load_service(entry.name)
        for projection in service.projections:
            source = f"stream {projection.source.stream.name}" if projection.source else "event log"
            found.append(Named(service, projection.name, projection, source, "\n".join(projection.event_types)))
        for consumer in service.consumers:
            if consumer.reaction:
                reads = "\n".join(sorted(event.type for event in consumer.durable.events))
                source = f"stream {consumer.durable.stream.name}"
                found.append(Named(service, consumer.durable.name, None, source, reads))
    return sorted(found, key=lambda each: (each.projection is None, each.full_name))


@app.command("list")
def list_projections() -> None:
    """What can be rebuilt, from where, and what never is because it has effects outside its tables."""
    table = Table("name", "rebuilt from", "tables", "reads")
    for each in everything():
        tables = "\n".join(t.name for t in each.projection.tables) if each.projection else "[red]never: it acts[/red]"
        table.add_row(each.full_name, each.source, tables, each.reads)
    print_table(table)


@app.command()
def rebuild(  # noqa: PLR0917 - typer reads options by name
    names: Annotated[list[str] | None, typer.Argument(help="Which, as `genonaut replay list` names them.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Every projection.")] = False,
    since: Annotated[datetime | None, typer.Option(help="From this hour on, UTC.", formats=["%Y-%m-%dT%H"])] = None,
    until: Annotated[datetime | None, typer.Option(help="Up to this hour, UTC.", formats=["%Y-%m-%dT%H"])] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Swap in what differs. Without it: look only.")] = False,
    count: Annotated[bool, typer.Option("--count", help="Only count the events; rebuild nothing.")] = False,
    allow_loss: Annotated[bool, typer.Option("--allow-loss", help="Swap in what has fewer rows, too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The report as JSON.")] = False,
) -> None:
    """Rebuild projections beside the live tables and compare, hour by hour where there are hours.

    A dry run unless --apply: exit code 0 says that rebuilt and live are equal, 1 that they differ or that there was
    nothing to compare. Reactions are refused.
    """
    within = Range(_utc(since), _utc(until))
    chosen = _chosen(names or [], everything_=all_)
    reports = []
    for each in chosen:
        try:
            reports.append(run(_rebuild(each, within, swap=apply, count=count, allow_loss=allow_loss)))
        except ReplayRefusedError as error:
            console.print(f"[red]{each.full_name}: {escape(str(error))}[/red]")
            raise typer.Exit(2) from None
    if as_json:
        print_json([_as_json(report) for report in reports])
    elif not count:
        _print(reports)
    raise typer.Exit(0 if all(report.equal or report.swapped for report in reports) else 1)


def _utc(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment else None


def _chosen(names: list[str], *, everything_: bool) -> list[Named]:
    known = {each.full_name: each for each in everything()}
    if everything_:
        return [each for each in known.values() if each.projection]
    if not names:
        console.print("Say which (see [bold]genonaut replay list[/bold]), or --all.")
        raise typer.Exit(2)
    for name in names:
        if name not in known:
            console.print(f"[red]There is no {name}.[/red] There are: {', '.join(known)}")
            raise typer.Exit(2)
        if known[name].projection is None:
            console.print(
                f"[red]{name} is not a projection.[/red] It acts on events (states new ones, sends, runs jobs);"
                " running it again would act again. Only projections are rebuilt."
            )
            raise typer.Exit(2)
    return [known[name] for name in names]


async def _rebuild(each: Named, within: Range, *, swap: bool, count: bool, allow_loss: bool) -> Report:
    assert each.projection is not None  # noqa: S101 - _chosen saw to it
    async with as_owner(each.service) as (database, bus):
        rebuild = Rebuild(each.projection, service=each.service.name, database=database, bus=bus)
        if count:
            report = Report(each.full_name, events=await rebuild.count(within), within=within)
            console.print(f"{each.full_name}: {report.events:,} events")
            return report
        with progress_bar(each.full_name) as advance:
            report = await rebuild.run(within=within, swap=swap, progress=advance, allow_loss=allow_loss)
    report.projection = each.full_name
    return report


def _print(reports: list[Report]) -> None:
    table = Table("projection", "range", "events", "table", "live rows", "rebuilt rows", "result")
    for report in reports:
        head = (report.projection, _range(report.within), f"{report.events:,}")
        for compared in report.tables:
            rows = (f"{compared.live_rows:,}", f"{compared.rebuilt_rows:,}")
            table.add_row(*head, compared.table, *rows, _result(compared, swapped=report.swapped))
            head = ("", "", "")
        for note in _notes(report):
            table.add_row("", "", "", "", "", "", f"[yellow]{escape(note)}[/yellow]")
    print_table(table)


def _range(within: Range) -> str:
    if not within:
        return "all"
    since, until = (f"{moment:%Y-%m-%d %H:%M}" if moment else "" for moment in (within.since, within.until))
    return f"{since} … {until}".strip()


def _result(compared: TableComparison, *, swapped: bool) -> str:
    if compared.nothing_compared:
        return "[yellow]nothing compared[/yellow]: all live rows are outside the range"
    cells = compared.different_cells
    if not cells:
        return "[green]equal[/green]"
    shown = ", ".join(cells[:3]) + (" …" if len(cells) > 3 else "")  # noqa: PLR2004 - enough to see
    return f"[yellow]{len(cells)} cells {'swapped' if swapped else 'differ'}[/yellow]: {shown}"


def _notes(report: Report) -> Iterator[str]:
    """What one should know before believing the result."""
    if report.lost_beginning:
        yield "the stream has lost its beginning, so the rebuilt rows may lack something"
    if report.undecodable:
        yield f"{report.undecodable:,} undecodable events left out"
    if report.first_failure:
        yield f"{report.failed:,} events failed and are left out, the first: {report.first_failure}"
    if report.behind:
        yield f"live was {report.behind:,} events behind"
    if report.in_hand:
        yield f"live was busy with {report.in_hand:,} of them, so differences may be theirs"


def _as_json(report: Report) -> dict[str, Any]:
    return {
        "projection": report.projection,
        "since": report.within.since,
        "until": report.within.until,
        "events": report.events,
        "undecodable": report.undecodable,
        "failed": report.failed,
        "first_failure": report.first_failure,
        "equal": report.equal,
        "nothing_compared": report.nothing_compared,
        "swapped": report.swapped,
        "behind": report.behind,
        "in_hand": report.in_hand,
        "lost_beginning": report.lost_beginning,
        "tables": [
            {
                "table": table.table,
                "live_rows": table.live_rows,
                "rebuilt_rows": table.rebuilt_rows,
                "different_cells": list(table.different_cells),
                "nothing_compared": table.nothing_compared,
            }
            for table in report.tables
        ],
    }
