"""The `genonaut` command. Members add commands through the entry-point group `genonaut.commands`.

An entry is a `typer.Typer` (a group) or a function (a command); it is imported when it is asked for, so that one
command does not pay for all the others.
"""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
import typer.main
from typer.core import TyperGroup

from genonaut.platform.trouble import ExpectedError

if TYPE_CHECKING:
    from rich.table import Table

GROUP = "genonaut.commands"

PATIENCE_SECONDS = 5.0
"""How long a command waits for a bus that does not answer. A process waits as long as it takes."""


class _Members(TyperGroup):
    """The commands of all installed members, by name."""

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted({*super().list_commands(ctx), *(entry.name for entry in entry_points(group=GROUP))})

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        for entry in entry_points(group=GROUP):
            if entry.name == cmd_name:
                return _load(entry)
        return super().get_command(ctx, cmd_name)


def _load(entry: EntryPoint) -> Any:
    loaded: Any = entry.load()
    if isinstance(loaded, typer.Typer):
        command = typer.main.get_command(loaded)
    else:
        single = typer.Typer(add_completion=False, rich_markup_mode="rich")
        single.command(name=entry.name)(loaded)
        command = typer.main.get_command(single)
    command.name = entry.name
    return command


app = typer.Typer(cls=_Members, no_args_is_help=True, add_completion=False, rich_markup_mode="rich")


@app.callback()
def genonaut() -> None:
    """Runs, inspects and repairs a Genonaut: a platform for AI-generated images.

    Start with [bold]genonaut demo[/bold]. Every command explains itself with [bold]--help[/bold].
    """


def main(commands: typer.Typer | None = None) -> None:
    """The console script, or the `__main__` of one service. Expected trouble is one clear message, not a traceback."""
    try:
        (commands or app)()
    except ExpectedError as error:
        typer.secho(str(error), fg="red", err=True)
        sys.exit(2)
    except ConnectionError as error:
        typer.secho(f"{error}. Does the stack run? See: genonaut status. Start it: genonaut up", fg="red", err=True)
        sys.exit(2)


@contextmanager
def stack_environment(service: str) -> Iterator[None]:
    """Inside, what this environment lacks comes from the local stack's `.genonaut/env/<service>.env`."""
    before = dict(os.environ)
    for name, value in _stack_settings(service).items():
        os.environ.setdefault(name, value)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _stack_settings(service: str) -> dict[str, str]:
    """From the state folder that GENONAUT_STATE names, else from `.genonaut` here or above; empty without a stack."""
    named = os.environ.get("GENONAUT_STATE")
    here = Path.cwd()
    folders = [Path(named)] if named else [folder / ".genonaut" for folder in (here, *here.parents)]
    for folder in folders:
        path = folder / "env" / f"{service}.env"
        if path.is_file():
            pairs = (line.partition("=") for line in path.read_text().splitlines() if not line.startswith("#"))
            return {name.strip(): value.strip() for name, separator, value in pairs if separator}
    return {}


def print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, default=str))


def print_table(table: "Table") -> None:
    """No name or URL in it is cut: they are there to be copied, and a narrow terminal wraps the line instead."""
    from rich.console import Console  # noqa: PLC0415 - not for serving
    from rich.measure import Measurement  # noqa: PLC0415 - as above

    *others, last = table.columns
    for column in others:
        column.no_wrap = True
    last.overflow = "fold"
    unbounded = Console(width=10_000)
    width = Measurement.get(unbounded, unbounded.options, table)
    needed = min(width.maximum, width.minimum + 40)  # room for words in the last column
    Console(width=max(needed, Console().width), highlight=False).print(table)


if __name__ == "__main__":
    main()
