"""What one user of the bus may not do to the others. That each may do its work, every test of a service shows."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import nats.errors
import pytest
from nats.aio.client import Client

from genonaut.contracts.streams import (
    CONTENT,
    DURABLES,
    GENERATION,
    GENERATION_WORK,
    NOTIFICATIONS,
    REQUESTS,
    STREAMS,
    Durable,
)
from genonaut.platform.bus_users import PROCESSES, followed_by, stated_by
from genonaut.stack.servers import Nats
from genonaut.testkit.platforms import Platform
from genonaut.testkit.waiting import eventually


@pytest.fixture(autouse=True)
def _users_of_our_own(nats_server: Nats) -> None:
    if nats_server.given:
        pytest.skip("this server has one user for everything")


@asynccontextmanager
async def connected(platform: Platform, user: str) -> AsyncIterator[tuple[Client, list[str]]]:
    """A plain client as this user, and what the server has refused it."""
    refused: list[str] = []

    async def note(error: Exception) -> None:
        refused.append(str(error).lower())

    url = platform.nats_server.url(user=user)
    client = Client()
    await client.connect(url, error_cb=note, inbox_prefix=f"_INBOX.test-{user}", allow_reconnect=False)
    try:
        yield client, refused
    finally:
        await client.close()


async def refused_of(platform: Platform, user: str, subjects: Iterable[str]) -> set[str]:
    """Those of the subjects to which the user may not publish. The server says so in the order of the attempts."""
    async with connected(platform, user) as (client, refused):
        for subject in (*subjects, "nobody.may"):
            await client.publish(subject, b"")
        await eventually(lambda: any("nobody.may" in words for words in refused))
    assert all("permissions violation for publish" in words for words in refused)
    return {subject for subject in subjects if any(f'"{subject.lower()}"' in words for words in refused)}


def test_every_stream_is_stated_by_one_process_and_every_durable_followed_by_one() -> None:
    assert sorted(each.name for name in PROCESSES for each in stated_by(name)) == sorted(s.name for s in STREAMS)
    assert sorted(each.name for name in PROCESSES for each in followed_by(name)) == sorted(d.name for d in DURABLES)


OTHERS = {
    "gateway": (CONTENT, GENERATION, NOTIFICATIONS),
    "content": (GENERATION, NOTIFICATIONS, REQUESTS),
    "generation": (CONTENT, NOTIFICATIONS, REQUESTS),
    "driver": (CONTENT, GENERATION, GENERATION_WORK, NOTIFICATIONS, REQUESTS),
    "analytics": (CONTENT, GENERATION, NOTIFICATIONS, REQUESTS),
    "notifications": (CONTENT, GENERATION, REQUESTS),
}


@pytest.mark.parametrize("user", PROCESSES)
async def test_nobody_states_events_of_others(platform: Platform, user: str) -> None:
    forged = {f"{stream.prefix}.forged" for stream in OTHERS[user]}

    assert await refused_of(platform, user, forged) == forged
    for stream in OTHERS[user]:
        assert (await platform.bus.jetstream.stream_info(stream.name)).state.messages == 0


@pytest.mark.parametrize("user", PROCESSES)
async def test_nobody_takes_what_is_for_others_or_acks_it(platform: Platform, user: str) -> None:
    def subjects(durables: Iterable[Durable]) -> set[str]:
        named = {f"{durable.stream.name}.{durable.name}" for durable in durables}
        return {f"$JS.API.CONSUMER.MSG.NEXT.{name}" for name in named} | {f"$JS.ACK.{name}.1.1.1.1.0" for name in named}

    refused = await refused_of(platform, user, subjects(DURABLES))

    assert refused == subjects(durable for durable in DURABLES if durable not in followed_by(user))


@pytest.mark.parametrize("user", PROCESSES)
async def test_nobody_changes_streams_or_durables(platform: Platform, user: str) -> None:
    streams = {f"$JS.API.STREAM.{verb}" for verb in ("CREATE", "UPDATE", "DELETE", "PURGE", "MSG.DELETE")}
    durables = {f"$JS.API.CONSUMER.{verb}" for verb in ("CREATE", "DURABLE.CREATE", "DELETE", "PAUSE")}
    changes = {f"{verb}.{stream.name}" for verb in streams for stream in STREAMS}
    changes |= {f"{verb}.{durable.stream.name}.{durable.name}" for verb in durables for durable in DURABLES}

    assert await refused_of(platform, user, changes) == changes
    assert len(await platform.bus.jetstream.streams_info()) == len(STREAMS)


@pytest.mark.parametrize("user", PROCESSES)
async def test_nobody_hears_answers_to_others(platform: Platform, user: str) -> None:
    """What a durable delivers goes to an inbox."""
    async with connected(platform, user) as (client, refused):
        for subject in ("_INBOX.>", ">", "_INBOX.test-admin.>", "content.>"):
            await client.subscribe(subject)
        await client.flush()
        await eventually(lambda: len(refused) == 4, reason=f"not all four are refused: {refused}")
        assert all("permissions violation for subscription" in words for words in refused)


async def test_a_user_is_of_its_account_only(platform: Platform) -> None:
    """The same process in another environment is somebody else, who sees another bus."""
    client = Client()
    await client.connect(platform.nats_server.url("dev"), allow_reconnect=False)
    try:
        with pytest.raises((nats.errors.NoRespondersError, nats.js.errors.NotFoundError)):
            await asyncio.wait_for(client.jetstream().stream_info("CONTENT"), timeout=5)
    finally:
        await client.close()
