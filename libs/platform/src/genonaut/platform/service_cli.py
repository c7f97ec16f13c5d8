"""The commands that every service has: serve, migrate, restore-stream, doctor, and its dead letters."""

import asyncio
from importlib import import_module
from typing import Annotated, Any

import typer

from genonaut.platform.cli import PATIENCE_SECONDS, print_json, print_table, stack_environment
from genonaut.platform.slim import import_slim


def load_service(name: str) -> Any:
    """`genonaut.<name>.service:service`."""
    return import_module(f"genonaut.{name}.service").service


def service_commands(name: str) -> typer.Typer:
    """What every service offers; a service may add its own. The service is `genonaut.<name>.service:service`."""
    app = typer.Typer(
        name=name,
        no_args_is_help=True,
        add_completion=False,
        help=f"The {name} service.",
        rich_markup_mode="rich",
    )
    letters = typer.Typer(no_args_is_help=True, help="Messages that could not be handled.")
    app.add_typer(letters, name="dead-letters")

    @app.command()
    def serve() -> None:
        """Run the service in the foreground, configured by its environment."""
        import_slim()
        with stack_environment(name):
            load_service(name).serve()

    @app.command()
    def migrate() -> None:
        """Bring the service's schema to the newest revision, as its owner (DATABASE_ADMIN_URL)."""
        with stack_environment(name):
            asyncio.run(_migrate(name))

    @app.command()
    def restore_stream(
        dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count; change nothing.")] = False,
    ) -> None:
        """Bring back what the service's stream has lost, from the event log (DATABASE_ADMIN_URL, NATS_URL as admin).

        For when NATS lost a stream, its newest part, or all its data. Streams and consumers that are missing are made
        first. Then the events of the log that the stream should hold and does not go to the outbox again, and the
        service publishes them under their own ids. Consumers know what they have handled.

        The platform may run meanwhile, and should: the running service does the publishing. Do it again as often as
        you like; when nothing is lost it changes nothing. Do it for each service whose stream was lost.
        Exit code of a dry run: 0 says that nothing is lost, 1 that something is.
        """
        from genonaut.platform.restore_cli import restore_streams  # noqa: PLC0415 - not for serving

        with stack_environment(name):
            lost = restore_streams(load_service(name), dry_run=dry_run)
        raise typer.Exit(1 if dry_run and lost else 0)

    @app.command()
    def doctor(
        figures: Annotated[bool, typer.Option("--figures", help="The figures behind the findings, too.")] = False,
        as_json: Annotated[bool, typer.Option("--json", help="Everything as JSON, for programs.")] = False,
    ) -> None:
        """Look at the service's part of the database: what is well, what is not, and what to do about it.

        Sizes, indexes that are unused, missing or broken, dead rows, connections, slow statements and long
        transactions; and whether roles, rights, partitions, triggers, sequences, the outbox and the projections are as
        they should be. It changes nothing. With DATABASE_ADMIN_URL it looks as the owner, who sees more.
        Exit code 1 says that something is bad; what is only worth a look is 0.
        """
        from genonaut.platform.doctor.command import doctor  # noqa: PLC0415 - not for serving

        with stack_environment(name):
            well = asyncio.run(doctor(load_service(name), as_json=as_json, figures=figures))
        raise typer.Exit(0 if well else 1)

    @letters.command("list")
    def list_letters(limit: Annotated[int, typer.Option(help="At most this many.")] = 100) -> None:
        """Those that wait, oldest first."""
        with stack_environment(name):
            asyncio.run(_list_letters(name, limit))

    @letters.command()
    def show(letter_id: int) -> None:
        """One of them whole: why, where from, headers and payload."""
        with stack_environment(name):
            asyncio.run(_show_letter(name, letter_id))

    @letters.command()
    def redrive(
        letter_ids: Annotated[list[int] | None, typer.Argument(help="Which ones.")] = None,
        everything: Annotated[bool, typer.Option("--all", help="All that wait.")] = False,
    ) -> None:
        """Handle them again, here and now. One that fails again stays, with its new reason."""
        with stack_environment(name):
            failed = asyncio.run(_redrive(name, letter_ids or [], everything=everything))
        raise typer.Exit(1 if failed else 0)

    return app


async def _migrate(name: str) -> None:
    from genonaut.platform.migrations import migrate  # noqa: PLC0415 - Alembic is not for serving
    from genonaut.platform.settings import SettingsError  # noqa: PLC0415

    settings = load_service(name).settings.load()
    if settings.database_admin_url is None:
        raise SettingsError("Migrating needs DATABASE_ADMIN_URL: Postgres as the role genonaut_admin.")
    await migrate(name, admin_url=settings.database_admin_url.get_secret_value())


async def _list_letters(name: str, limit: int) -> None:
    from rich.table import Table  # noqa: PLC0415 - not for serving

    from genonaut.platform import dead_letters  # noqa: PLC0415 - not for every command

    async with _runtime(name) as runtime, runtime.database.reading() as connection:
        waiting = await dead_letters.waiting(connection, limit=limit)
    if not waiting:
        typer.echo("No dead letters wait.")
        return
    table = Table("id", "consumer", "subject", "since", "deliveries", "error")
    for letter in waiting:
        table.add_row(
            str(letter.id),
            letter.consumer,
            letter.subject,
            f"{letter.created_at:%Y-%m-%d %H:%M:%S}",
            str(letter.deliveries),
            letter.error.splitlines()[0][:80],
        )
    print_table(table)


async def _show_letter(name: str, letter_id: int) -> None:
    from genonaut.platform import dead_letters  # noqa: PLC0415

    async with _runtime(name) as runtime, runtime.database.reading() as connection:
        letter = await dead_letters.by_id(connection, letter_id)
    if letter is None:
        typer.echo(f"No dead letter {letter_id}. See: genonaut {name} dead-letters list")
        raise typer.Exit(1)
    shown = {**vars(letter), "payload": letter.payload.decode(errors="replace")}
    print_json(shown)


async def _redrive(name: str, letter_ids: list[int], *, everything: bool) -> int:
    from genonaut.platform import dead_letters  # noqa: PLC0415
    from genonaut.platform.redrive import redrive  # noqa: PLC0415

    failed = 0
    async with _runtime(name) as runtime:
        if everything:
            async with runtime.database.reading() as connection:
                letter_ids = await dead_letters.waiting_ids(connection)
        for letter_id in letter_ids:
            problem = await redrive(runtime, letter_id)
            failed += problem is not None
            typer.echo(f"{letter_id}: {'handled' if problem is None else problem}")
    return failed


def _runtime(name: str) -> Any:
    service = load_service(name)
    return service.runtime(service.settings.load(), patience=PATIENCE_SECONDS)
