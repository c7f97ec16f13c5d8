"""A process starts lean, and its background tasks end when they are told to."""

import asyncio
import gc

from fastapi import FastAPI

from genonaut.platform.serving import Server, end
from genonaut.testkit.platforms import eventually


async def test_what_is_there_at_the_start_is_never_collected_again() -> None:
    gc.unfreeze()
    server = Server(FastAPI())
    serving = asyncio.create_task(server.serve())
    try:
        await eventually(lambda: server.started)
        assert gc.get_freeze_count() > 0
    finally:
        server.should_exit = True
        await serving
        gc.unfreeze()


async def test_a_task_that_loses_a_cancellation_is_cancelled_again() -> None:
    lost = 0

    async def deaf() -> None:
        nonlocal lost
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                lost += 1
                if lost == 2:
                    raise

    async def fails_late() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise OSError("the socket is gone")

    tasks = [asyncio.create_task(deaf()), asyncio.create_task(fails_late())]
    await asyncio.sleep(0)
    await asyncio.wait_for(end(tasks), 5)

    assert lost == 2
    assert tasks[0].cancelled()
    assert isinstance(tasks[1].exception(), OSError)
    await end([])
