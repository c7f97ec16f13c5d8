"""Dead letters: messages that could not be handled, kept whole with the reason, to be looked at and redriven."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(frozen=True)
class DeadLetter:
    id: int
    consumer: str
    subject: str
    headers: Mapping[str, str]
    payload: bytes
    error: str
    deliveries: int
    created_at: datetime
    redriven_at: datetime | None


async def park(
    connection: AsyncConnection,
    *,
    consumer: str,
    stream_sequence: int,
    stored_at: datetime,
    subject: str,
    headers: Mapping[str, str],
    payload: bytes,
    error: str,
    deliveries: int,
) -> None:
    """Keeps a message. Parking the same one again keeps one letter, with the newest reason, waiting again.

    A stream that is made anew counts from 1 again, so `stored_at` is part of a message's identity.
    """
    await connection.execute(
        text("""
            INSERT INTO dead_letters
                (consumer, stream_sequence, stored_at, subject, headers, payload, error, deliveries)
            VALUES (:consumer, :stream_sequence, :stored_at, :subject, CAST(:headers AS jsonb), :payload, :error,
                :deliveries)
            ON CONFLICT (consumer, stream_sequence, stored_at)
            DO UPDATE SET error = excluded.error, deliveries = excluded.deliveries, redriven_at = NULL
        """),
        {
            "consumer": consumer,
            "stream_sequence": stream_sequence,
            "stored_at": stored_at,
            "subject": _storable(subject),
            "headers": orjson.dumps({_storable(key): _storable(value) for key, value in headers.items()}).decode(),
            "payload": payload,
            "error": _storable(error[:4000]),
            "deliveries": deliveries,
        },
    )


async def waiting(connection: AsyncConnection, *, limit: int = 100) -> list[DeadLetter]:
    """Those not redriven yet, oldest first."""
    rows = await connection.execute(
        text(f"{_SELECT} WHERE redriven_at IS NULL ORDER BY id LIMIT :limit"), {"limit": limit}
    )
    return [_letter(row) for row in rows]


async def waiting_ids(connection: AsyncConnection) -> list[int]:
    """The ids of all that are not redriven yet, oldest first."""
    query = "SELECT id FROM dead_letters WHERE redriven_at IS NULL ORDER BY id"
    return list(await connection.scalars(text(query)))


async def by_id(connection: AsyncConnection, letter_id: int) -> DeadLetter | None:
    row = (await connection.execute(text(f"{_SELECT} WHERE id = :id"), {"id": letter_id})).one_or_none()
    return _letter(row) if row else None


async def mark_redriven(connection: AsyncConnection, letter_id: int, at: datetime) -> None:
    await connection.execute(
        text("UPDATE dead_letters SET redriven_at = :at WHERE id = :id"), {"id": letter_id, "at": at}
    )


async def note_failure(connection: AsyncConnection, letter_id: int, error: str) -> None:
    """The newest reason why it cannot be handled."""
    await connection.execute(
        text("UPDATE dead_letters SET error = :error WHERE id = :id"),
        {"id": letter_id, "error": _storable(error[:4000])},
    )


_SELECT = """
SELECT id, consumer, subject, headers, payload, error, deliveries, created_at, redriven_at FROM dead_letters
"""


def _storable(text_: str) -> str:
    """Postgres takes every character but NUL, and UTF-8 has no lone surrogates."""
    return text_.replace("\x00", "�").encode(errors="replace").decode()


def _letter(row: Any) -> DeadLetter:
    return DeadLetter(**row._mapping)  # noqa: SLF001 - SQLAlchemy's documented way to a row as a mapping
