"""The command line of the content service."""

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from genonaut.platform.cli import PATIENCE_SECONDS, stack_environment
from genonaut.platform.service_cli import load_service, service_commands

if TYPE_CHECKING:
    from genonaut.content.images.sweep import Check
    from genonaut.content.search.checks import Drift
    from genonaut.content.search.folding import Folded

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


async def _check_search(*, repair: bool) -> "Drift | None":
    from genonaut.content.search import upkeep  # noqa: PLC0415 - not for serving
    from genonaut.platform.maintenance import progress_bar  # noqa: PLC0415 - as above

    service = load_service("content")
    async with service.runtime(service.settings.load(), patience=PATIENCE_SECONDS) as runtime:
        with progress_bar("items") as progress:
            return await upkeep.recount(runtime.database, repair=repair, progress=progress)


async def _fold() -> "Folded":
    from genonaut.content.search import upkeep  # noqa: PLC0415 - not for serving

    service = load_service("content")
    async with service.runtime(service.settings.load(), patience=PATIENCE_SECONDS) as runtime:
        return await upkeep.fold_everything(runtime.database)


async def _check(*, repair: bool, older: timedelta) -> "Check":
    from genonaut.content.images import sweep  # noqa: PLC0415 - not for serving
    from genonaut.platform.maintenance import progress_bar  # noqa: PLC0415 - as above

    service = load_service("content")
    async with service.runtime(service.settings.load(), patience=PATIENCE_SECONDS) as runtime:
        with progress_bar("images") as progress:
            return await sweep.check(
                runtime.database,
                runtime.objects,
                stored_before=runtime.clock() - older,
                repair=repair,
                progress=progress,
            )
