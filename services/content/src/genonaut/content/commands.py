"""The command line of the content service."""

import asyncio
import time
from contextlib import ExitStack
from dataclasses import asdict
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genonaut.platform import maintenance
from genonaut.platform.cli import PATIENCE_SECONDS, print_json, stack_environment
from genonaut.platform.service_cli import load_service, service_commands

if TYPE_CHECKING:
    from genonaut.content.images.sweep import Check
    from genonaut.content.recommenders.domain import Algorithm
    from genonaut.content.recommenders.evaluation import Evaluation
    from genonaut.content.search.checks import Drift
    from genonaut.content.search.folding import Folded
    from genonaut.content.transfer.domain import Format
    from genonaut.content.transfer.queries import Done

app = service_commands("content")

images = typer.Typer(no_args_is_help=True, help="Images: what is known of them, and what is stored.")
app.add_typer(images, name="images")


@images.command()
def check(
    repair: Annotated[bool, typer.Option("--repair", help="Delete bytes that belong to no image.")] = False,
    days: Annotated[
        int,
        typer.Option(min=1, help="Leave alone what was stored later: an image may be known of only some time after."),
    ] = 7,
) -> None:
    """Compare all images with all that is stored: images without bytes, and bytes without an image.

    The service may run meanwhile. Images without bytes are named, so that they can be brought back from a backup: under
    the same names, or by uploading the same files. Exit code: 0 says that all is well or was repaired, 1 that not.
    """
    with stack_environment("content"):
        found = asyncio.run(_check(repair=repair, older=timedelta(days=days)))
    for sha256 in found.lost:
        typer.echo(f"without bytes: {sha256}")
    for sha256 in found.stray:
        typer.echo(f"no image: {sha256}")
    typer.echo(
        f"{found.images} images, {len(found.lost)} of them without bytes."
        f" Bytes of {len(found.stray)} that are none: {found.stray_bytes / 1e6:.1f} MB."
        + (f" {found.repaired} of them deleted." if repair else "")
    )
    raise typer.Exit(1 if found.lost or len(found.stray) > found.repaired else 0)


search = typer.Typer(no_args_is_help=True, help="The index that items are found by, and the counts of tags.")
app.add_typer(search, name="search")


@search.command(name="check")
def check_search(
    repair: Annotated[bool, typer.Option("--repair", help="Mend what is found to be wrong.")] = False,
) -> None:
    """Make the index and the counts of tags again from the items, and compare.

    The service may run meanwhile, and does the same once a day. Exit code: 0 says that all is well or was mended, 1
    that not.
    """
    with stack_environment("content"):
        found = asyncio.run(_check_search(repair=repair))
    if found is None:
        typer.echo("Another process is at it. Try again later.")
        raise typer.Exit(1)
    typer.echo(
        f"{found.items} items. Wrong: {len(found.blocks)} blocks, {found.lost} items that are not found,"
        f" {len(found.counts)} counts of tags.{' All of it is mended.' if found and repair else ''}"
    )
    raise typer.Exit(1 if found and not repair else 0)


@search.command()
def fold() -> None:
    """Move all items that are new or changed into the index now. The service does it by itself, a little later."""
    with stack_environment("content"):
        folded = asyncio.run(_fold())
    typer.echo(f"{folded.appended} new, {folded.changed} changed, {folded.merged} late.")


@app.command(name="import")
def import_items(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="NDJSON, or TSV by its name.")
    ],
    creator: Annotated[
        str | None, typer.Option(help="Whose the items are that name no creator: a user name or an id.")
    ] = None,
    rejects: Annotated[
        Path | None,
        typer.Option(help="Note lines that are no items here, and go on. Without it the first one ends it."),
    ] = None,
    without_room: Annotated[
        bool,
        typer.Option(
            "--without-room",
            help="Begin even if the stream CONTENT has no room for the events: they wait until it has.",
        ),
    ] = False,
) -> None:
    """Take in a file of items, four thousand at a time.

    Each line is an item. As JSON: {"title": "A lighthouse", "prompt": "a lighthouse at dusk", "creator": "ada",
    "tags": ["sea", "night-sky"], "source": "regular", "content_type": "image", "quality_score": 0.5, "is_private":
    false, "created_at": "2026-01-02T03:04:05Z", "item_metadata": {}, "content_data": null}; all but title and prompt
    may be left out. A TSV has these names in its first line, tags with | between them, metadata as JSON.

    The service may run meanwhile. A file goes on behind what was taken in of it before, or of one that begins like it:
    so run it again when it was interrupted, when you have mended a line, or when there are more. Every item is an event
    of some 4 kB in the stream CONTENT, which holds 16 GiB unless you changed that: what does not fit is refused before
    it begins. Exit code: 0 says that every line is an item now, 1 that some were rejected.
    """
    from genonaut.content.transfer.domain import BadLineError  # noqa: PLC0415 - not for serving

    began = time.monotonic()
    with stack_environment("content"):
        try:
            before, done = maintenance.run(_import(file, creator, rejects, without_room=without_room))
        except BadLineError as error:
            typer.echo(f"{file}: {error}. What came before it is taken in.", err=True)
            raise typer.Exit(1) from None
    seconds = max(0.001, time.monotonic() - began)
    new = done.items - before.items
    typer.echo(f"{new} items in {seconds:.1f} s, {new / seconds:,.0f} a second. {done.skipped} lines were rejected.")
    if before.line:
        typer.echo(f"{before.items} of its items were taken in before.")
    raise typer.Exit(1 if done.skipped else 0)


@app.command(name="export")
def export_items(
    file: Annotated[
        Path, typer.Argument(dir_okay=False, help="NDJSON, or TSV by its name. What is there is replaced.")
    ],
    public_only: Annotated[bool, typer.Option("--public-only", help="Leave out private items.")] = False,
) -> None:
    """Write all items into a file, which `import` takes."""
    with stack_environment("content"):
        count = maintenance.run(_export(file, public_only=public_only))
    typer.echo(f"{count} items.")


@app.command()
def evaluate_recommendations(
    algorithm: Annotated[
        str | None, typer.Option(help="Name, or name@version. By default the one that is used.")
    ] = None,
    split: Annotated[
        float, typer.Option(min=0.01, max=0.99, help="What share of all interactions algorithms know.")
    ] = 0.8,
    k: Annotated[int, typer.Option(min=1, max=100, help="How many each user is recommended.")] = 20,
    users: Annotated[int, typer.Option(min=1, help="At most so many users, drawn by chance.")] = 500,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
) -> None:
    """Say how well recommendations do on what people did, against popularity and chance.

    The event log up to a time is replayed into temporary tables, and algorithms recommend by those; right is what the
    same people then did things with. The service may run meanwhile, nothing of it is changed
    (DATABASE_ADMIN_URL: temporary tables are the owner's right).
    """
    from genonaut.content.recommenders.algorithms import ALGORITHMS, BEST, POPULAR, called, named  # noqa: PLC0415

    chosen = named(algorithm) if algorithm else BEST
    if chosen is None:
        raise typer.BadParameter(f"one of: {', '.join(ALGORITHMS)}", param_hint="--algorithm")
    compared = {called(each): each for each in (chosen, POPULAR)}
    evaluation = _evaluated(list(compared.values()), split=split, k=k, users=users)
    if as_json:
        print_json(asdict(evaluation))
    else:
        _show(evaluation)


def _evaluated(algorithms: "list[Algorithm]", *, split: float, k: int, users: int) -> "Evaluation":
    from genonaut.content.recommenders.evaluation import NothingToEvaluateError, evaluate  # noqa: PLC0415 - heavy
    from genonaut.platform.database import Database  # noqa: PLC0415 - as above
    from genonaut.platform.settings import SettingsError  # noqa: PLC0415 - as above

    with stack_environment("content"):
        settings = load_service("content").settings.load()
    if settings.database_admin_url is None:
        raise SettingsError("This makes temporary tables: it needs DATABASE_ADMIN_URL, Postgres as genonaut_admin.")
    url = settings.database_admin_url.get_secret_value()

    async def work() -> "Evaluation":
        database = Database(url, name="genonaut-evaluation", search_path="content")
        try:
            with maintenance.progress_bar("events, then users") as progress:
                return await evaluate(database, algorithms, split=split, k=k, users=users, progress=progress)
        finally:
            await database.close()

    try:
        return maintenance.run(work())
    except NothingToEvaluateError as error:
        typer.secho(str(error), fg="red", err=True)
        raise typer.Exit(1) from None


def _show(evaluation: "Evaluation") -> None:
    line = "{:<12} {:>10} {:>9} {:>9} {:>9} {:>9} {:>9}".format
    typer.echo(line("algorithm", f"recall@{evaluation.k}", "hit rate", "coverage", "overlap", "answered", "if new"))
    for each in evaluation.results:
        shares = (each.hit_rate, each.coverage, each.overlap, each.answered, each.answered_new)
        shown = ["-" if share is None else f"{share:.1%}" for share in shares]
        typer.echo(line(each.algorithm, f"{each.recall:.4f}", *shown))
    typer.echo(
        f"{evaluation.users} users, {evaluation.new_users} of them new, {evaluation.items} public items,"
        f" {evaluation.events} events replayed."
    )


async def _import(file: Path, creator: str | None, rejects: Path | None, *, without_room: bool) -> "tuple[Done, Done]":
    from genonaut.content.transfer import commands  # noqa: PLC0415 - not for serving
    from genonaut.content.transfer.domain import BadLineError  # noqa: PLC0415 - as above

    service = load_service("content")
    format_: Format = "tsv" if file.suffix == ".tsv" else "ndjson"
    with ExitStack() as opened:
        total = sum(
            chunk.count(b"\n") for chunk in iter(partial(opened.enter_context(file.open("rb")).read, 2**20), b"")
        )
        notes = opened.enter_context(rejects.open("a")) if rejects else None
        progress = opened.enter_context(maintenance.progress_bar("items"))

        def reject(line: int, problem: str) -> None:
            if notes is None:
                raise BadLineError(f"line {line}: {problem}")
            notes.write(f"{line}\t{problem}\n")

        async with service.runtime(service.settings.load(), patience=PATIENCE_SECONDS) as runtime:
            opened_file = opened.enter_context(file.open("rb"))
            before = await commands.taken_in(runtime, opened_file, format_)
            if not without_room:
                looked_at = opened.enter_context(file.open("rb"))
                await commands.look_for_room(runtime, looked_at, format_, left=total - before.line)
            done = await commands.take_in(
                runtime,
                opened_file,
                format_=format_,
                creator=creator,
                reject=reject,
                progress=lambda done: progress(done.line, max(total, done.line)),
            )
    return before, done


async def _export(file: Path, *, public_only: bool) -> int:
    from genonaut.content.transfer import queries  # noqa: PLC0415 - not for serving
    from genonaut.content.transfer.domain import COLUMNS, table_line, written  # noqa: PLC0415 - as above

    service = load_service("content")
    count = 0
    async with (
        service.runtime(service.settings.load(), patience=PATIENCE_SECONDS) as runtime,
        runtime.database.driver() as connection,
        connection.transaction(isolation="repeatable_read"),
    ):
        total = await queries.count(connection, public_only=public_only)
        with file.open("wb") as out, maintenance.progress_bar("items") as progress:
            format_: Format = "tsv" if file.suffix == ".tsv" else "ndjson"
            if format_ == "tsv":
                out.write(table_line(COLUMNS))
            async for row in queries.exported(connection, public_only=public_only):
                out.write(written(row, format_))
                count += 1
                if count % queries.PREFETCH == 0:
                    progress(count, total)
            progress(count, total)
    return count


async def _check_search(*, repair: bool) -> "Drift | None":
    from genonaut.content.search import upkeep  # noqa: PLC0415 - not for serving

    service = load_service("content")
    async with service.runtime(service.settings.load(), patience=PATIENCE_SECONDS) as runtime:
        with maintenance.progress_bar("items") as progress:
            return await upkeep.recount(runtime.database, repair=repair, progress=progress)


async def _fold() -> "Folded":
    from genonaut.content.search import upkeep  # noqa: PLC0415 - not for serving

    service = load_service("content")
    async with service.runtime(service.settings.load(), patience=PATIENCE_SECONDS) as runtime:
        return await upkeep.fold_everything(runtime.database)


async def _check(*, repair: bool, older: timedelta) -> "Check":
    from genonaut.content.images import sweep  # noqa: PLC0415 - not for serving

    service = load_service("content")
    async with service.runtime(service.settings.load(), patience=PATIENCE_SECONDS) as runtime:
        with maintenance.progress_bar("images") as progress:
            return await sweep.check(
                runtime.database,
                runtime.objects,
                stored_before=runtime.clock() - older,
                repair=repair,
                progress=progress,
            )
