"""`genonaut <service> restore-stream`: what it shows."""

from datetime import UTC, datetime
from typing import Any

import nats.errors
import typer
from rich.table import Table

from genonaut.platform.bus_users import ADMIN
from genonaut.platform.cli import print_table
from genonaut.platform.maintenance import as_owner, progress_bar, run
from genonaut.platform.provisioning import provision_bus
from genonaut.platform.restore import Restoration, RestoreRefusedError, restore, streams_of
from genonaut.platform.service import Service


def restore_streams(service: Service[Any], *, dry_run: bool) -> int:
    """How many events were lost. They are in the outbox now, unless it is a dry run. Raises RestoreRefusedError."""
    if not streams_of(service.name):
        typer.echo(f"No stream holds events of {service.name}: there is nothing to restore.")
        return 0
    try:
        done = run(_restore(service, dry_run=dry_run))
    except nats.errors.TimeoutError:  # what a user may not do, the server does not answer
        raise RestoreRefusedError(
            f"NATS does not answer. Making and reading streams needs NATS_URL to name the user {ADMIN} of the account."
        ) from None
    table = Table("stream", "events it should hold", "messages it had", "lost", "and now")
    for each in done:
        table.add_row(each.stream, f"{each.logged:,}", f"{each.held:,}", f"{each.lost:,}", _now(each, dry_run=dry_run))
    print_table(table)
    return sum(each.lost for each in done)


async def _restore(service: Service[Any], *, dry_run: bool) -> list[Restoration]:
    done = []
    async with as_owner(service) as (database, bus):
        if not dry_run:
            await provision_bus(service.settings.load().nats_url.get_secret_value())
        for stream in streams_of(service.name):
            with progress_bar(f"Reading {stream.name}") as advance:
                done.append(
                    await restore(
                        stream,
                        service=service.name,
                        database=database,
                        bus=bus,
                        now=datetime.now(UTC),
                        dry_run=dry_run,
                        progress=advance,
                    )
                )
    return done


def _now(each: Restoration, *, dry_run: bool) -> str:
    if not each.lost:
        return "[green]nothing to do[/green]"
    if dry_run:
        return "[yellow]nothing changed[/yellow]: without --dry-run they would go to the outbox again"
    return "[green]in the outbox[/green]: the running service publishes them"
