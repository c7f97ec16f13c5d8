"""What is done to the platform: faults by name, their schedule, and the log from which a run can be repeated."""

import json
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from typing import Any, Self
from uuid import uuid4

import psutil
from asyncpg import PostgresError
from nats.errors import Error as NatsError

from chaos.bus import contents, publish_again
from chaos.links import SIMULATORS, Mode, Network
from genonaut.contracts.streams import CONTENT, DURABLES, GENERATION, GENERATION_WORK, NOTIFICATIONS, REQUESTS, Durable
from genonaut.platform.bus import Bus, Message, PublishError
from genonaut.stack.processes import DATABASE_SERVICES
from genonaut.testkit.disks import SmallDisk
from genonaut.testkit.stacks import Stack
from genonaut.testkit.waiting import wait_until

PROCESSES = (*("gateway", *DATABASE_SERVICES, "driver"), *SIMULATORS[:1], *("nats", "postgres", "valkey"))
WRITERS = ("content", "generation", "notifications")
"""Services with an event log."""
RESTORED = (CONTENT, GENERATION, GENERATION_WORK, NOTIFICATIONS)
"""Streams that come back after a loss: from an event log, or because somebody looks for what is missing."""
LONGEST_PAUSE = 4.0
LONGEST_STOP = 12.0
"""Longer than a lease and an `ack_wait`: who goes on then finds that others have done its work."""
MOST_REPEATED = 300
FULL_SECONDS = 3.0
"""A disk has to be full while somebody writes."""
PATIENCE = 60.0


@dataclass(frozen=True)
class Fault:
    """`at` seconds after the start, for `seconds`."""

    at: float
    kind: str
    target: str
    seconds: float

    def __str__(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, lines: Iterable[str]) -> list[Self]:
        """What `str` wrote, one on a line."""
        return [cls(**json.loads(line)) for line in lines if line.strip().startswith("{")]


def _longest(kind: str) -> float:
    return LONGEST_STOP if kind == "stop" else LONGEST_PAUSE


@dataclass(frozen=True)
class Poison:
    """A message that nobody can handle. It was stored after `since`, by the clock of `time.monotonic`."""

    subject: str
    payload: bytes
    since: float


class Faults:
    """Does them, and undoes what does not pass by itself. `disk` is a small file system under the NATS store."""

    def __init__(self, stack: Stack, network: Network, *, disk: SmallDisk | None = None) -> None:
        self.planted: list[Poison] = []
        self.deleted: dict[str, float] = {}
        """When each stream was gone for the last time, by the same clock as the poison."""
        self._stack = stack
        self._network = network
        self._disk = disk
        self._random = random.Random(1)
        self._kinds: dict[str, tuple[Callable[[str, float], None], Sequence[str]]] = {
            "kill": (self._kill, PROCESSES),
            "stop": (self._stop, PROCESSES),
            "cut": (self._cut, PROCESSES),
            "silence": (self._silence, PROCESSES),
            "no-database": (self._no_database, DATABASE_SERVICES),
            "commit-late": (self._commit_late, WRITERS),
            "repeat": (self._repeat, [stream.name for stream in (CONTENT, GENERATION, GENERATION_WORK, REQUESTS)]),
            "shuffle": (self._shuffle, [stream.name for stream in (CONTENT, GENERATION, REQUESTS)]),
            "poison": (self._poison, [durable.name for durable in DURABLES]),
            "delete-durable": (self._delete_durable, [durable.name for durable in DURABLES]),
            "delete-stream": (self._delete_stream, [stream.name for stream in RESTORED]),
            "fill-disk": (self._fill_disk, ["nats"] if disk else []),
        }

    @property
    def all(self) -> list[tuple[str, str]]:
        """Every kind with each of its targets."""
        return [(kind, target) for kind, (_, targets) in self._kinds.items() for target in targets]

    def schedule(self, seed: int, *, seconds: float) -> list[Fault]:
        """Each of `all` once, in an order of its own for every seed, and as often again as there is time for.

        Two are on at a time, most of the time.
        """
        drawn = random.Random(seed)
        count = max(len(self.all), round(seconds / 2.0))
        rounds = [drawn.sample(self.all, len(self.all)) for _ in range(-(-count // len(self.all)))]
        chosen = [each for one in rounds for each in one][:count]
        apart = seconds / count
        return [
            Fault(round(number * apart, 2), kind, target, round(drawn.uniform(0.5, _longest(kind)), 2))
            for number, (kind, target) in enumerate(chosen)
        ]

    def do(self, fault: Fault) -> None:
        """Returns when it is over. Raises KeyError for a kind that does not exist."""
        self._kinds[fault.kind][0](fault.target, fault.seconds)

    # Processes and their connections

    def _kill(self, name: str, _: float) -> None:
        with suppress(ProcessLookupError):
            if pid := self._stack.pid(name):
                os.kill(pid, signal.SIGKILL)

    def _stop(self, name: str, seconds: float) -> None:
        family = []
        with suppress(psutil.Error):
            if pid := self._stack.pid(name):
                parent = psutil.Process(pid)
                family = [parent, *parent.children(recursive=True)]  # Postgres works in its children
        for process in family:
            with suppress(psutil.Error):
                process.suspend()
        time.sleep(seconds)
        for process in family:
            with suppress(psutil.Error):
                process.resume()

    def _cut(self, name: str, seconds: float) -> None:
        with self._disturbed("cut", name):
            time.sleep(seconds)

    def _silence(self, name: str, seconds: float) -> None:
        with self._disturbed("silent", name):
            time.sleep(seconds)

    def _no_database(self, name: str, seconds: float) -> None:
        """It still hears of everything, and can do nothing about it."""
        with self._disturbed("cut", name, towards="postgres"):
            time.sleep(seconds)

    @contextmanager
    def _disturbed(self, mode: Mode, name: str, *, towards: str | None = None) -> Iterator[None]:
        self._network.set(mode, of=name, towards=towards)
        try:
            yield
        finally:
            self._network.set("open", of=name, towards=towards)

    # The log

    def _commit_late(self, service: str, seconds: float) -> None:
        """One transaction at a time stands still after it has its positions, and others pass it."""
        self._execute(
            service,
            f"""
            CREATE OR REPLACE FUNCTION commit_late() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF pg_try_advisory_xact_lock({0x1A7E}) THEN PERFORM pg_sleep(1.5); END IF;
                RETURN NULL;
            END $$;
            GRANT EXECUTE ON FUNCTION commit_late() TO PUBLIC;
            CREATE OR REPLACE TRIGGER commit_late AFTER INSERT ON events
            FOR EACH STATEMENT EXECUTE FUNCTION commit_late();
            """,
        )
        time.sleep(seconds)
        self._execute(service, "DROP TRIGGER commit_late ON events; DROP FUNCTION commit_late();")

    # The bus

    def _repeat(self, stream: str, _: float) -> None:
        """What was said last is said again, as a relay does that never saw the acknowledgement, and much later."""
        self._again(stream, lambda messages: messages[-MOST_REPEATED:])

    def _shuffle(self, stream: str, _: float) -> None:
        self._again(stream, lambda messages: self._random.sample(messages, min(len(messages), MOST_REPEATED)))

    def _again(self, stream: str, chosen: Callable[[list[Any]], list[Any]]) -> None:
        async def work(bus: Bus) -> None:
            if stream == GENERATION_WORK.name:  # empty when all is done: what was work once is work again
                requested = [each for each in await contents(bus, GENERATION.name) if ".requested." in each.subject]
                messages = [
                    replace(each, stream=stream, subject=f"generation.work.image.{each.subject.rpartition('.')[2]}")
                    for each in requested
                ]
            else:
                messages = await contents(bus, stream)
            poison = {each.payload for each in self.planted}
            await publish_again(bus, chosen([each for each in messages if each.payload not in poison]))

        self._on_bus(work)

    def _poison(self, durable_name: str, _: float) -> None:
        self.poison(next(durable for durable in DURABLES if durable.name == durable_name))

    def poison(self, durable: Durable) -> None:
        """Some of each sort, of which the durable has to be rid again."""
        subject = next(iter(durable.filter_subjects())).replace("*", "poison")
        mark = uuid4().hex
        payloads = (
            f"\x00 no JSON at all {mark}".encode(),
            json.dumps({"poison": mark}).encode(),
            json.dumps({"specversion": "1.0", "id": mark, "type": "no.such.type", "data": {}}).encode(),
        )
        messages = [Message(subject, payload, f"{mark}-{number}") for number, payload in enumerate(payloads)]
        since = time.monotonic()
        self._on_bus(lambda bus: bus.publish(durable.stream.name, messages))
        self.planted += [Poison(subject, payload, since) for payload in payloads]

    def _delete_durable(self, durable_name: str, seconds: float) -> None:
        durable = next(durable for durable in DURABLES if durable.name == durable_name)
        self._on_bus(lambda bus: bus.jetstream.delete_consumer(durable.stream.name, durable.name))
        time.sleep(seconds)
        self._provision()

    def _delete_stream(self, stream: str, seconds: float) -> None:
        self._on_bus(lambda bus: bus.jetstream.delete_stream(stream))
        self.deleted[stream] = time.monotonic()
        time.sleep(seconds)
        self._provision()
        for service in WRITERS:
            self._restore(service)

    def _provision(self) -> None:
        """What an operator says then."""
        self._command("provision", "--nats-url", self._stack.setting("generation", "NATS_URL"))

    def _restore(self, service: str) -> None:
        self._command(service, "restore-stream")

    def _command(self, *arguments: str) -> None:
        def succeeds() -> bool:
            return self._stack.genonaut(*arguments).returncode == 0

        wait_until(succeeds, within=PATIENCE, reason=f"genonaut {' '.join(arguments)} does not succeed")

    # Another fault may be on meanwhile

    def _execute(self, service: str, statements: str) -> None:
        _insist(lambda: self._stack.execute(service, statements))

    def _on_bus(self, work: Callable[[Bus], Awaitable[Any]]) -> None:
        _insist(lambda: self._stack.on_bus(work))

    def _fill_disk(self, _: str, seconds: float) -> None:
        if self._disk is None:
            raise RuntimeError("the store of NATS has no disk of its own that could be filled")
        self._disk.fill()
        time.sleep(max(seconds, FULL_SECONDS))
        self._disk.free()


def _insist(work: Callable[[], None]) -> None:
    """Again, while the server that it needs is away. Raises its last error after PATIENCE seconds."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return work()
        except (OSError, TimeoutError, PostgresError, NatsError, PublishError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
