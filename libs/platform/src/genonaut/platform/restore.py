"""Puts back what a stream has lost: its events in the log that it no longer holds go to the outbox again.

The relay then publishes them in the order of the log, each under its own id. The log is looked at before the stream:
what is in the log and no longer in the outbox had been acknowledged by the stream at that moment, so it is in the
stream afterwards, or it is lost. What is committed meanwhile is on its way, and not looked at. So commits, the relay
and the consumers may go on, and a second restore finds nothing more than was lost in between.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg
from nats.js.errors import NotFoundError

from genonaut.contracts.streams import STREAMS, Stream
from genonaut.platform.bus import Bus
from genonaut.platform.database import Database, lock_key
from genonaut.platform.stream_reader import CLOCK_SLACK, StreamReader
from genonaut.platform.trouble import ExpectedError

BATCH = 5000

Progress = Callable[[int, int], None]
"""Called with messages of the stream looked at and messages in all."""


class RestoreRefusedError(ExpectedError):
    """It cannot be done now; the message says why."""


@dataclass(frozen=True)
class Restoration:
    stream: str
    logged: int
    """Events of the log that the stream should hold: younger than its messages become, and not in the outbox."""
    held: int
    """Messages that the stream had."""
    lost: int
    """Those of `logged` that it had not, and that are in the outbox now unless it was a dry run."""


def streams_of(service: str) -> list[Stream]:
    """The streams that hold the events of the service's log, and can be filled from it."""
    return [stream for stream in STREAMS if stream.from_log and stream.context == service]


async def restore(
    stream: Stream, *, service: str, database: Database, bus: Bus, now: datetime, dry_run: bool, progress: Progress
) -> Restoration:
    """`database` is connected as the owner, who may make a temporary table.

    Raises RestoreRefusedError when another restore of the service is at work.
    """
    names = {"service": service}
    should_hold = (f"{stream.prefix}.", now - stream.max_age + CLOCK_SLACK)
    async with _alone(database, service) as connection:
        # One snapshot for the first look at the log and the last one.
        transaction = connection.transaction(isolation="repeatable_read")
        await transaction.start()
        logged = await connection.fetchval(_LOGGED.format(**names), *should_hold)
        held = await _copy_ids(connection, stream.name, bus, progress)
        if dry_run:
            lost = await connection.fetchval(_LOST.format(**names), *should_hold)
            await transaction.rollback()
        else:
            lost = await connection.fetchval(_PUT_BACK.format(**names), *should_hold, now)
            await transaction.commit()
    return Restoration(stream.name, logged, held, lost)


@asynccontextmanager
async def _alone(database: Database, service: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection with the lock on restoring this service."""
    connection = await database.connect_raw()
    try:
        if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", lock_key(f"restore {service}")):
            raise RestoreRefusedError(f"Another restore of {service} is at work. Wait for it.")
        yield connection
    finally:
        connection.terminate()  # the lock and what is not committed go with it


async def _copy_ids(connection: asyncpg.Connection, stream: str, bus: Bus, progress: Progress) -> int:
    """Puts the ids of all events in the stream into the table `held`. Gives how many messages there are."""
    await connection.execute("CREATE TEMPORARY TABLE held (id uuid) ON COMMIT DROP")
    try:
        state = (await bus.jetstream.stream_info(stream)).state
    except NotFoundError:
        return 0
    progress(0, state.messages)
    reader = StreamReader(bus, stream, headers_only=True)
    done = 0
    try:
        async for messages in reader.batches(BATCH, end=state.last_seq):
            ids = _ids([(message.headers or {}).get("Nats-Msg-Id", "") for message in messages])
            await connection.copy_records_to_table("held", records=[(each,) for each in ids])
            done += len(messages)
            progress(done, max(done, state.messages))
    finally:
        await reader.close()
    await connection.execute("ANALYZE held")
    return done


def _ids(texts: Sequence[str]) -> list[UUID]:
    """Those that are ids of events. Others are of messages that are none of ours."""
    found = []
    for text in texts:
        try:
            found.append(UUID(text))
        except ValueError:
            continue
    return found


_SHOULD_HOLD = """
FROM {service}.events AS e
WHERE starts_with(e.type, $1) AND e.time > $2 AND NOT EXISTS (SELECT FROM {service}.outbox WHERE position = e.position)
"""
_LOGGED = f"SELECT count(*) {_SHOULD_HOLD}"
_NOT_HELD = f"{_SHOULD_HOLD} AND NOT EXISTS (SELECT FROM held WHERE id = e.id)"
_LOST = f"SELECT count(*) {_NOT_HELD}"
_PUT_BACK = f"""
WITH put_back AS (
    INSERT INTO {{service}}.outbox (position, event_id, restored_at) SELECT e.position, e.id, $3 {_NOT_HELD} RETURNING 1
)
SELECT count(*) FROM put_back
"""
