"""The connection to NATS JetStream: publishing that ends in a PubAck, and live messages that need none."""

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self
from uuid import uuid4

import nats
import nats.errors
import nats.js.errors
import orjson
import structlog
from nats.aio.client import Client
from nats.js import JetStreamContext

from genonaut.contracts import Envelope
from genonaut.contracts.streams import Durable
from genonaut.platform.bus_client import BusClient
from genonaut.platform.bus_users import inbox_of
from genonaut.platform.trouble import OutageError

log = structlog.get_logger()

MAX_BATCH = 250
"""Messages in one atomic batch. The server takes up to 1,000; smaller ones keep its memory and a retry small."""
PUBLISH_TIMEOUT = 5.0
"""Seconds. With `sync_interval: always` a busy disk takes longer than the client's default of 0.5 s."""
DUPLICATE_IN_BATCH = 10201
"""The server's err_code for an atomic batch that holds a message id it has seen."""
STREAM_NOT_FOUND = 10059
"""The server's err_code for what is asked of a stream that is gone."""
REQUIRED_API_LEVEL = 3


class PublishError(OutageError):
    """The stream did not take it, or did not say so in time. Publish again: the message id makes a repeat harmless."""


@dataclass(frozen=True)
class Message:
    subject: str
    payload: bytes
    id: str
    """The stream drops a second message with the same id within its duplicate window."""
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, envelope: Envelope, *, subject: str, traceparent: str | None, id: str | None = None) -> Self:  # noqa: A002
        """The event as a message, under its own id unless it is to be delivered a second time."""
        headers = {"traceparent": traceparent} if traceparent else {}
        return cls(subject, envelope.to_json(), id or str(envelope.id), headers)


class Bus:
    """One connection. It reconnects for ever; should it close all the same, the process is told to end."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.jetstream: JetStreamContext = client.jetstream(timeout=PUBLISH_TIMEOUT)
        self._closing = False

    @classmethod
    async def connect(cls, url: str, *, name: str, within: float | None = None) -> Self:
        """Waits for the server as long as it takes, or `within` seconds and then raises ConnectionError."""
        client = BusClient()
        bus = cls(client)

        async def closed() -> None:
            if not bus._closing:
                log.critical("bus.closed", hint="the process ends, so that its supervisor starts a sound one")
                os.kill(os.getpid(), signal.SIGTERM)

        async def disconnected() -> None:
            if not bus._closing:
                log.warning("bus.disconnected")

        async def reconnected() -> None:
            log.info("bus.reconnected")

        async def failed(error: Exception) -> None:
            write = log.warning if within is None else log.debug  # who is told by an exception need not read it here
            write("bus.error", error=str(error) or type(error).__name__)

        try:
            async with asyncio.timeout(within):
                await client.connect(
                    url,
                    name=name,
                    max_reconnect_attempts=-1,
                    reconnect_time_wait=0.25,  # type: ignore[arg-type]  # seconds; a float works and 2 s is long
                    ping_interval=10,
                    connect_timeout=5,
                    closed_cb=closed,
                    disconnected_cb=disconnected,
                    reconnected_cb=reconnected,
                    error_cb=failed,
                    inbox_prefix=inbox_of(url),
                )
        except BaseException as error:
            bus._closing = True
            await client.close()  # so that nothing of it goes on trying
            if isinstance(error, TimeoutError):
                raise ConnectionError("NATS does not answer") from None
            raise
        return bus

    async def close(self) -> None:
        self._closing = True
        if self.client.is_closed:
            return
        try:
            await asyncio.wait_for(self.client.drain(), timeout=5)
        except (TimeoutError, nats.errors.Error, OSError) as error:
            log.warning("bus.drain_failed", error=str(error) or type(error).__name__)
            with suppress(nats.errors.Error, OSError):  # what is left to say cannot be said any more
                await self.client.close()

    async def ping(self) -> None:
        """Raises when JetStream does not answer within 2 s."""
        answer = orjson.loads((await self.client.request("$JS.API.INFO", b"", timeout=2)).data)
        if error := answer.get("error"):
            raise PublishError(f"JetStream does not work: {error.get('description')}")

    async def end_of(self, durable: Durable) -> int | None:
        """Up to which sequence number there is something for this durable; None when the bus does not say."""
        try:
            return max([await self._last(durable.stream.name, subject) for subject in durable.filter_subjects()])
        except (nats.errors.Error, nats.js.errors.Error):
            return None

    async def has_handled(self, durable: Durable, end: int) -> bool:
        """Whether the durable has handled everything up to there. No, too, when the bus does not say."""
        try:
            info = await self.jetstream.consumer_info(durable.stream.name, durable.name)
        except (nats.errors.Error, nats.js.errors.Error):
            return False
        # Not by num_pending: for a moment after a message was acknowledged it does not count it (2 of 100 times).
        handled = info.ack_floor if info.num_ack_pending else info.delivered
        return bool(handled and handled.stream_seq >= end)

    async def is_caught_up(self, durable: Durable) -> bool:
        """Whether all that is on the bus for this durable has been handled. No, too, when the bus does not say."""
        end = await self.end_of(durable)
        return end is not None and await self.has_handled(durable, end)

    async def oldest_unhandled(self, durable: Durable) -> datetime | None:
        """When the first message that the durable has not handled came into its stream; None when there is none."""
        info = await self.jetstream.consumer_info(durable.stream.name, durable.name)
        following = (info.ack_floor.stream_seq if info.ack_floor else 0) + 1
        times = []
        for subject in durable.filter_subjects():
            with suppress(nats.js.errors.NotFoundError):
                message = await self.jetstream.get_msg(durable.stream.name, seq=following, subject=subject, next=True)
                times.append(message.time)
        return min((time for time in times if time), default=None)

    async def _last(self, stream: str, subject: str) -> int:
        """The sequence number of the last message with a subject like this; 0 when there is none."""
        try:
            return int((await self.jetstream.get_last_msg(stream, subject)).seq or 0)
        except nats.js.errors.NotFoundError as error:
            if error.err_code == STREAM_NOT_FOUND:
                raise
            return 0

    async def publish(self, stream: str, messages: Sequence[Message]) -> None:
        """All of them are in the stream when this returns, in order. Raises PublishError, after which some may be."""
        if not self.client.is_connected:
            raise PublishError(
                f"{stream} is out of reach"
            )  # the client would keep it, and give up when it has too much
        for start in range(0, len(messages), MAX_BATCH):
            batch = messages[start : start + MAX_BATCH]
            if len(batch) == 1 or not await self._publish_atomically(stream, batch):
                for message in batch:
                    await self._publish_one(stream, message, _headers(stream, message))

    async def publish_live(self, subject: str, payload: bytes) -> None:
        """At most once, to whoever listens. Dropped when nobody can hear it."""
        if self.client.is_connected:
            with suppress(nats.errors.Error):
                await self.client.publish(subject, payload)

    async def _publish_one(self, stream: str, message: Message, headers: dict[str, str]) -> None:
        answer = await self._request(stream, message, headers)
        if error := answer.get("error"):
            raise PublishError(f"{stream} refused a message: {error.get('description')}")

    async def _publish_atomically(self, stream: str, batch: Sequence[Message]) -> bool:
        """False when the batch was refused because some of it is in the stream already."""
        batch_id = uuid4().hex
        for position, message in enumerate(batch, start=1):
            headers = _headers(stream, message)
            headers["Nats-Batch-Id"] = batch_id
            headers["Nats-Batch-Sequence"] = str(position)
            if position < len(batch):
                try:
                    await self.client.publish(message.subject, message.payload, headers=headers)
                except nats.errors.Error as trouble:
                    raise PublishError(f"{stream} could not be told: {type(trouble).__name__}") from trouble
                continue
            headers["Nats-Batch-Commit"] = "1"
            answer = await self._request(stream, message, headers)
            error = answer.get("error")
            if error is None:
                return True
            if error.get("err_code") == DUPLICATE_IN_BATCH:
                return False
            raise PublishError(f"{stream} refused a batch of {len(batch)}: {error.get('description')}")
        return True

    async def _request(self, stream: str, message: Message, headers: dict[str, str]) -> dict[str, Any]:
        try:
            reply = await self.client.request(
                message.subject, message.payload, timeout=PUBLISH_TIMEOUT, headers=headers
            )
        except (nats.errors.Error, TimeoutError) as error:
            raise PublishError(f"{stream} did not acknowledge: {type(error).__name__}") from error
        answer: dict[str, Any] = orjson.loads(reply.data)
        return answer


def _headers(stream: str, message: Message) -> dict[str, str]:
    return {"Nats-Msg-Id": message.id, "Nats-Expected-Stream": stream, **message.headers}
