"""The command line of the generation service."""

from genonaut.platform.cli import stack_environment
from genonaut.platform.service_cli import service_commands
from genonaut.platform.slim import import_slim

app = service_commands("generation")


@app.command()
def drive() -> None:
    """Run the driver in the foreground: it takes jobs and runs them on the servers of COMFYUI_URLS."""
    import_slim()
    from genonaut.generation.driver import driver  # noqa: PLC0415 - not for every command

    with stack_environment("driver"):
        driver.serve()
