"""The tables that projections are tested on are empty for every test, and a refused event leaves nothing there."""

from uuid import UUID

import pytest
from sqlalchemy import Column, DateTime, MetaData, Table, Text, Uuid
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.contracts import Envelope
from genonaut.contracts.content import UserRegistered
from genonaut.platform.projections import Projection
from genonaut.testkit.projections import TablesOf, at, minute

ADA = UserRegistered(number=1, user_id=UUID(int=1), username="ada", email="ada@example.org")

# Every service has this one; here it only holds what the projection below puts there.
inbox = Table(
    "inbox",
    MetaData(),
    Column("consumer", Text, primary_key=True),
    Column("event_id", Uuid, primary_key=True),
    Column("handled_at", DateTime(timezone=True)),
)
registrations = Projection("registrations", inbox)


@registrations.on(UserRegistered)
async def _registered(connection: AsyncConnection, event: UserRegistered, envelope: Envelope) -> None:
    row = {"consumer": event.username, "event_id": envelope.id, "handled_at": envelope.time}
    await connection.execute(inbox.insert().values(row))


@pytest.mark.parametrize("_time", ["first", "second"])
async def test_nobody_sees_what_another_test_put_there(tables_of: TablesOf, _time: str) -> None:
    async with tables_of("content") as tables, tables_of("content") as others:
        assert await tables.rows(inbox) == []

        await tables.given(registrations, at(2, ADA), at(1, ADA))

        assert await tables.rows(inbox) == [
            {"consumer": "ada", "event_id": UUID(int=number), "handled_at": minute(number)} for number in (1, 2)
        ]
        assert await others.rows(inbox) == []


async def test_what_is_refused_leaves_nothing_behind(tables_of: TablesOf) -> None:
    async with tables_of("content") as tables:
        with pytest.raises(IntegrityError):
            await tables.given(registrations, at(1, ADA), at(1, ADA))

        assert await tables.rows(inbox) == []
