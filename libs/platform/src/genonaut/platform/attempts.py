"""Attempts that never came back: how a message that takes its process down is found out.

The mark is committed before the effect and taken away after it, however it ends. What stays is a crash.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from sqlalchemy import text

from genonaut.platform.database import Database


@asynccontextmanager
async def marked(database: Database, consumer: str, event_id: UUID) -> AsyncIterator[int]:
    """Gives how many earlier attempts never came back. Leaving, by whatever way but a crash, forgets them all."""
    key = {"consumer": consumer, "event_id": event_id}
    async with database.transaction() as connection:
        started = await connection.scalar(
            text("""
                INSERT INTO attempts (consumer, event_id, started) VALUES (:consumer, :event_id, 1)
                ON CONFLICT (consumer, event_id) DO UPDATE SET started = attempts.started + 1, last_at = now()
                RETURNING started
            """),
            key,
        )
    try:
        yield int(started or 1) - 1
    finally:
        async with database.transaction() as connection:
            await connection.execute(
                text("DELETE FROM attempts WHERE consumer = :consumer AND event_id = :event_id"), key
            )
