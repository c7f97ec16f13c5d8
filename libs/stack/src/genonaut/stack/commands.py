"""`genonaut up`, `down`, `status` and `reset`: the whole platform on this machine."""

import json
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from genonaut.platform.cli import print_table
from genonaut.platform.settings import environment_name
from genonaut.stack.child import ChildError
from genonaut.stack.inspection import Seen, look
from genonaut.stack.local import LocalStack, StackError
from genonaut.stack.stackfile import FAILED

console = Console()
MEGABYTE = 1_000_000
NOT_RUNNING = 3  # as `systemctl status` says it
INTERRUPTED = 130  # as a shell says it


def up(
    foreground: Annotated[bool, typer.Option("--foreground", help="Stay, and stop everything on Ctrl-C.")] = False,
    environment: Annotated[
        str | None, typer.Option("--env", help="dev, demo, test or prod. [default: APP_ENV, else as last time]")
    ] = None,
) -> None:
    """Start Postgres, NATS, Valkey and all services; returns when everything is ready."""
    stack = LocalStack()
    if foreground:
        for asked in (signal.SIGINT, signal.SIGTERM):  # a shell has its background jobs ignore the first
            signal.signal(asked, signal.default_int_handler)
    with explained():
        try:
            started = time.monotonic()
            content = stack.up(
                environment or environment_name(),
                on_step=lambda step: console.print(f"[dim]{step} …[/]", highlight=False),
            )
            _print_urls(content, seconds=time.monotonic() - started)
            if foreground:
                _follow(stack)
                raise StackError(f"The supervisor has ended. See {stack.log}.")
        except KeyboardInterrupt:
            if not foreground:
                console.print("The stack goes on starting. See `make status`; stop it with `make down`.")
                raise typer.Exit(INTERRUPTED) from None
            console.print("stopping …")
            stack.down()


def down() -> None:
    """Stop everything in reverse order; all data stay."""
    with explained():
        console.print("Everything is stopped; the data stay." if LocalStack().down() else "Nothing was running.")


def status(
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
) -> None:
    """Show every process: is it ready, where, how much memory.

    Exit code 3 when nothing runs, 1 when something is not ready.
    """
    stack = LocalStack()
    seen = look(stack)
    if as_json:
        live = [asdict(one) for one in seen]
        sys.stdout.write(json.dumps({"running": bool(seen), **stack.read(), "live": live}, indent=2) + "\n")
    elif seen:
        _print_processes(stack.read(), seen)
    else:
        content = stack.read()
        if content.get("state") == FAILED:
            console.print(f"The last start failed: {content['message']}", markup=False, highlight=False)
        if left := stack.left():
            console.print(f"Its supervisor was killed; {', '.join(left)} still run. Say `make up`, or `make down`.")
        else:
            console.print("The stack does not run. Start it with `make up`.")
    if not seen:
        raise typer.Exit(NOT_RUNNING)
    if not all(one.ok for one in seen):
        raise typer.Exit(1)


def reset(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Stop everything and remove all its data: database, messages, images, logs, passwords."""
    stack = LocalStack()
    if not stack.state.exists():
        console.print("There is nothing to forget.")
        return
    if not yes:
        typer.confirm(f"Remove everything in {stack.state}, the database and all images included?", abort=True)
    with explained():
        stack.reset()
    console.print(f"{stack.state} is gone.")


@contextmanager
def explained() -> Iterator[None]:
    """Expected trouble ends the command with its message and exit code 1."""
    try:
        yield
    except (ChildError, PermissionError) as error:
        console.print(str(error), style="red", markup=False, highlight=False)
        raise typer.Exit(1) from None


def _follow(stack: LocalStack) -> None:
    """Shows what the supervisor logs, until it ends."""
    with stack.log.open() as log:
        log.seek(0, 2)
        while stack.is_running():
            sys.stdout.write(log.read())
            sys.stdout.flush()
            time.sleep(0.2)


def _print_urls(content: dict[str, Any], *, seconds: float) -> None:
    for note in content["notes"]:
        console.print(note, style="yellow")
    console.print(f"Genonaut is up as [bold]{content['environment']}[/] ({seconds:.1f} s).")
    print_urls(content["urls"])


def print_urls(urls: dict[str, str]) -> None:
    """A line for each, whole however narrow the terminal is."""
    for name, url in urls.items():
        console.print(f"  {name:<8}{url}", soft_wrap=True, highlight=False)


def _print_processes(content: dict[str, Any], seen: list[Seen]) -> None:
    table = Table("process", "state", "pid", "memory", "restarts", "where", "version", box=None, header_style="dim")
    for one in seen:
        table.add_row(
            one.name,
            f"[{'green' if one.ok else 'red'}]{one.state}[/]",
            str(one.pid or ""),
            f"{one.memory / MEGABYTE:.0f} MB" if one.memory else "",
            str(one.entry.get("restarts") or ""),
            one.entry.get("url", ""),
            " ".join(filter(None, (one.entry.get("version"), one.entry.get("source")))),
        )
    print_table(table)
    total = sum(one.memory for one in seen) / MEGABYTE
    console.print(f"{content['environment']}: {content['state']}, {total:.0f} MB in all")
    print_urls(content["urls"])
