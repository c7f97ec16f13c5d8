"""A process starts lean, and its background tasks end when they are told to."""

import asyncio
import gc
import os
import signal
from collections.abc import Callable, Coroutine

import pytest
from fastapi import FastAPI

from genonaut.platform.serving import Server, end, watched
from genonaut.testkit.waiting import eventually


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


async def returns() -> None:
    pass


async def fails() -> None:
    raise OSError("the socket is gone")


async def goes_on() -> None:
    await asyncio.Event().wait()


async def takes_a_cancellation_for_a_stop() -> None:
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        return


@pytest.mark.parametrize(
    ("work", "may_return", "ends_the_process"),
    [
        (returns, False, True),
        (returns, True, False),
        (fails, False, True),
        (fails, True, True),
        (goes_on, False, False),
        (takes_a_cancellation_for_a_stop, False, False),
    ],
)
async def test_a_task_that_ends_uncalled_ends_the_process(
    monkeypatch: pytest.MonkeyPatch,
    work: Callable[[], Coroutine[None, None, None]],
    may_return: bool,
    ends_the_process: bool,
) -> None:
    killed: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: killed.append((pid, number)))

    task = watched(work(), "work", may_return=may_return)
    await asyncio.wait([task], timeout=0.05)
    await end([task])
    await asyncio.sleep(0)  # what is done when a task ends is done a moment later

    assert killed == ([(os.getpid(), signal.SIGTERM)] if ends_the_process else [])
