"""Which hours a rebuild compares when nobody says: those of which it has everything, and it says which."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import pytest_asyncio
from sqlalchemy import BigInteger, Column, DateTime, MetaData, Table
from sqlalchemy.dialects.postgresql import insert

from genonaut.contracts.content import UserRegistered
from genonaut.contracts.streams import NOTIFICATIONS_RECIPIENTS
from genonaut.platform import replay_cli
from genonaut.platform.bus import Message
from genonaut.platform.consumers import Consumer
from genonaut.platform.projections import Projection
from genonaut.platform.stream_source import BusSource
from genonaut.testkit.envelopes import enveloped
from genonaut.testkit.waiting import eventually

CONTENT = NOTIFICATIONS_RECIPIENTS.stream.name


async def publish(toy, *payloads: bytes) -> None:
    messages = [Message("content.user.registered", payload, uuid4().hex) for payload in payloads]
    await toy.platform.bus.publish(CONTENT, messages)


def registered_at(time: datetime) -> bytes:
    user = uuid4()
    event = UserRegistered(number=1, user_id=user, username="u", email="a@example.org")
    return enveloped(event, user, time=time).to_json()


@pytest_asyncio.fixture
async def hourly(statement):
    await statement("CREATE TABLE content.hourly (hour timestamptz PRIMARY KEY, events bigint)")
    await statement("GRANT ALL ON content.hourly TO genonaut_content")
    columns = (Column("hour", DateTime(timezone=True), primary_key=True), Column("events", BigInteger))
    table = Table("hourly", MetaData(), *columns)
    projection = Projection("hourly", table, source=NOTIFICATIONS_RECIPIENTS, cells="hour")

    @projection.on(UserRegistered)
    async def count(connection, event, envelope) -> None:
        hour = envelope.time.replace(minute=0, second=0, microsecond=0)
        row = insert(table).values(hour=hour, events=1)
        more = {"events": table.c.events + 1}
        await connection.execute(row.on_conflict_do_update(index_elements=["hour"], set_=more))

    return projection


@pytest_asyncio.fixture
async def three_hours(toy, live, hourly):
    """The first of three past hours with three events each, which live has counted. The stream is made just now."""
    first = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=5)
    times = [first + timedelta(hours=hour, minutes=minute) for hour in range(3) for minute in (10, 20, 30)]
    await publish(toy, *map(registered_at, times))
    async with live(Consumer.follow(hourly, batch=10)):
        await eventually(lambda: toy.scalar("SELECT 9 = sum(events) FROM hourly"))
    return first


async def test_a_whole_stream_is_compared_from_its_first_event_on(look, statement, hourly, three_hours) -> None:
    before = await look(hourly)
    await statement("UPDATE content.hourly SET events = 42 WHERE hour = :hour", hour=three_hours)
    after = await look(hourly)

    assert before.equal
    assert (before.within.since, before.tables[0].live_rows) == (None, 3)
    assert after.tables[0].different_cells == [f"{three_hours:%Y-%m-%d %H:00}"]


async def test_an_hour_that_lost_a_part_is_left_out(toy, look, hourly, three_hours) -> None:
    await toy.platform.bus.jetstream.purge_stream(CONTENT, seq=3)

    report = await look(hourly)

    assert report.equal
    assert not report.lost_beginning
    assert report.within.since == three_hours + timedelta(hours=1)
    assert report.tables[0].live_rows == 2


async def test_what_is_lost_during_a_rebuild_is_left_out_too(toy, look, hourly, three_hours, monkeypatch) -> None:
    advance = BusSource.advance

    async def lose_some_first(source) -> None:
        await toy.platform.bus.jetstream.purge_stream(CONTENT, seq=3)
        await advance(source)

    monkeypatch.setattr(BusSource, "advance", lose_some_first)
    report = await look(hourly)

    assert report.equal
    assert report.within.since == three_hours + timedelta(hours=1)


async def test_an_hour_is_left_out_when_live_knows_older_ones(look, statement, hourly, three_hours) -> None:
    await statement("INSERT INTO content.hourly VALUES (:hour, 7)", hour=three_hours - timedelta(hours=9))

    report = await look(hourly)

    assert report.equal
    assert report.within.since == three_hours + timedelta(hours=1)


@pytest.mark.parametrize("lost_before", [9, 10], ids=["all but one", "all"])
async def test_nothing_compared_is_not_called_equal(toy, look, hourly, three_hours, capsys, lost_before) -> None:
    await toy.platform.bus.jetstream.purge_stream(CONTENT, seq=lost_before)

    report = await look(hourly)

    assert report.nothing_compared
    assert not report.equal
    assert not report.differs
    assert replay_cli._as_json(report)["nothing_compared"]
    assert "nothing compared" in printed(report, capsys)


async def test_the_range_is_shown(toy, look, hourly, three_hours, capsys) -> None:
    whole = await look(hourly)
    await toy.platform.bus.jetstream.purge_stream(CONTENT, seq=3)
    part = await look(hourly)

    assert "│ all │" in printed(whole, capsys)
    assert f"{part.within.since:%Y-%m-%d %H:%M} …" in printed(part, capsys)
    assert replay_cli._as_json(part)["since"] == part.within.since


def printed(report, capsys) -> str:
    replay_cli._print([report])
    return " ".join(capsys.readouterr().out.split())
