"""`genonaut db`: what a person types and sees."""

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import asyncpg
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from genonaut.platform.cli import print_table
from genonaut.platform.doctor.findings import size
from genonaut.platform.restore import streams_of
from genonaut.platform.settings import environment_name
from genonaut.stack.child import ChildError
from genonaut.stack.databases import backup as backups
from genonaut.stack.databases import fixture, new_migration, schema, streams
from genonaut.stack.databases.backup import Contents, Manifest
from genonaut.stack.databases.place import Place, RefusedError, open_place
from genonaut.stack.databases.restore import Restored, restore_backup
from genonaut.stack.local import LocalStack, clone_root
from genonaut.stack.prepare import Prepared, migrate_all, prepare
from genonaut.stack.processes import DATABASE_SERVICES

console = Console(highlight=False)
app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    help="""Make, migrate, describe, back up and restore the database of an environment.

    The environment names the server (DATABASE_URL and the others of docs/database.md). When it does not, it is the
    local stack's own, which runs for as long as this takes. Is it well? See [bold]genonaut content doctor[/bold].
    """,
)

SCHEMA_FILE = "deploy/postgres/schema.sql"

Environment = Annotated[
    str | None, typer.Option("--env", help="dev, demo, test or prod. [default: APP_ENV, else dev]", metavar="NAME")
]
Folder = Annotated[Path, typer.Argument(help="The folder of the backup.")]
Services = Annotated[list[str] | None, typer.Option("--service", help="Only this one; say it again for more.")]
SchemaOnly = Annotated[bool, typer.Option("--schema-only", help="Tables without rows.")]
DataOnly = Annotated[bool, typer.Option("--data-only", help="Rows without tables.")]


@app.command()
def init(environment: Environment = None) -> None:
    """Make roles, database, schemas, streams and tables; as often as you like, only what is missing is made.

    It destroys nothing, but for [bold]--env test[/bold]: the test database and its streams are emptied, and get a small
    gallery. That refuses a database without `test` in its name, and one that services are at work on.
    """
    with _place(environment) as place:
        if place.environment == "test" and asyncio.run(fixture.empty(place)):
            console.print("It was there and is emptied, its streams too.")
        made = asyncio.run(
            prepare(
                superuser_url=place.superuser_url,
                database=place.database,
                passwords=place.passwords,
                nats_url=place.nats_url,
            )
        )
        _print_made(made)
        if place.environment == "test":
            pictures = fixture.hang_gallery(place, LocalStack().state / "objects")
            console.print(f"The fixture hangs: {pictures} pictures. Other services hear of them when they run.")


@app.command()
def migrate(environment: Environment = None) -> None:
    """Bring the schemas of all services to their newest revision. For one: genonaut <service> migrate."""
    with _place(environment) as place:
        _print_revisions(asyncio.run(migrate_all(place.owner_url)))


@app.command("dump-schema")
def dump_schema(
    to: Annotated[Path, typer.Option(help="Where.")] = Path(SCHEMA_FILE),
) -> None:
    """Write the schemas as the migrations make them, as SQL that is the same from every version of Postgres."""
    with _place(None) as place:
        sql = asyncio.run(schema.of_migrations(place))
    path = to if to.is_absolute() else clone_root() / to
    path.parent.mkdir(parents=True, exist_ok=True)
    changed = not path.exists() or path.read_text() != sql
    path.write_text(sql)
    console.print(f"{path} {'is written' if changed else 'is as it was'}.", soft_wrap=True)


@app.command("new-migration")
def make_migration(
    service: Annotated[str, typer.Argument(help="Whose tables change.")],
    word: Annotated[str, typer.Argument(help="What it is about, in a word or two.")],
) -> None:
    """Write an empty migration with the next number. Migrations are written by hand, and never changed afterwards."""
    path = new_migration.write(clone_root(), service, word)
    console.print(
        f"{path}\nFill it, then: make migrate-dev, and make dump-schema for the page of all tables.", soft_wrap=True
    )


@app.command()
def backup(
    folder: Folder,
    service: Services = None,
    schema_only: SchemaOnly = False,
    data_only: DataOnly = False,
    environment: Environment = None,
) -> None:
    """Back up the database into a folder, all of one moment. The services go on meanwhile.

    The folder gets an archive of pg_dump for each service, and a manifest with checksums and the rows of every table.
    Files (images) are not in it: copy the object store [bold]after[/bold] it. The bus is not in it and need not be.
    """
    with _place(environment) as place, _progress() as on_progress:
        manifest = asyncio.run(
            backups.back_up(
                place,
                folder.absolute(),
                services=_chosen(service),
                contents=_contents(schema_only, data_only),
                on_progress=on_progress,
            )
        )
    _print_manifest(manifest)
    console.print(f"{folder} holds it. Now copy the objects: {_objects()}", soft_wrap=True)


@app.command()
def restore(  # noqa: PLR0917 - typer reads options by name
    folder: Folder,
    service: Services = None,
    schema_only: SchemaOnly = False,
    data_only: DataOnly = False,
    replace: Annotated[bool, typer.Option("--replace", help="In the place of rows that are there.")] = False,
    jobs: Annotated[int, typer.Option(min=1, max=64, help="How many tables and indexes at the same time.")] = 2,
    environment: Environment = None,
) -> None:
    """Restore a backup, whole or a part. Stop the services first (make down), put the objects back before.

    Checksums, versions and revisions are checked first; what is there is put aside and goes only when the restored rows
    are counted and complete. Then roles and rights are made right, and the schemas brought to their newest revision.

    Restored whole, the streams of the environment start again and are filled from the logs. Restored alone, a service
    hears all that is on the bus once more, and knows what it has handled: see docs/operations.md.
    """
    services, contents = _chosen(service), _contents(schema_only, data_only)
    with _place(environment) as place:
        with _progress() as on_progress:
            restored = asyncio.run(
                restore_backup(
                    place,
                    folder.absolute(),
                    services=services,
                    contents=contents,
                    replace=replace,
                    jobs=jobs,
                    on_progress=on_progress,
                )
            )
        _print_restored(restored)
        _print_bus(place, services)
    console.print("Start the services, then prove it: genonaut replay rebuild --all")


@contextmanager
def _place(environment: str | None) -> Iterator[Place]:
    try:
        with open_place(environment or environment_name() or "dev") as place:
            console.print(f"[bold]{place.environment}[/bold]: {place.words}", soft_wrap=True)
            yield place
    except (ChildError, OSError) as error:
        raise RefusedError(str(error)) from error
    except asyncpg.PostgresError as error:
        raise RefusedError(f"Postgres says: {error}. Is everything made? See: genonaut db init --help") from error


def _chosen(services: list[str] | None) -> list[str]:
    if strangers := set(services or ()) - set(DATABASE_SERVICES):
        raise RefusedError(
            f"{', '.join(sorted(strangers))} has no database. There are: {', '.join(DATABASE_SERVICES)}."
        )
    return [name for name in DATABASE_SERVICES if not services or name in services]


def _contents(schema_only: bool, data_only: bool) -> Contents:
    if schema_only and data_only:
        raise RefusedError("Say --schema-only or --data-only; without either it is both.")
    return "schema" if schema_only else "data" if data_only else "whole"


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        tasks = {}

        def advance(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = progress.add_task(name, total=total)
            progress.update(tasks[name], completed=done, total=total)

        yield advance


def _print_made(made: Prepared) -> None:
    kinds: dict[str, list[str]] = {}
    for kind, _, name in (each.partition(" ") for each in (*made.database, *made.bus)):
        kinds.setdefault(kind, []).append(name)
    for kind, names in kinds.items():
        console.print(f"  {kind}: made {', '.join(names)}", soft_wrap=True)
    if not kinds:
        console.print("  roles, database, schemas, streams and durables: all there")
    _print_revisions(made.revisions)


def _print_revisions(revisions: dict[str, tuple[str | None, str]]) -> None:
    for service, (before, now) in revisions.items():
        what = f"at {now}, as before" if before == now else f"{before or 'nothing'} → {now}"
        console.print(f"  {service}: {what}")


def _print_manifest(manifest: Manifest) -> None:
    table = Table("service", "revision", "tables", "rows", "to publish", "size", box=None, header_style="dim")
    for service, archive in manifest.services.items():
        numbers = (len(archive.tables), sum(archive.tables.values()), archive.unpublished)
        table.add_row(service, archive.revision, *(f"{number:,}" for number in numbers), size(archive.size))
    print_table(table)


def _print_restored(restored: Restored) -> None:
    for service, tables in restored.tables.items():
        before, now = restored.revisions[service]
        migrated = "" if before == now else f", migrated from {before} to {now}"
        console.print(f"  {service}: {sum(tables.values()):,} rows in {len(tables)} tables{migrated}")


def _print_bus(place: Place, services: list[str]) -> None:
    if services == list(DATABASE_SERVICES):
        events = asyncio.run(streams.follow_logs(place))
        console.print(f"  streams: {events:,} events of the logs wait to be published again, and all is heard again")
        return
    heard = asyncio.run(streams.hear_again(place, services))
    console.print(f"  streams: as they were; {', '.join(heard)} hear them once more")
    if ahead := [service for service in services if streams_of(service)]:
        console.print(
            f"  [yellow]What {' and '.join(ahead)} stated after the backup is known to the others, and not to them. "
            "If that matters, restore everything.[/yellow]",
            soft_wrap=True,
        )


def _objects() -> str:
    return os.environ.get("OBJECT_STORE_URL") or str(LocalStack().state / "objects")
