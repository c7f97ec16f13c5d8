"""Whether a server runs what it accepts. Only a prompt tells: a server whose worker is dead answers everything else."""

import asyncio
from contextlib import suppress
from uuid import UUID

import structlog

from genonaut.generation.comfyui.client import ComfyUI
from genonaut.generation.comfyui.failures import AttemptError
from genonaut.generation.comfyui.verdict import Failed, Succeeded, judge
from genonaut.generation.comfyui.workflow import SAVE, Graph

log = structlog.get_logger()

# Always the same picture under the same name: from the second time on the server answers from its cache.
GRAPH: Graph = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 0}},
    SAVE: {"class_type": "SaveImage", "inputs": {"filename_prefix": "genonaut/canary", "images": ["1", 0]}},
}


async def works(server: ComfyUI, *, prompt_id: UUID, seconds: float = 10.0) -> bool:
    """Whether a minimal prompt comes through in time; one that does not is taken back. `prompt_id` must be new.

    A server that is busy with somebody else's prompt for longer does not work, for us.
    """
    try:
        async with asyncio.timeout(seconds):
            await server.submit(GRAPH, prompt_id=prompt_id, client_id="canary")
            while True:
                queue = await server.queue()
                verdict = judge(prompt_id, GRAPH, queue=queue, history=await server.history(prompt_id))
                if isinstance(verdict, Succeeded | Failed):
                    return isinstance(verdict, Succeeded)
                await asyncio.sleep(0.1)
    except TimeoutError:
        with suppress(AttemptError, TimeoutError):
            async with asyncio.timeout(seconds):
                await server.delete(prompt_id)
    except AttemptError as error:
        log.info("comfyui.canary_failed", server=server.name, error=str(error))
    return False
