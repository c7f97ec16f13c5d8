"""Whatever bytes a message has, those who read the bus go on reading."""

import asyncio
from urllib.parse import urlsplit

import orjson
import pytest

from genonaut.contracts.content import UserRegistered
from genonaut.contracts.generation import JobCompleted
from genonaut.contracts.streams import CONTENT_JOBS, GENERATION_USERS, Durable
from genonaut.platform.bus import Message
from genonaut.platform.pull import Pull
from genonaut.testkit.platforms import Platform

PAYLOAD = b"the message"
HEAD = b"NATS/1.0\r\n"

HEADERS = {
    "nothing": b"",
    "two bytes": b"\xff\xff",
    "no line": b"NATS/1.0",
    "a line without an end": HEAD,
    "zeros": bytes(50),
    "a name that is no text": HEAD + b"\xff\xfe: a\r\n\r\n",
    "a value that is no text": HEAD + b"A: \xff\xfe\x00\r\n\r\n",
    "no colon": HEAD + b"just words\r\n\r\n",
    "a status that is none": b"NATS/1.0 \xff\xff\xff words\r\n\r\n",
    "a status": b"NATS/1.0 503\r\n\r\n",
    "a long one": HEAD + b"A: " + b"x" * 60_000 + b"\r\n\r\n",
}
ENDINGS = {"no text": b"\xff\xfe", "half a character": b"\xf0\x9f", "a control character": b"\x01"}


async def send_raw(platform: Platform, *, subject: bytes, headers: bytes) -> None:
    """A message as no client of ours would. Returns when the server has taken it."""
    url = urlsplit(platform.nats_url)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    connect = {"user": url.username, "pass": url.password, "headers": True, "verbose": False, "lang": "raw"}
    writer.write(b"CONNECT " + orjson.dumps(connect) + b"\r\n")
    sizes = f" {len(headers)} {len(headers) + len(PAYLOAD)}\r\n".encode()
    writer.write(b"HPUB " + subject + sizes + headers + PAYLOAD + b"\r\nPING\r\n")
    heard = await reader.readuntil(b"PONG\r\n")
    assert b"-ERR" not in heard
    writer.close()


async def assert_it_comes_and_others_too(platform: Platform, durable: Durable) -> None:
    subject = durable.stream.subject(durable.events[0].type, "7")
    await platform.bus.publish(durable.stream.name, [Message(subject, b"after it", "after")])
    pull = await Pull.open(platform.bus.client, stream=durable.stream.name, consumer=durable.name)
    came = [message.data for _ in range(2) for message in await pull.fetch(1, seconds=5)]
    await pull.close()
    assert came == [PAYLOAD, b"after it"]
    await platform.bus.ping()


@pytest.mark.parametrize("headers", HEADERS.values(), ids=HEADERS)
async def test_headers_of_any_bytes(platform: Platform, headers: bytes) -> None:
    await send_raw(platform, subject=UserRegistered.type.encode(), headers=headers)
    await assert_it_comes_and_others_too(platform, GENERATION_USERS)


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS)
async def test_subjects_of_any_bytes(platform: Platform, ending: bytes) -> None:
    await send_raw(platform, subject=JobCompleted.type.encode() + b"." + ending, headers=HEAD + b"\r\n")
    await assert_it_comes_and_others_too(platform, CONTENT_JOBS)
