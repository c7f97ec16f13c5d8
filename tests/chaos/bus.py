"""The bus from outside: all a stream holds, and saying some of it again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import uuid4

from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from genonaut.platform.bus import Bus, Message
from genonaut.platform.pull import Pull

_AT_ONCE = 500


@dataclass(frozen=True)
class Stored:
    """A message as a stream has it."""

    stream: str
    subject: str
    payload: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


async def contents(bus: Bus, stream: str) -> list[Stored]:
    """All its messages, in order."""
    name = f"look-{uuid4().hex[:8]}"
    config = ConsumerConfig(
        name=name, ack_policy=AckPolicy.NONE, deliver_policy=DeliverPolicy.ALL, inactive_threshold=30
    )
    info = await bus.jetstream.add_consumer(stream, config)
    waiting = info.num_pending or 0
    pull = await Pull.open(bus.client, stream=stream, consumer=info.name)
    found: list[Stored] = []
    try:
        while len(found) < waiting:
            messages = await pull.fetch(_AT_ONCE, seconds=2)
            found += [Stored(stream, each.subject, each.data, each.headers or {}) for each in messages]
    finally:
        await pull.close()
        await bus.jetstream.delete_consumer(stream, info.name)
    return found


async def publish_again(bus: Bus, messages: Sequence[Stored]) -> None:
    """In this order, under new message ids: the stream itself sees nothing twice."""
    by_stream: dict[str, list[Message]] = {}
    for each in messages:
        kept = {name: value for name, value in each.headers.items() if name == "traceparent"}
        by_stream.setdefault(each.stream, []).append(Message(each.subject, each.payload, uuid4().hex, kept))
    for stream, again in by_stream.items():
        await bus.publish(stream, again)
