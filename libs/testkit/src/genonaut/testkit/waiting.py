"""Waiting for what becomes true by itself: in a thread (`wait_until`) or on an event loop (`eventually`)."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


def wait_until(look: Callable[[], T | None], *, within: float = 30.0, reason: str = "it never came true") -> T:
    """The first true result of `look`, polled. Raises AssertionError with `reason`."""
    deadline = time.monotonic() + within
    while True:
        if seen := look():
            return seen
        if time.monotonic() > deadline:
            raise AssertionError(reason)
        time.sleep(0.05)


async def eventually(
    condition: Callable[[], Any],
    *,
    within: float = 15.0,
    reason: str | Callable[[], str] = "the condition never came true",
) -> Any:
    """The first true result of `condition` (sync or async), polled for `within` seconds. Raises AssertionError."""
    deadline = asyncio.get_running_loop().time() + within
    while True:
        result = condition()
        if asyncio.iscoroutine(result):
            result = await result
        if result:
            return result
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(reason if isinstance(reason, str) else reason())
        await asyncio.sleep(0.02)
