"""`genonaut <service> doctor`: what it shows."""

from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from genonaut.platform.cli import print_json, print_table
from genonaut.platform.doctor.examination import examine
from genonaut.platform.doctor.findings import Finding, Level
from genonaut.platform.service import Service

COLOURS: dict[Level, str] = {"ok": "green", "warn": "yellow", "bad": "red"}


async def doctor(service: Service[Any], *, as_json: bool, figures: bool) -> bool:
    """Prints every finding; whether nothing is bad."""
    found = [finding async for finding in examine(service, service.settings.load())]
    if as_json:
        print_json({"service": service.name, "findings": [asdict(finding) for finding in found]})
    else:
        _print(found, figures=figures)
    return all(finding.level != "bad" for finding in found)


def _print(found: list[Finding], *, figures: bool) -> None:
    table = Table("", "about", "finding", box=None, header_style="dim")
    for finding in found:
        said = escape(finding.says) + (f"\n[dim]→ {escape(finding.do)}[/dim]" if finding.do else "")
        table.add_row(f"[{COLOURS[finding.level]}]{finding.level}[/]", finding.about, said)
    print_table(table)
    if figures:
        for finding in found:
            _print_figures(finding)
    bad, warn = (sum(finding.level == level for finding in found) for level in ("bad", "warn"))
    Console(highlight=False).print(f"{len(found)} findings: {bad} bad, {warn} to look at.")


def _print_figures(finding: Finding) -> None:
    if finding.rows:
        table = Table(*finding.rows[0], title=finding.about, title_justify="left")
        for row in finding.rows:
            table.add_row(*(escape("" if value is None else str(value)) for value in row.values()))
        print_table(table)
