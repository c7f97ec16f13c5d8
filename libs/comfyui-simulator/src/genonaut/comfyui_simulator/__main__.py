"""`python -m genonaut.comfyui_simulator`: see its `--help`."""

import typer

from genonaut.comfyui_simulator.commands import comfyui_simulator

if __name__ == "__main__":
    app = typer.Typer(add_completion=False)
    app.command()(comfyui_simulator)
    app()
