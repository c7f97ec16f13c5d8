"""Whether what gateways served has come into the stream."""

import re
from collections.abc import Sequence

import aiohttp
from harness import until

from genonaut.contracts.streams import REQUESTS
from genonaut.platform.bus import Bus


async def captured(bus: Bus, ports: Sequence[int], *, sent: int) -> tuple[int, int]:
    """Of the requests sent to the gateways on these ports: how many are in the stream, and how many were dropped.

    Raises TimeoutError when there are some of which nobody knows.
    """

    async def stored() -> int:
        return int((await bus.jetstream.stream_info(REQUESTS.name)).state.messages)

    async def dropped() -> int:
        return sum([await _dropped(port) for port in ports])

    async def all_known() -> bool:
        return await stored() + await dropped() >= sent

    await until(all_known, within=30, what=f"{sent:,} captured requests to arrive")
    return await stored(), await dropped()


async def _dropped(port: int) -> int:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/metrics") as answer:
        (count,) = re.findall(r"^gateway_requests_dropped_total (\S+)", await answer.text(), re.MULTILINE)
    return int(float(count))
