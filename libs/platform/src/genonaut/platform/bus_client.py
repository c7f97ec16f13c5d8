"""The NATS client, for messages of any bytes.

The server stores whatever subject and headers a message has. nats-py's reader ends for good at some that it cannot
decode, with the connection open and nobody told: the message would come again and end it again.
"""

import structlog
from nats.aio.client import Client

log = structlog.get_logger()


class BusClient(Client):
    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        readable = bytes(subject).decode(errors="replace").encode()
        await super()._process_msg(sid, readable, reply, data, headers)

    async def _process_headers(self, headers: bytes) -> dict[str, str] | None:
        """None, as without headers, when they are none."""
        try:
            return await super()._process_headers(headers)
        except Exception as error:  # noqa: BLE001 - whatever the bytes made of it
            log.warning("bus.headers_unreadable", error=f"{type(error).__name__}: {error}")
            return None
