"""Messages come as soon as they are there, however the time-outs of earlier requests fell."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from genonaut.contracts.streams import NOTIFICATIONS_RECIPIENTS as DURABLE
from genonaut.platform.bus import Message
from genonaut.platform.provisioning import ensure_durable
from genonaut.platform.pull import Pull, PullError
from genonaut.testkit.platforms import Platform
from genonaut.testkit.waiting import eventually

SUBJECT = "content.user.registered"
LONG = 30.0
"""Far longer than anything here takes: a fetch that waits for its end fails."""


@pytest_asyncio.fixture
async def pull(platform: Platform) -> AsyncIterator[Pull]:
    opened = await Pull.open(platform.bus.client, stream="CONTENT", consumer=DURABLE.name)
    yield opened
    await opened.close()


async def publish(platform: Platform, *payloads: str) -> None:
    await platform.bus.publish("CONTENT", [Message(SUBJECT, each.encode(), each) for each in payloads])


async def info(platform: Platform) -> Any:
    return await platform.bus.jetstream.consumer_info("CONTENT", DURABLE.name)


def payloads(messages) -> list[str]:
    return [message.data.decode() for message in messages]


async def test_what_is_there_comes_at_once_and_in_order(platform: Platform, pull: Pull) -> None:
    await publish(platform, "1", "2", "3")

    async with asyncio.timeout(LONG / 2):
        assert payloads(await pull.fetch(2, seconds=LONG)) == ["1", "2"]
        assert payloads(await pull.fetch(10, seconds=LONG)) == ["3"]


async def test_the_first_to_come_ends_the_waiting(platform: Platform, pull: Pull) -> None:
    fetching = asyncio.create_task(pull.fetch(10, seconds=LONG))
    await eventually(lambda: _waits(platform))
    await publish(platform, "1")

    assert payloads(await asyncio.wait_for(fetching, LONG / 2)) == ["1"]


async def _waits(platform: Platform) -> bool:
    return (await info(platform)).num_waiting >= 1


async def test_nothing_comes_of_nothing(pull: Pull) -> None:
    assert await pull.fetch(10, seconds=0.05) == []


@pytest.mark.parametrize("count", [1, 200])
async def test_no_message_waits_for_the_end_of_a_request(platform: Platform, pull: Pull, count: int) -> None:
    """Around the end of a request is where nats-py's own fetch loses itself."""
    for turn in range(40):
        assert await pull.fetch(count, seconds=0.02) == []
        async with asyncio.timeout(LONG / 2):
            fetching = asyncio.create_task(pull.fetch(count, seconds=LONG))
            await asyncio.sleep(0)
            await publish(platform, str(turn))
            messages = await fetching
        assert payloads(messages) == [str(turn)]
        await messages[0].ack_sync()


async def test_what_is_asked_for_ahead_comes_meanwhile(platform: Platform, pull: Pull) -> None:
    await pull.ahead(2, seconds=LONG)
    await publish(platform, "1", "2", "3")
    await eventually(lambda: payloads(pull.waiting) == ["1", "2"])

    async with asyncio.timeout(LONG / 2):
        assert payloads(await pull.fetch(2, seconds=LONG)) == ["1", "2"]
        assert (await info(platform)).num_pending == 1
        assert payloads(await pull.fetch(2, seconds=LONG)) == ["3"]


async def test_fetching_does_not_ask_twice(platform: Platform, pull: Pull) -> None:
    await pull.ahead(2, seconds=LONG)
    fetching = asyncio.create_task(pull.fetch(2, seconds=LONG))
    await eventually(lambda: _waits(platform))
    assert (await info(platform)).num_waiting == 1
    await publish(platform, "1")

    assert payloads(await asyncio.wait_for(fetching, LONG / 2)) == ["1"]


async def test_a_request_that_ended_before_it_was_fetched_is_made_again(platform: Platform, pull: Pull) -> None:
    await pull.ahead(2, seconds=0.02)
    await eventually(lambda: pull._end)
    fetching = asyncio.create_task(pull.fetch(2, seconds=LONG))
    await eventually(lambda: _waits(platform))
    await publish(platform, "1")

    assert payloads(await asyncio.wait_for(fetching, LONG / 2)) == ["1"]


async def test_one_is_asked_for_and_one_is_taken(platform: Platform, pull: Pull) -> None:
    """So that a driver with one GPU never holds a job that another could run."""
    for _ in range(5):
        await pull.fetch(1, seconds=0.02)
    await publish(platform, "1", "2", "3")

    assert payloads(await pull.fetch(1, seconds=LONG)) == ["1"]
    standing = await info(platform)
    assert (standing.num_ack_pending, standing.num_pending) == (1, 2)


async def test_the_late_end_of_one_request_does_not_end_the_next(platform: Platform, pull: Pull) -> None:
    await pull.fetch(1, seconds=0.02)
    late = pull._reply_to
    fetching = asyncio.create_task(pull.fetch(1, seconds=LONG))
    await eventually(lambda: _waits(platform))

    await platform.bus.client.publish(late, b"", headers={"Status": "404"})
    ended, _ = await asyncio.wait([fetching], timeout=0.3)
    assert not ended
    await publish(platform, "1")

    assert payloads(await asyncio.wait_for(fetching, LONG / 2)) == ["1"]


async def test_what_came_and_was_not_fetched_is_handed_back_at_once(platform: Platform, pull: Pull) -> None:
    """Well before its ack_wait is over."""
    fetching = asyncio.create_task(pull.fetch(10, seconds=LONG))
    await eventually(lambda: _waits(platform))
    fetching.cancel()
    await publish(platform, "1")
    await eventually(lambda: pull._messages)
    await pull.close()

    other = await Pull.open(platform.bus.client, stream="CONTENT", consumer=DURABLE.name)
    (again,) = await asyncio.wait_for(other.fetch(1, seconds=LONG), 5)
    await other.close()
    assert again.metadata.num_delivered == 2


async def test_a_durable_that_is_gone_is_an_error(platform: Platform, pull: Pull) -> None:
    await platform.bus.jetstream.delete_consumer("CONTENT", DURABLE.name)

    with pytest.raises(PullError, match="503"):
        await pull.fetch(1, seconds=LONG)


async def test_a_durable_that_goes_while_we_wait_is_an_error(platform: Platform, pull: Pull) -> None:
    fetching = asyncio.create_task(pull.fetch(10, seconds=LONG))
    await eventually(lambda: _waits(platform))
    await platform.bus.jetstream.delete_consumer("CONTENT", DURABLE.name)

    with pytest.raises(PullError, match="Consumer Deleted"):
        await asyncio.wait_for(fetching, LONG / 2)


async def test_no_answer_is_an_error(platform: Platform, pull: Pull, monkeypatch) -> None:
    """As after a restart of the bus, which forgets the requests it had."""
    monkeypatch.setattr("genonaut.platform.pull.ANSWER_SECONDS", 0.1)
    monkeypatch.setattr(pull, "_subject", "nobody.listens.here")
    silent = await platform.bus.client.subscribe("nobody.listens.here", cb=_says_nothing)

    with pytest.raises(PullError, match="no answer"):
        await pull.fetch(1, seconds=0.05)
    await silent.unsubscribe()


async def _says_nothing(_) -> None:
    pass


async def test_who_holds_too_many_gets_the_next_as_soon_as_he_may(platform: Platform, pull: Pull) -> None:
    await ensure_durable(platform.bus.jetstream, replace(DURABLE, max_ack_pending=3))
    await publish(platform, *"12345")
    held = await pull.fetch(3, seconds=LONG)
    assert payloads(held) == ["1", "2", "3"]
    assert await pull.fetch(10, seconds=0.05) == []

    for message, following in zip(held, "45", strict=False):
        fetching = asyncio.create_task(first_of(pull))
        await eventually(lambda: _waits(platform))
        await message.ack()
        assert payloads(await asyncio.wait_for(fetching, LONG / 2)) == [following]


async def first_of(pull: Pull):
    """The server may end a request at once because an earlier one is still open."""
    while not (messages := await pull.fetch(10, seconds=LONG)):
        pass
    return messages
