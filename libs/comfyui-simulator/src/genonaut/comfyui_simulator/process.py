"""The simulator as a process: `python -m genonaut.comfyui_simulator.process '{"options": {"output_dir": "out"}}'`.

SIGTERM and SIGKILL end it at once, as they end ComfyUI. The command line ends in this module by exec, because a parser
of options takes half as much memory again as the whole server.
"""

import asyncio
import json
import logging
import os
import sys
from typing import Any

from genonaut.comfyui_simulator.simulator import Simulator

log = logging.getLogger(__name__)


def serve(options: dict[str, Any], *, verbose: bool = False) -> None:
    """Serve a Simulator made of `options` until interrupted; one line with the URL goes out as soon as it answers."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s comfyui-simulator: %(message)s")
    logging.getLogger("aiohttp.access").setLevel(logging.INFO if verbose else logging.WARNING)
    try:
        asyncio.run(_serve(Simulator(**options, die=die)))
    except KeyboardInterrupt:
        log.info("interrupted")
    except OSError as error:
        sys.exit(f"ComfyUI simulator: {error}")


async def _serve(simulator: Simulator) -> None:
    async with simulator:
        sys.stdout.write(f"ComfyUI simulator listening on {simulator.url}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


def die(reason: str) -> None:
    """End this process like a kill: nothing is flushed, closed or said to anybody."""
    log.warning("the simulator dies: %s", reason)
    os._exit(137)


if __name__ == "__main__":
    serve(**json.loads(sys.argv[1]))
