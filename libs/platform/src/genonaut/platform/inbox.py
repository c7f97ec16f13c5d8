"""The inbox: which events a consumer has handled, remembered in the transaction of their effect."""

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.platform.projections import Recorded


async def first_time(connection: AsyncConnection, consumer: str, recorded: Sequence[Recorded]) -> Sequence[Recorded]:
    """Those this consumer has not handled before, in their order, now remembered as handled."""
    ids = [each.envelope.id for each in recorded]
    rows = await connection.execute(
        text("""
            INSERT INTO inbox (consumer, event_id)
            SELECT :consumer, id FROM unnest(CAST(:ids AS uuid[])) AS arrived (id)
            ON CONFLICT DO NOTHING RETURNING event_id
        """),
        {"consumer": consumer, "ids": ids},
    )
    new = {row.event_id for row in rows}
    fresh = []
    for each in recorded:
        if each.envelope.id in new:
            new.remove(each.envelope.id)  # the batch itself may hold an event twice
            fresh.append(each)
    return fresh
