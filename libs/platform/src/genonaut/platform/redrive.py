"""Redriving a dead letter: the effect it should have had, now, and then it is off the list."""

from typing import Any
from uuid import uuid4

from genonaut.contracts import UndecodableError
from genonaut.contracts.streams import DURABLES
from genonaut.platform import dead_letters
from genonaut.platform.bus import Message
from genonaut.platform.projections import Recorded
from genonaut.platform.service import Runtime

_QUEUES = {durable.name: durable.stream.name for durable in DURABLES if durable.stream.work_queue}


async def redrive(runtime: Runtime[Any], letter_id: int) -> str | None:
    """None when it is handled; else why not, and the letter stays."""
    async with runtime.database.reading() as connection:
        letter = await dead_letters.by_id(connection, letter_id)
    if letter is None:
        return "no such dead letter"
    if letter.redriven_at is not None:
        return f"already handled at {letter.redriven_at:%Y-%m-%d %H:%M:%S}"
    effects = {
        consumer.durable.name: consumer.effect(runtime.database, runtime.store)
        for consumer in runtime.service.consumers
    }
    try:
        recorded = Recorded.received(letter.payload, letter.headers)
        if effect := effects.get(letter.consumer):
            await effect([recorded])
        elif stream := _QUEUES.get(letter.consumer):  # work: somebody with the means for it shall take it
            again = Message(letter.subject, letter.payload, f"redriven-{letter_id}-{uuid4()}", letter.headers)
            await runtime.bus.publish(stream, [again])
        else:
            return f"its consumer {letter.consumer} is not one of {', '.join(sorted(effects))}"
    except UndecodableError as error:
        return f"still cannot be decoded: {error}"
    except Exception as error:  # noqa: BLE001 - whatever it is, the operator is told and the letter stays
        problem = f"{type(error).__name__}: {error}"
        async with runtime.database.transaction() as connection:
            await dead_letters.note_failure(connection, letter_id, problem)
        return f"failed again: {problem}"
    # The effect is idempotent, so a crash before this line only leaves a letter whose next redrive changes nothing.
    async with runtime.database.transaction() as connection:
        await dead_letters.mark_redriven(connection, letter_id, runtime.clock())
    return None
