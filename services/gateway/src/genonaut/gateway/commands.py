"""The command line of the gateway. It has no database, so nothing to migrate and no dead letters."""

import typer

from genonaut.platform.cli import stack_environment
from genonaut.platform.slim import import_slim

app = typer.Typer(name="gateway", no_args_is_help=True, add_completion=False, help="The gateway.")


@app.callback()
def gateway() -> None:
    """The gateway: the platform's one front door."""


@app.command()
def serve() -> None:
    """Run the gateway in the foreground, configured by its environment."""
    import_slim()
    with stack_environment("gateway"):
        from genonaut.gateway.service import service  # noqa: PLC0415 - help costs nothing

        service.serve()
