"""Redriving a dead letter: the effect it should have had, now, and then it is off the list."""

from typing import Any

from genonaut.contracts import Envelope, UndecodableError
from genonaut.platform import dead_letters
from genonaut.platform.projections import Recorded
from genonaut.platform.service import Runtime


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
    effect = effects.get(letter.consumer)
    if effect is None:
        return f"its consumer {letter.consumer} is not one of {', '.join(sorted(effects))}"
    try:
        envelope = Envelope.from_json(letter.payload)
        await effect([Recorded.of(envelope, letter.headers.get("traceparent"))])
    except UndecodableError as error:
        return f"still cannot be decoded: {error}"
    except Exception as error:  # noqa: BLE001 - whatever it is, the operator is told and the letter stays
        return f"failed again: {type(error).__name__}: {error}"
    # The effect is idempotent, so a crash before this line only leaves a letter whose next redrive changes nothing.
    async with runtime.database.transaction() as connection:
        await dead_letters.mark_redriven(connection, letter_id, runtime.clock())
    return None
