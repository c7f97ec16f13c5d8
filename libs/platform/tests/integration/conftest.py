"""A toy service in the schema `content`: user events, one inline projection, one projection that follows the bus."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from sqlalchemy import BigInteger, Column, MetaData, Table, Text, Uuid, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.contracts import Envelope, Event
from genonaut.contracts.content import UserPreferencesChanged, UserRegistered
from genonaut.contracts.streams import NOTIFICATIONS_RECIPIENTS
from genonaut.platform import consumer_loop, dead_letters
from genonaut.platform.aggregate import Aggregate
from genonaut.platform.bus import Message
from genonaut.platform.consumer_loop import ConsumerLoop
from genonaut.platform.consumers import Consumer
from genonaut.platform.database import Database
from genonaut.platform.dead_letters import DeadLetter
from genonaut.platform.events import EventStore
from genonaut.platform.migrations import LOG_KEPT, PLATFORM_TABLES, PRUNED, RESTORED_OUTBOX, VERIFIED, statements
from genonaut.platform.projections import Projection
from genonaut.platform.relay import Relay
from genonaut.platform.replay import Rebuild, Report
from genonaut.platform.service import Service
from genonaut.platform.serving import end
from genonaut.testkit.envelopes import enveloped
from genonaut.testkit.platforms import FakeClock, Platform, Running

metadata = MetaData()
people = Table(
    "people",
    metadata,
    Column("user_id", Uuid, primary_key=True),
    Column("username", Text),
    Column("changes", BigInteger),
)
greeted = Table("greeted", metadata, Column("user_id", Uuid, primary_key=True), Column("greetings", BigInteger))

people_projection = Projection("people", people)
greetings_projection = Projection("greetings", greeted, source=NOTIFICATIONS_RECIPIENTS)


@people_projection.on(UserRegistered)
async def _registered(connection: AsyncConnection, event: UserRegistered, envelope: Envelope) -> None:
    await connection.execute(insert(people).values(user_id=event.user_id, username=event.username, changes=0))


@people_projection.on(UserPreferencesChanged)
async def _changed(connection: AsyncConnection, event: UserPreferencesChanged, envelope: Envelope) -> None:
    await connection.execute(
        people.update().where(people.c.user_id == event.user_id).values(changes=people.c.changes + 1)
    )


@greetings_projection.on(UserRegistered, UserPreferencesChanged)
async def _greet(connection: AsyncConnection, event: UserRegistered | UserPreferencesChanged, _: Envelope) -> None:
    statement = insert(greeted).values(user_id=event.user_id, greetings=1)
    await connection.execute(
        statement.on_conflict_do_update(index_elements=["user_id"], set_={"greetings": greeted.c.greetings + 1})
    )


@dataclass(frozen=True)
class Person:
    registered: bool = False
    changes: int = 0


def decide(command: Event, state: Person) -> Sequence[Event]:
    if isinstance(command, UserRegistered):
        return [] if state.registered else [command]
    return [command]


def evolve(state: Person, event: Event) -> Person:
    return Person(True, state.changes + isinstance(event, UserPreferencesChanged))


PERSON: Aggregate[Person, Event] = Aggregate("user", Person(), decide, evolve)


@dataclass
class Toy:
    platform: Platform
    database: Database
    store: EventStore
    clock: FakeClock

    @property
    def person(self) -> Aggregate[Person, Event]:
        return PERSON

    def running(self, service: Service[Any]) -> AbstractAsyncContextManager[Running]:
        """A service of the toy, as who may do everything on the bus: it follows what is another's."""
        return self.platform.running(service, nats_url=self.platform.nats_url)

    async def register(self, user_id: UUID) -> None:
        event = UserRegistered(number=1, user_id=user_id, username=f"u{user_id.hex[:8]}", email="a@example.org")
        await self.store.execute(PERSON, user_id, event)

    async def change(self, user_id: UUID) -> None:
        await self.store.execute(PERSON, user_id, UserPreferencesChanged(user_id=user_id, changes={}))

    async def history(self, users: int = 10) -> None:
        """Two events for each user."""
        for _ in range(users):
            user = uuid4()
            await self.register(user)
            await self.change(user)

    async def greetings(self) -> int:
        """How many events the live projection that follows the bus has counted."""
        return int(str(await self.scalar("SELECT coalesce(sum(greetings), 0) FROM greeted")))

    @staticmethod
    def envelope(user_id: UUID, *, sequence: int = 1, correlation: str = "request-1") -> Envelope:
        """Of the registration of this user."""
        event = UserRegistered(number=1, user_id=user_id, username=f"u{user_id.hex[:8]}", email="a@example.org")
        return enveloped(event, user_id, sequence=sequence, correlationid=correlation)

    async def publish(
        self, *envelopes: Envelope, ids: Sequence[str] | None = None, traceparent: str | None = None
    ) -> None:
        """Registrations, each with its own message id, unless others are given."""
        headers = {"traceparent": traceparent} if traceparent else {}
        for index, each in enumerate(envelopes):
            message_id = ids[index] if ids else str(each.id)
            message = Message(UserRegistered.type, each.to_json(), message_id, headers)
            await self.platform.bus.publish("CONTENT", [message])

    @asynccontextmanager
    async def consuming(
        self, consumer: Consumer, *, effect: Any = None, fetch: int = 64
    ) -> AsyncIterator[ConsumerLoop]:
        """Inside, the loop of the consumer runs, with `effect` in place of its own, if given."""
        loop = ConsumerLoop(
            consumer.durable,
            effect or consumer.effect(self.database, self.store),
            bus=self.platform.bus,
            database=self.database,
            batch=consumer.batch,
            fetch=fetch,
            after=consumer.after,
        )
        task = asyncio.create_task(loop.run())
        try:
            yield loop
        finally:
            loop.stop()
            await asyncio.wait_for(task, 10)

    async def greeted(self) -> dict[UUID, int]:
        """How often each user was."""
        return dict(await self.rows("SELECT user_id, greetings FROM greeted"))  # type: ignore[arg-type]

    async def letters(self) -> list[DeadLetter]:
        async with self.database.reading() as connection:
            return await dead_letters.waiting(connection)

    async def rows(self, query: str) -> list[tuple[object, ...]]:
        async with self.database.reading() as connection:
            return [tuple(row) for row in await connection.execute(text(query))]

    async def scalar(self, query: str) -> object:
        return (await self.rows(query))[0][0]


@pytest_asyncio.fixture
async def toy(platform: Platform) -> AsyncIterator[Toy]:
    async with platform.database("content", as_owner=True) as owner, owner.transaction() as connection:
        await connection.execute(text("DROP SCHEMA content CASCADE"))
        await connection.execute(text("CREATE SCHEMA content"))
        for statement in statements(PLATFORM_TABLES + RESTORED_OUTBOX + PRUNED + VERIFIED):
            await connection.execute(text(statement))
        await connection.execute(text("CREATE TABLE people (user_id uuid PRIMARY KEY, username text, changes bigint)"))
        await connection.execute(text("CREATE TABLE greeted (user_id uuid PRIMARY KEY, greetings bigint)"))
        await connection.execute(text("GRANT USAGE ON SCHEMA content TO genonaut_content"))
        await connection.execute(text("GRANT ALL ON ALL TABLES IN SCHEMA content TO genonaut_content"))
        await connection.execute(text(LOG_KEPT))
    clock = FakeClock()
    async with platform.database("content") as database:
        store = EventStore(database, source="genonaut/content", projections=[people_projection], clock=clock)
        yield Toy(platform, database, store, clock)


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumer_loop.random, "uniform", lambda low, high: 0.01)


@pytest.fixture
def greetings_consumer() -> Callable[[int], Consumer]:
    return lambda batch: Consumer.follow(greetings_projection, batch=batch)


@pytest.fixture(name="people_projection")
def _people_projection() -> Projection:
    return people_projection


@pytest.fixture(name="greetings_projection")
def _greetings_projection() -> Projection:
    return greetings_projection


@pytest.fixture
def person() -> Aggregate[Person, Event]:
    return PERSON


@pytest.fixture
def live(toy: Toy) -> Callable[..., AbstractAsyncContextManager[None]]:
    """Inside, the relay runs, and the loop of every consumer given."""

    @asynccontextmanager
    async def live(*consumers: Consumer) -> AsyncIterator[None]:
        bus = toy.platform.bus
        relay = asyncio.create_task(Relay(toy.database, bus, schema="content", source="genonaut/content").run())
        loops = []
        for consumer in consumers:
            effect = consumer.effect(toy.database, toy.store)
            loop = ConsumerLoop(consumer.durable, effect, bus=bus, database=toy.database, batch=consumer.batch)
            loops.append((loop, asyncio.create_task(loop.run())))
        try:
            yield
        finally:
            for loop, _ in loops:
                loop.stop()
            await asyncio.gather(*(task for _, task in loops), return_exceptions=True)
            await end([relay])

    return live


@pytest_asyncio.fixture
async def owner(toy: Toy) -> AsyncIterator[Database]:
    async with toy.platform.database("content", as_owner=True) as database:
        yield database


@pytest.fixture
def rebuild(toy: Toy, owner: Database) -> Callable[[Projection], Rebuild]:
    return lambda projection: Rebuild(projection, service="content", database=owner, bus=toy.platform.bus)


@pytest.fixture
def look(rebuild: Callable[[Projection], Rebuild]) -> Callable[[Projection], Awaitable[Report]]:
    """Rebuilds and compares."""
    return lambda projection: rebuild(projection).run(swap=False, progress=lambda *_: None)


@pytest.fixture
def mend(rebuild: Callable[[Projection], Rebuild]) -> Callable[..., Awaitable[Report]]:
    """Rebuilds and swaps."""
    return lambda projection, **options: rebuild(projection).run(swap=True, progress=lambda *_: None, **options)


@pytest.fixture
def statement(owner: Database) -> Callable[..., Awaitable[None]]:
    """Runs one as the owner."""

    async def statement(sql: str, **parameters: object) -> None:
        async with owner.transaction() as connection:
            await connection.execute(text(sql), parameters)

    return statement
