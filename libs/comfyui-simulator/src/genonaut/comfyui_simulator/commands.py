"""The command line: `genonaut comfyui-simulator` and `python -m genonaut.comfyui_simulator`."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from genonaut.comfyui_simulator.faults import KINDS, parsed

_FAULTS = "\n\n".join(f"{name}: {kind.does}." for name, kind in KINDS.items())
_HELP = f"""Run a ComfyUI simulator: the real protocol, pictures drawn from prompt and seed, faults on request.

It needs no models and no GPU. Point COMFYUI_URLS at it, and at a real ComfyUI to replace it.

The URL is printed as soon as it answers. Switch faults while it runs:

curl -d '{{"error_at_node": "KSampler", "times": 1}}' URL/simulator/faults

The faults:

{_FAULTS}
"""


def comfyui_simulator(
    *,
    host: Annotated[str, typer.Option(help="Address to listen on. Never a public one: there are no passwords.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 8188,
    output_dir: Annotated[Path, typer.Option(help="Where SaveImage writes. Files survive restarts.")] = Path(
        ".genonaut/comfyui/output"
    ),
    models_dir: Annotated[
        Path | None, typer.Option(help="Files under DIR/checkpoints, DIR/loras … are offered as models as well.")
    ] = None,
    step_seconds: Annotated[
        float, typer.Option(min=0, help="Time of a sampling step: 20 steps take 2 s by default; 0 is instant.")
    ] = 0.1,
    latency: Annotated[float, typer.Option(min=0, help="Seconds that every HTTP answer waits.")] = 0.0,
    previews: Annotated[bool, typer.Option(help="Send a preview with every step.")] = True,
    fault: Annotated[
        list[str] | None, typer.Option(help="Start with a fault, e.g. die_at_step=5 or zombie; may be repeated.")
    ] = None,
    verbose: Annotated[bool, typer.Option(help="Log every request.")] = False,
) -> None:
    try:
        faults = parsed(fault or [])
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--fault") from error
    options = {
        "output_dir": str(output_dir),
        "host": host,
        "port": port,
        "step_seconds": step_seconds,
        "latency": latency,
        "previews": previews,
        "models_dir": str(models_dir) if models_dir else None,
        "faults_at_start": faults,
    }
    serving = ["-m", "genonaut.comfyui_simulator.process", json.dumps({"options": options, "verbose": verbose})]
    os.execv(sys.executable, [sys.executable, *serving])  # noqa: S606 - this very Python, and no shell to escape from


comfyui_simulator.__doc__ = _HELP
