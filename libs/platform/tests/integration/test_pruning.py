"""What a service remembers of messages goes when they cannot come any more, and never before."""

import asyncio
from datetime import timedelta
from typing import ClassVar
from uuid import uuid4

import pytest
from sqlalchemy import text

from genonaut.contracts.streams import STREAMS
from genonaut.platform import pruning
from genonaut.platform.attempts import marked
from genonaut.platform.pruning import LETTER_READ, MESSAGE_GONE, prune, prune_now_and_then
from genonaut.platform.service import Service
from genonaut.platform.settings import ServiceSettings
from genonaut.testkit.waiting import eventually

A_MOMENT = timedelta(seconds=1)
INBOX = "INSERT INTO inbox (consumer, event_id, handled_at) VALUES (:name, :id, :at)"
ATTEMPT = "INSERT INTO attempts (consumer, event_id, started, last_at) VALUES (:name, :id, 1, :at)"
LETTER = """
INSERT INTO dead_letters
    (consumer, stream_sequence, stored_at, subject, headers, payload, error, deliveries, created_at, redriven_at)
VALUES (:name, 1, now(), 's', '{}', '', 'e', 1, '2020-01-01', :at)
"""


class ToySettings(ServiceSettings):
    section: ClassVar[str] = "notifications"


@pytest.fixture
def service() -> Service[ToySettings]:
    return Service(name="content", settings=ToySettings)


async def insert(toy, statement: str, **values: object) -> None:
    async with toy.database.transaction() as connection:
        values = {"id": uuid4()} | values if ":id" in statement else values
        await connection.execute(text(statement), values)


@pytest.mark.parametrize(
    ("table", "statement", "age"),
    [("inbox", INBOX, MESSAGE_GONE), ("attempts", ATTEMPT, MESSAGE_GONE), ("dead_letters", LETTER, LETTER_READ)],
)
async def test_what_is_too_old_goes_and_nothing_else(toy, table: str, statement: str, age: timedelta) -> None:
    now = toy.clock()
    await insert(toy, statement, name="old", at=now - age - A_MOMENT)
    await insert(toy, statement, name="young", at=now - age + A_MOMENT)

    assert await prune(toy.database, now) == {"inbox": 0, "attempts": 0, "dead_letters": 0} | {table: 1}

    assert await toy.rows(f"SELECT consumer FROM {table}") == [("young",)]


async def test_a_dead_letter_that_waits_stays_for_ever(toy) -> None:
    await insert(toy, LETTER, name="waits", at=None)

    assert (await prune(toy.database, toy.clock() + timedelta(days=9999)))["dead_letters"] == 0


async def test_more_than_goes_at_once_goes_all_the_same(toy, monkeypatch) -> None:
    monkeypatch.setattr(pruning, "BATCH", 3)
    for number in range(7):
        await insert(toy, INBOX, name=str(number), at=toy.clock() - 2 * MESSAGE_GONE)

    assert (await prune(toy.database, toy.clock()))["inbox"] == 7
    assert await toy.scalar("SELECT count(*) FROM inbox") == 0


def test_a_message_restored_on_its_last_day_is_still_known_on_the_last_day_of_its_second_life() -> None:
    assert min(MESSAGE_GONE - 2 * stream.max_age for stream in STREAMS) >= timedelta(days=30)


async def inbox_is_empty(toy) -> bool:
    return await toy.scalar("SELECT count(*) FROM inbox") == 0


async def test_an_attempt_that_is_made_again_is_young_again(toy) -> None:
    event = uuid4()
    await insert(toy, ATTEMPT, name="c", id=event, at=toy.clock() - 2 * MESSAGE_GONE)
    async with marked(toy.database, "c", event) as unreturned:
        assert unreturned == 1
        assert (await prune(toy.database, toy.clock()))["attempts"] == 0


async def test_a_running_service_does_it(toy, service, monkeypatch) -> None:
    monkeypatch.setattr(pruning, "FIRST_SECONDS", 0.01)
    await insert(toy, INBOX, name="old", at=toy.clock() - 2 * MESSAGE_GONE)
    async with toy.platform.running(service, clock=toy.clock):
        await eventually(lambda: inbox_is_empty(toy))


async def test_it_goes_on_after_trouble(toy, monkeypatch) -> None:
    """Soon after the start, then every hour, whatever happens."""
    waited = []
    pruned = asyncio.Event()

    async def sleep(seconds: float) -> None:
        waited.append(seconds)
        if pruned.is_set():
            await asyncio.Event().wait()

    async def fails_once(database, now):
        if len(waited) == 1:
            raise ConnectionError("gone")
        pruned.set()
        return await prune(database, now)

    monkeypatch.setattr(pruning, "prune", fails_once)
    await insert(toy, INBOX, name="old", at=toy.clock() - 2 * MESSAGE_GONE)
    task = asyncio.create_task(prune_now_and_then(toy.database, toy.clock, sleep=sleep))
    await asyncio.wait_for(pruned.wait(), 10)
    await eventually(lambda: inbox_is_empty(toy))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert waited[:2] == [pruning.FIRST_SECONDS, pruning.EVERY_SECONDS]
